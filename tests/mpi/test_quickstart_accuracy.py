"""The whole quickstart on two ranks: it learns, and what it learns comes from the labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcfed.records.runfile import read_record
from tests.mpi.launch import mpirun

LIMIT_S = 360  # what the quickstart may take on two cores; about 60 when nothing else runs

pytestmark = [pytest.mark.mpi, pytest.mark.slow, pytest.mark.timeout(LIMIT_S + 30)]


def last_test_accuracy(out: Path, *overrides: str) -> float:
    """Run the quickstart; return the test accuracy after its last round."""
    sets = [part for item in overrides for part in ("--set", item)]
    job = ["-m", "hpcfed", "run", "jobs/quickstart.toml", "--quiet", "--out", str(out)]
    ended = mpirun(2, *job, *sets, limit_s=LIMIT_S)
    assert ended.rc == 0, ended.stderr
    record = read_record(out)
    assert record.attributes["status"] == "finished"
    assert record.log.num_rounds == 150
    return float(record.log.rounds["test_accuracy"][-1])


def test_the_quickstart_recognises_most_digits_of_unknown_voices(tmp_path: Path) -> None:
    assert last_test_accuracy(tmp_path / "a") >= 0.80


def test_with_permuted_training_labels_it_stays_near_chance(tmp_path: Path) -> None:
    permuted = "data.dataset=tests.permuted_labels:load"
    assert last_test_accuracy(tmp_path / "a", permuted) <= 0.10  # chance is 5 %
