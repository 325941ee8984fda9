"""Probabilistic neurons and winner-take-all circuits, federated: the same bits.

On any number of ranks and threads, by both transports, and after a kill, also in the middle of a
sample that takes several rounds.
"""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.records.runfile import Record
from tests.mpi.ways import OnRanks, Resumed, assert_same_rounds

pytestmark = pytest.mark.mpi

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
CUT = {"hidden": 3, "bases in a mask": 3, "parts of samples": 3, "parts by bases": 3}


@pytest.mark.parametrize("name", WAYS)
def test_ranks_threads_and_transports_give_the_same_bits(
    alone: dict[str, Record], on_ranks: OnRanks, name: str
) -> None:
    assert_same_rounds(on_ranks(3)[name], alone[name])


@pytest.mark.parametrize("name", WAYS)
def test_every_way_changes_the_parameters_in_each_round(
    alone: dict[str, Record], name: str
) -> None:
    rounds = alone[name].log.rounds
    assert len({bytes(d) for d in rounds["params_digest"]}) == 4
    assert alone[name].evaluation["example_units"]
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


@pytest.mark.parametrize("name", CUT)
def test_what_a_kill_would_leave_goes_on_with_the_same_bits(
    alone: dict[str, Record], resumed: Resumed, name: str
) -> None:
    assert_same_rounds(resumed(name), alone[name])
