"""The whole quickstart on two ranks: it learns, and what it learns comes from the labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcfed.records.runfile import read_record
from tests.mpi import ways
from tests.mpi.in_turn import Run
from tests.places import REPOSITORY

pytestmark = [pytest.mark.mpi, pytest.mark.slow, pytest.mark.timeout(ways.LIMIT_S + 30)]

ROUNDS = {"spoken": 150, "permuted": 50}  # after 50 rounds of spoken labels it reads most digits
WAYS = {
    "spoken": ("run.eval_every=50",),
    "permuted": (
        "data.dataset=tests.permuted_labels:load",
        "server.rounds=50",
        "run.eval_every=50",
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of whole quickstarts; each takes about 60 s when nothing else runs."""
    folder = tmp_path_factory.mktemp("quickstart")
    job = (REPOSITORY / "jobs" / "quickstart.toml").read_text()
    ways.train(folder, 2, [Run(job, sets, str(folder / name)) for name, sets in WAYS.items()])
    return folder


def accuracies_of(folder: Path, name: str) -> list[float]:
    """Return the test accuracy after each round of a quickstart that was evaluated; else NaN."""
    record = read_record(folder / name)
    assert record.attributes["status"] == "finished"
    assert record.log.num_rounds == ROUNDS[name]
    return record.log.rounds["test_accuracy"]


def test_the_quickstart_recognises_most_digits_of_unknown_voices(folder: Path) -> None:
    accuracies = accuracies_of(folder, "spoken")
    assert accuracies[-1] >= 0.80
    assert accuracies[ROUNDS["permuted"] - 1] >= 0.50


def test_with_permuted_training_labels_it_stays_near_chance(folder: Path) -> None:
    assert accuracies_of(folder, "permuted")[-1] <= 0.10  # chance is 5 %
