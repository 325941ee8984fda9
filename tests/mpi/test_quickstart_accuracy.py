"""The whole quickstart on two ranks: it learns, and what it learns comes from the labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcfed.records.runfile import read_record
from tests.mpi import ways
from tests.mpi.in_turn import Run
from tests.places import REPOSITORY

pytestmark = [pytest.mark.mpi, pytest.mark.slow, pytest.mark.timeout(ways.LIMIT_S + 30)]

WAYS = {"spoken": (), "permuted": ("data.dataset=tests.permuted_labels:load",)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of whole quickstarts; each takes about 60 s when nothing else runs."""
    folder = tmp_path_factory.mktemp("quickstart")
    job = (REPOSITORY / "jobs" / "quickstart.toml").read_text()
    ways.train(folder, 2, [Run(job, sets, str(folder / name)) for name, sets in WAYS.items()])
    return folder


def last_test_accuracy(out: Path) -> float:
    """Return the test accuracy after the last round of a quickstart."""
    record = read_record(out)
    assert record.attributes["status"] == "finished"
    assert record.log.num_rounds == 150
    return float(record.log.rounds["test_accuracy"][-1])


def test_the_quickstart_recognises_most_digits_of_unknown_voices(folder: Path) -> None:
    assert last_test_accuracy(folder / "spoken") >= 0.80


def test_with_permuted_training_labels_it_stays_near_chance(folder: Path) -> None:
    assert last_test_accuracy(folder / "permuted") <= 0.10  # chance is 5 %
