"""Bad input under several ranks: still one message from one rank, exit code 2, nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mpi.launch import toy
from tests.toy_world import FAULT_VARIABLE

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("client.learningrate=0.1", "client.learning_rate"),
        ("participation.drop_probability=[0.5, 0.5]", "drop_probability"),
        ("partition.num_clients=70", "num_clients"),
        ("data.dataset=none.h5", "none.h5"),
        ("model.warm_start=none/run.h5", "none/run.h5"),
    ],
)
def test_one_rank_says_it_and_all_leave_with_2(tmp_path: Path, override: str, word: str) -> None:
    ended = toy(2, tmp_path / "a", override)
    assert ended.rc == 2
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("error: ") == 1
    assert word in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_only_one_rank_finds_wrong_is_told_once(tmp_path: Path) -> None:
    ended = toy(3, tmp_path / "a", environment={FAULT_VARIABLE: '{"do": "bad data", "rank": 2}'})
    assert ended.rc == 2
    assert ended.stderr.count("error: the toy data are not on this host") == 1
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path) -> None:
    assert toy(2, tmp_path / "a").rc == 0
    before = (tmp_path / "a" / "run.h5").read_bytes()
    ended = toy(2, tmp_path / "a", "server.rounds=9")
    assert ended.rc == 2
    assert "--resume" in ended.stderr
    assert (tmp_path / "a" / "run.h5").read_bytes() == before


def test_processes_that_do_not_see_each_other_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "a"
    for rank, errors in ((0, 1), (1, 0)):
        place = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": str(rank)}
        command = [sys.executable, "-m", "hpcfed", "run", "quickstart", "--out", str(out)]
        ended = subprocess.run(
            command, env=alone() | place, capture_output=True, text=True, check=False, timeout=60
        )
        assert ended.returncode == 2
        assert ended.stderr.count("each is rank 0 of 1") == errors
    assert not out.exists()


def alone() -> dict[str, str]:
    """Return the environment without what a launcher may have left in it."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMI", "SLURM_"))}
