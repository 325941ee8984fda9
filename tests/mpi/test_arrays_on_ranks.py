"""Arrays and modules under mpirun: the bits of one rank; ranks with other data end together."""

from __future__ import annotations

from pathlib import Path

import pytest

import hpcfed
from hpcfed.config.file import parse_experiment
from tests.array_world import SETTINGS, pair
from tests.mpi.array_run import experiment_of_module
from tests.mpi.launch import mpirun

pytestmark = pytest.mark.mpi


def test_arrays_and_modules_have_the_same_bits_on_two_ranks_and_other_data_are_refused(
    tmp_path: Path,
) -> None:
    plain, own = (
        hpcfed.run(experiment, out=tmp_path / f"alone{index}", data=pair(), quiet=True)
        for index, experiment in enumerate(
            (parse_experiment("", [SETTINGS]), experiment_of_module(2))
        )
    )
    ended = mpirun(2, "-m", "tests.mpi.array_run", str(tmp_path))
    assert ended.rc == 0, ended.stderr
    digest, of_module = (run.rounds.params_digest.iloc[-1] for run in (plain, own))
    assert f"rank 0: finished, told [1, 2], {digest}" in ended.stdout
    assert f"rank 1: finished, told [], {digest}" in ended.stdout
    assert "round 2/2" in ended.stdout
    for rank in (0, 1):
        assert f"rank {rank}: module {of_module}" in ended.stdout
        assert f"rank {rank} refused: data.dataset" in ended.stdout
    assert not (tmp_path / "bad").exists()
