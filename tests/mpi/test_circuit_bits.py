"""Probabilistic neurons and winner-take-all circuits, federated: the same bits.

On any number of ranks and threads, by both transports, and after a kill, also in the middle of a
sample that takes several rounds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hpcfed.records.runfile import Record, read_record
from tests.mpi.launch import mpirun

pytestmark = pytest.mark.mpi

OnRanks = Callable[[int], dict[str, Record]]

JOB = """
[data]
dataset = "timing"
num_bins = 24
[data.generated]
samples = 40
test_samples = 30
neurons = 11
[partition]
kind = "iid"
num_clients = 5
[client]
batch_size = 1
optimizer = "sgd"
learning_rate = 0.05
[participation]
drop_probability = 0.3
[server]
rounds = 4
[run]
eval_every = 2
"""
GLM, WTA = "rule.kind=glm", "rule.kind=wta"
WHOLE = ("rule.circuit.hidden=3", "rule.circuit.feedback=true", "rule.circuit.lateral=true")
TWO = ("uplink.mask=groups", "uplink.groups=2", "server.average=received")
WAYS = {
    "visible": (GLM,),
    "hidden": (GLM, *WHOLE, "evaluation.draws=3"),
    "circuits": (WTA, *WHOLE, "server.optimizer=momentum"),
    "bases": (GLM, *TWO),
    "bases in a mask": (WTA, "rule.circuit.hidden=3", *TWO, "uplink.mask_probability=0.4",
                        "uplink.error_feedback=true"),
    "signs of bases": (GLM, *TWO, "uplink.dtype=sign"),
    "parts of samples": (GLM, *WHOLE, "rule.circuit.bins=7"),
    "parts by bases": (WTA, *WHOLE, "rule.circuit.bins=7", *TWO, "uplink.dtype=int8",
                       "uplink.error_feedback=true"),
    "every third bin": (WTA, "rule.circuit.every=3", "uplink.mask=bernoulli",
                        "uplink.mask_probability=0.5"),
}  # fmt: skip
PLACES = {
    1: ("uplink.transport=gather",),
    2: ("uplink.transport=reduce", "client.threads=2"),
    3: ("uplink.transport=gather", "client.threads=2"),
    5: ("uplink.transport=reduce",),
}


def trained(folder: Path, num_ranks: int) -> dict[str, Record]:
    """Run all ways on so many ranks, in one start."""
    (folder / "job.toml").write_text(JOB)
    runs = [
        {"job": str(folder / "job.toml"), "sets": [*sets, *PLACES[num_ranks]],
         "out": str(folder / name)}
        for name, sets in WAYS.items()
    ]  # fmt: skip
    (folder / "runs.json").write_text(json.dumps(runs))
    command = ("-m", "tests.mpi.toy_run", "many", str(folder / "runs.json"))
    ended = mpirun(num_ranks, *command, limit_s=240)
    assert ended.rc == 0, ended.stderr
    return {name: read_record(folder / name) for name in WAYS}


@pytest.fixture(scope="module")
def on_ranks(tmp_path_factory: pytest.TempPathFactory) -> OnRanks:
    """Return all ways on so many ranks; each number is started once."""
    return cache(lambda number: trained(tmp_path_factory.mktemp(f"ranks{number}"), number))


@pytest.fixture(scope="module")
def alone(on_ranks: OnRanks) -> dict[str, Record]:
    return on_ranks(1)


def assert_same_bits(found: Record, expected: Record) -> None:
    assert found.params.tobytes() == expected.params.tobytes()
    free = ("seconds_", "mpi_bytes", "predicted_bytes")
    for name, column in expected.log.rounds.items():
        if not name.startswith(free):
            np.testing.assert_array_equal(found.log.rounds[name], column, err_msg=name)
    for sent, others in zip(found.log.groups, expected.log.groups, strict=True):
        assert sent.tolist() == others.tolist()
    units = expected.evaluation["example_units"]
    for name, values in units.items():
        np.testing.assert_array_equal(found.evaluation["example_units"][name], values)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("num_ranks", [2, 3, 5])
def test_ranks_threads_and_transports_give_the_same_bits(
    alone: dict[str, Record], on_ranks: OnRanks, name: str, num_ranks: int
) -> None:
    assert_same_bits(on_ranks(num_ranks)[name], alone[name])


@pytest.mark.parametrize("name", WAYS)
def test_every_way_changes_the_parameters_in_each_round(
    alone: dict[str, Record], name: str
) -> None:
    rounds = alone[name].log.rounds
    assert len({bytes(d) for d in rounds["params_digest"]}) == 4
    assert np.isfinite(rounds["log_likelihood"]).all()
    assert np.isfinite(rounds["test_loss"][1::2]).all()
    assert sum(rounds["num_rejected"]) == 0


@pytest.mark.parametrize("name", ["bases", "bases in a mask", "signs of bases", "parts by bases"])
def test_each_client_sends_two_of_eight_bases(alone: dict[str, Record], name: str) -> None:
    record = alone[name]
    for sent, count in zip(record.log.groups, record.log.rounds["num_participants"], strict=True):
        assert sent.shape == (8,)
        assert sent.sum() == 2 * count


def test_two_of_eight_bases_are_counted_to_the_byte(alone: dict[str, Record]) -> None:
    """Kernels of 8 bases, 2 units and 11 inputs; 2 biases are sent whole."""
    rounds = alone["bases"].log.rounds
    for number, count in enumerate(rounds["num_participants"]):
        assert rounds["uplink_values"][number] == count * (2 * 22 + 2)
        assert rounds["uplink_bytes_seed"][number] == count * (4 * (2 * 22 + 2) + 2)


@pytest.mark.parametrize(
    "name", ["hidden", "bases in a mask", "parts of samples", "parts by bases"]
)
def test_a_killed_run_goes_on_with_the_same_bits(
    alone: dict[str, Record], tmp_path: Path, name: str
) -> None:
    (tmp_path / "job.toml").write_text(JOB)
    out = str(tmp_path / "run")
    command = ("-m", "tests.mpi.killed_run", str(tmp_path / "job.toml"), out, "3", *WAYS[name])
    killed = mpirun(2, *command, "run.checkpoint_seconds=0.0", limit_s=120)
    assert killed.rc != 0
    assert read_record(tmp_path / "run").checkpoint["round"] == 2
    sets = [part for item in WAYS[name] for part in ("--set", item)]
    resumed = mpirun(3, "-m", "hpcfed", "run", str(tmp_path / "job.toml"), "--quiet", "--resume",
                     "--out", out, *sets, limit_s=120)  # fmt: skip
    assert resumed.rc == 0, resumed.stderr
    assert_same_bits(read_record(tmp_path / "run"), alone[name])
