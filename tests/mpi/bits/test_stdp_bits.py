"""Spike-timing-dependent plasticity, federated: the same bits.

On any number of ranks and threads, by both transports, and after a kill.
"""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.networks.layout import Layout
from hpcfed.records.runfile import Record
from tests.mpi.ways import OnRanks, Resumed, assert_same_rounds

pytestmark = pytest.mark.mpi

JOB = """
[data]
dataset = "digits"
classes = [0, 1, 7]
duration = 0.05
num_bins = 50
validation_fraction = 0.0
[partition]
kind = "iid"
num_clients = 5
[rule]
kind = "stdp"
[rule.stdp]
neurons = 12
norm = 40.0
[client]
steps = 1
batch_size = 8
optimizer = "sgd"
learning_rate = 0.01
[participation]
drop_probability = 0.3
[server]
rounds = 4
average = "received"
[run]
eval_every = 2
"""
SPIKES = "server.client_weights=spikes"
WAYS = {
    "by spikes": (SPIKES, "rule.stdp.prediction=counts", "uplink.mask=bernoulli",
                  "uplink.mask_probability=0.5", "uplink.error_feedback=true"),
    "union": ("rule.stdp.blocks=3", SPIKES, "uplink.mask=groups", "uplink.groups=1"),
    "events": ("data.dataset=timing", "data.classes=[0, 1]", "data.generated.samples=40",
               "data.generated.test_samples=30", "rule.stdp.norm=90.0", "uplink.noise=0.1",
               "server.average=participants", "uplink.dtype=int8",
               "rule.stdp.prediction=proportion"),
}  # fmt: skip
CUT = {"union": 3}


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
    assert len({bytes(digest) for digest in rounds["params_digest"]}) == 4
    assert sum(rounds["num_rejected"]) == 0
    assert not np.isfinite(rounds["train_loss"]).any()
    assert (np.array(rounds["hidden_rate"]) > 0).all()


def test_the_root_has_counted_every_sample_that_was_shown(alone: dict[str, Record]) -> None:
    for name in WAYS:
        record = alone[name]
        layout = Layout.of(dict(zip(*record.layout, strict=True)))
        shown = layout.split(record.params)["shown"]
        assert shown.sum() == 8 * sum(record.log.rounds["num_participants"])


def test_a_client_sends_its_block_alone(alone: dict[str, Record]) -> None:
    """A third of 12 neurons with 64 weights; theta and counts of all are sent whole."""
    rounds = alone["union"].log.rounds
    for number, count in enumerate(rounds["num_participants"]):
        assert rounds["uplink_values"][number] == count * (4 * 64 + 12 + 12 * 3 + 3 * 3)


@pytest.mark.parametrize("name", CUT)
def test_what_a_kill_would_leave_goes_on_with_the_same_bits(
    alone: dict[str, Record], resumed: Resumed, name: str
) -> None:
    assert_same_rounds(resumed(name), alone[name])
