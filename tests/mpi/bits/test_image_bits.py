"""Convolutions on images, with norms, spikes by words, masks and statistics: the same bits.

On any number of ranks and threads, by both transports, and after a kill.
"""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.records.runfile import Record
from tests.mpi.ways import OnRanks, Resumed, assert_same_rounds

pytestmark = pytest.mark.mpi

JOB = """
[data]
dataset = "digits"
num_bins = 4
duration = 0.04
[model]
hidden = ["4c3", "p2", "6c3", 12]
neuron = "leaky"
norm = "bntt"
readout = "current"
surrogate = "triangle"
init = "xavier"
[client]
steps = 2
[participation]
drop_probability = 0.3
[uplink]
mask = "bernoulli"
mask_probability = 0.5
[server]
rounds = 2
optimizer = "adam"
"""
BLOCKS = 'model.hidden=["4c3", ["6c3s2", "6c3"], "p2", 12]'
WAYS = {
    "norms by steps": ("server.rounds=3",),
    "norms that stay": (BLOCKS, "model.norm_federate=local", "uplink.noise=0.3",
                        "partition.kind=dirichlet-capped", "partition.num_clients=6"),
    "pooled": (BLOCKS, "model.norm_variance=pooled", "model.norm_freeze_after=1",
               "model.residual=spike-add"),
}  # fmt: skip
CUT = {"norms by steps": 3, "norms that stay": 2}


@pytest.mark.parametrize("name", WAYS)
def test_ranks_threads_and_transports_give_the_same_bits(
    alone: dict[str, Record], on_ranks: OnRanks, name: str
) -> None:
    assert_same_rounds(on_ranks(3)[name], alone[name])


@pytest.mark.parametrize("name", CUT)
def test_what_a_kill_would_leave_goes_on_with_the_same_bits(
    alone: dict[str, Record], resumed: Resumed, name: str
) -> None:
    assert_same_rounds(resumed(name), alone[name])


def test_the_run_file_says_what_is_averaged_and_who_the_clients_are(
    alone: dict[str, Record],
) -> None:
    record = alone["norms by steps"]
    assert dict(zip(*record.layout, strict=True))["hidden1.variance"] == (4, 6)
    assert record.clients["group"].tolist() == [f"form {k}" for k in range(10)]


def test_norms_that_stay_are_in_memories_and_not_in_the_global_parameters(
    alone: dict[str, Record],
) -> None:
    record = alone["norms that stay"]
    assert record.checkpoint["memory"] == "memory-2.npy"
    ends = np.cumsum([int(np.prod(shape)) for shape in record.layout[1]])
    parts = dict(zip(record.layout[0], np.split(record.params, ends[:-1]), strict=True))
    assert (parts["hidden1.scale"] == 1).all()
    assert (parts["hidden1.variance"] == 1).all()
    assert (parts["hidden2.shortcut.mean"] == 0).all()
    sent = sum(int(np.prod(shape)) for name, shape in zip(*record.layout, strict=True)
               if name.endswith(("input", "readout")))  # fmt: skip
    assert max(record.log.rounds["uplink_values"]) <= 6 * sent
