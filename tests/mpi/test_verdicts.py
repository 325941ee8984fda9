"""Runs that end early say why: the same counts on any ranks and by either engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcfed.records.runfile import Record, read_record
from hpcfed.report.summary import summary
from tests.mpi.launch import Ended, mpirun

pytestmark = pytest.mark.mpi

SILENT = ("model.threshold=1000.0", "stop.saturated=0.95")
FEW = ("server.rounds=6", "participation.drop_probability=0.5", "client.steps=2")


def quickstart(num_ranks: int, out: Path, *overrides: str, resume: bool = False) -> Ended:
    sets = [part for item in (*FEW, *overrides) for part in ("--set", item)]
    options = ["--resume"] if resume else []
    return mpirun(num_ranks, "-m", "hpcfed", "run", "quickstart", "--quiet", "--out", str(out),
                  *sets, *options, limit_s=120)  # fmt: skip


def record(num_ranks: int, out: Path, *overrides: str) -> Record:
    ended = quickstart(num_ranks, out, *overrides)
    assert ended.rc == 0, ended.stderr
    return read_record(out)


def test_a_silent_network_ends_after_a_round_and_is_finished(tmp_path: Path) -> None:
    found = record(2, tmp_path / "a", *SILENT)
    assert (found.attributes["status"], found.attributes["verdict"]) == ("finished", "silent")
    assert found.log.num_rounds == 1
    assert found.log.rounds["silent_samples"] == [1.0]
    assert ("status", "finished, silent") in list(summary(tmp_path / "a"))
    again = quickstart(1, tmp_path / "a", *SILENT, resume=True)
    assert again.rc == 0, again.stderr
    assert read_record(tmp_path / "a").log.num_rounds == 1


def test_without_a_rule_it_goes_on(tmp_path: Path) -> None:
    found = record(1, tmp_path / "a", "model.threshold=1000.0", "server.rounds=2")
    assert (found.log.num_rounds, found.attributes["verdict"]) == (2, "")
    assert found.log.rounds["silent_samples"] == [1.0, 1.0]


def test_counts_are_the_same_on_three_ranks_and_by_the_other_engine(tmp_path: Path) -> None:
    sets = ("stop.silent.alpha=60", "stop.silent.beta=1.0", "server.rounds=2")
    alone = record(1, tmp_path / "a", *sets)
    activity = np.stack(alone.log.activity)
    assert 0 < activity[..., 1].sum() < activity[..., 0].sum()
    three = record(3, tmp_path / "b", *sets, "uplink.transport=gather")
    np.testing.assert_array_equal(np.stack(three.log.activity), activity)
    norse = record(1, tmp_path / "c", *sets, "client.engine=norse")
    np.testing.assert_array_equal(norse.log.activity[0], activity[0])  # of the same parameters
    batches = 2 * np.array(alone.log.rounds["num_participants"])
    assert (activity[..., 0] <= 32 * batches[:, None]).all()


def test_a_run_whose_updates_are_all_rejected_has_diverged(tmp_path: Path) -> None:
    wild = ("client.optimizer=sgd", "client.learning_rate=1e15", "stop.saturated=0.95")
    found = record(2, tmp_path / "a", *wild)
    assert found.attributes["verdict"] == "diverged"
    assert found.log.num_rounds < 6
