"""The real quickstart, shortened: the same bits on any ranks, threads and transport, and resumed.

Masks and dropouts are the quickstart's own; data, network and trainer are the real ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcfed.records.runfile import Record, read_record
from tests.mpi.launch import Ended, mpirun

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

SHORT = ("server.rounds=3", "client.steps=2", "data.classes=[0, 1, 2, 3, 10, 11]",
         "run.eval_every=3", "run.checkpoint_seconds=0.0")  # fmt: skip
WAYS = {
    1: ("uplink.transport=gather", "client.threads=1"),
    2: ("uplink.transport=reduce", "client.threads=2"),
    3: ("uplink.transport=gather", "client.threads=2"),
    5: ("uplink.transport=reduce", "client.threads=1"),
}


def quickstart(num_ranks: int, out: Path, *overrides: str, resume: bool = False) -> Ended:
    sets = [part for item in (*SHORT, *overrides) for part in ("--set", item)]
    options = ["--out", str(out), *sets, *(["--resume"] if resume else [])]
    return mpirun(num_ranks, "-m", "hpcfed", "run", "jobs/quickstart.toml", *options, limit_s=200)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Return the record of one rank with one thread."""
    out = tmp_path_factory.mktemp("alone") / "run"
    ended = quickstart(1, out, *WAYS[1])
    assert ended.rc == 0, ended.stderr
    return read_record(out)


def assert_same_bits(found: Record, expected: Record) -> None:
    assert found.params.tobytes() == expected.params.tobytes()
    for name in ("params_digest", "train_loss", "validation_loss", "test_loss", "test_accuracy",
                 "num_participants", "uplink_values", "hidden_rate"):  # fmt: skip
        np.testing.assert_array_equal(
            found.log.rounds[name], expected.log.rounds[name], err_msg=name
        )
    for name, rows in expected.log.rows().items():
        np.testing.assert_array_equal(found.log.rows()[name], rows, err_msg=name)
    np.testing.assert_array_equal(found.evaluation["confusion"], expected.evaluation["confusion"])


def test_it_masks_drops_and_learns(alone: Record) -> None:
    rounds = alone.log.rounds
    assert alone.attributes["engine"] != "auto"
    assert len({bytes(d) for d in rounds["params_digest"]}) == 3
    num_clients = len(alone.clients["num_samples"])
    assert 0 < sum(rounds["num_participants"]) < 3 * num_clients
    sent = np.array(rounds["uplink_values"]) / (
        np.array(rounds["num_participants"]) * alone.params.size
    )
    assert (np.abs(sent - 0.5) < 0.01).all()
    assert rounds["train_loss"][-1] < rounds["train_loss"][0]
    assert sum(rounds["num_rejected"]) == 0


@pytest.mark.parametrize("num_ranks", [2, 3, 5])
def test_ranks_threads_and_transports_give_the_same_bits(
    tmp_path: Path, alone: Record, num_ranks: int
) -> None:
    ended = quickstart(num_ranks, tmp_path / "a", *WAYS[num_ranks])
    assert ended.rc == 0, ended.stderr
    assert_same_bits(read_record(tmp_path / "a"), alone)


def test_a_killed_and_resumed_run_gives_the_same_bits(tmp_path: Path, alone: Record) -> None:
    script = ("-m", "tests.mpi.killed_run", "jobs/quickstart.toml", str(tmp_path / "a"), "2")
    ended = mpirun(2, *script, *SHORT, *WAYS[2], limit_s=200)
    assert ended.rc != 0
    killed = read_record(tmp_path / "a")
    assert killed.attributes["status"] == "running"
    assert killed.log.num_rounds == 1  # the second round was over, but not yet written
    ended = quickstart(1, tmp_path / "a", *WAYS[3], resume=True)
    assert ended.rc == 0, ended.stderr
    record = read_record(tmp_path / "a")
    assert [attempt["ended"] for attempt in record.attempts] == ["killed", "finished"]
    assert_same_bits(record, alone)
