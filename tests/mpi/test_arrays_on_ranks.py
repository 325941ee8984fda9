"""Arrays under mpirun: the same bits on two ranks, and ranks that have others end together."""

from __future__ import annotations

from pathlib import Path

import pytest

import hpcfed
from hpcfed.config.file import parse_experiment
from tests.array_world import SETTINGS, pair
from tests.mpi.launch import mpirun

pytestmark = pytest.mark.mpi


def test_arrays_give_the_same_bits_on_two_ranks_and_others_are_refused(tmp_path: Path) -> None:
    alone = hpcfed.run(
        parse_experiment("", [SETTINGS]), out=tmp_path / "alone", data=pair(), quiet=True
    )
    ended = mpirun(2, "-m", "tests.mpi.array_run", str(tmp_path))
    assert ended.rc == 0, ended.stderr
    digest = alone.rounds.params_digest.iloc[-1]
    assert f"rank 0: finished, told [1, 2], {digest}" in ended.stdout
    assert f"rank 1: finished, told [], {digest}" in ended.stdout
    assert "round 2/2" in ended.stdout
    for rank in (0, 1):
        assert f"rank {rank} refused: data.dataset" in ended.stdout
    assert not (tmp_path / "bad").exists()
