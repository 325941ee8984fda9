"""The real quickstart, shortened: the same bits on any ranks, threads and transport, and resumed.

Masks and dropouts are the quickstart's own; data, network and trainer are the real ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcfed.records.runfile import Record, read_record
from tests.mpi.launch import mpirun
from tests.mpi.ways import PLACES, OnRanks, assert_same_rounds
from tests.places import REPOSITORY

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

JOB = (REPOSITORY / "jobs" / "quickstart.toml").read_text()
SHORT = ("server.rounds=3", "client.steps=2", "data.classes=[0, 1, 2, 3, 10, 11]",
         "run.eval_every=3", "run.checkpoint_seconds=0.0")  # fmt: skip
WAYS = {"quickstart": SHORT}


def test_it_masks_drops_and_learns(alone: dict[str, Record]) -> None:
    record = alone["quickstart"]
    rounds = record.log.rounds
    assert record.attributes["engine"] != "auto"
    assert len({bytes(d) for d in rounds["params_digest"]}) == 3
    num_clients = len(record.clients["num_samples"])
    assert 0 < sum(rounds["num_participants"]) < 3 * num_clients
    sent = np.array(rounds["uplink_values"]) / (
        np.array(rounds["num_participants"]) * record.params.size
    )
    assert (np.abs(sent - 0.5) < 0.01).all()
    assert rounds["train_loss"][-1] < rounds["train_loss"][0]
    assert sum(rounds["num_rejected"]) == 0


def test_ranks_threads_and_transports_give_the_same_bits(
    alone: dict[str, Record], on_ranks: OnRanks
) -> None:
    assert_same_rounds(on_ranks(3)["quickstart"], alone["quickstart"])


def test_a_killed_and_resumed_run_gives_the_same_bits(
    tmp_path: Path, alone: dict[str, Record]
) -> None:
    job, out = "jobs/quickstart.toml", tmp_path / "a"
    script = ("-m", "tests.mpi.killed_run", job, str(out), "2")
    assert mpirun(2, *script, *SHORT, *PLACES[2], limit_s=200).rc != 0
    killed = read_record(out)
    assert killed.attributes["status"] == "running"
    assert killed.log.num_rounds == 1  # the second round was over, but not yet written
    sets = [part for item in (*SHORT, *PLACES[3]) for part in ("--set", item)]
    ended = mpirun(1, "-m", "hpcfed", "run", job, "--resume", "--out", str(out), *sets, limit_s=200)
    assert ended.rc == 0, ended.stderr
    record = read_record(out)
    assert [attempt["ended"] for attempt in record.attempts] == ["killed", "finished"]
    assert_same_rounds(record, alone["quickstart"])
