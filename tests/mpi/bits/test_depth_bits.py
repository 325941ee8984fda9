"""Repeated blocks of mixed depth: the same bits on any ranks, threads, transports, after a kill."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.records.runfile import Record
from tests.mpi.ways import OnRanks, Resumed, assert_same_rounds

pytestmark = pytest.mark.mpi

JOB = """
[data]
dataset = "digits"
duration = 0.03
num_bins = 3
validation_fraction = 0.1
[model]
hidden = ["4c3", ["repeat", "4x3", "4c3"], "p2", "p"]
init = "xavier"
[client]
steps = 2
batch_size = 16
optimizer = "sgd"
learning_rate = 0.05
[participation]
drop_probability = 0.3
[server]
rounds = 3
[run]
eval_every = 3
"""
WAYS = {
    "dealt": ("model.kind=ann", "model.norm=group", "model.repeat.depths=[1,3]",
              "model.repeat.curve=[1,2,5]"),
    "drawn": ("model.kind=ann", "model.norm=batch", "model.repeat.depths=[1,2,3]",
              "model.repeat.drawn=true", "uplink.mask=bernoulli", "uplink.mask_probability=0.5"),
    "spiking": ("model.neuron=leaky", "model.norm=bntt", "model.repeat.depths=[1,3]",
                "model.repeat.step=1", "uplink.error_feedback=true", "uplink.dtype=float16"),
    "binary": ("model.kind=ann", "model.norm=group", "rule.kind=bayes", "model.repeat.depths=[1,3]",
               "model.repeat.curve=[1,4]", "rule.binary.sends=bits", "uplink.dtype=sign"),
    "carried": ("model.neuron=leaky", "model.repeat.depths=[2,3]",
                "model.repeat.neurons=carried", "model.repeat.time=false"),
}  # fmt: skip
CUT = {"drawn": 2, "spiking": 2}


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


def test_the_run_file_says_who_repeats_how_often(alone: dict[str, Record]) -> None:
    dealt, drawn = alone["dealt"], alone["drawn"]
    assert dealt.clients["depth"].tolist() == [1, 3] * 5
    for clients, depths in zip(
        dealt.log.participations["client"], dealt.log.participations["depth"], strict=True
    ):
        assert depths.tolist() == [[1, 3][client % 2] for client in clients]
    assert "depth" not in drawn.clients
    seen = np.concatenate(drawn.log.participations["depth"])
    assert set(seen.tolist()) == {1, 2, 3}
    assert all(np.concatenate(dealt.log.participations["seconds_client"]) > 0)


def test_the_curve_is_of_the_last_network(alone: dict[str, Record]) -> None:
    record = alone["dealt"]
    assert record.curves["depths"]["depth"].tolist() == [1, 2, 5]
    assert np.isfinite(record.curves["depths"]["test_loss"]).all()
    assert len(set(record.curves["depths"]["test_loss"].tolist())) == 3
    first, second = np.diff(record.curves["depths"]["operations"]).tolist()
    assert second == 3 * first > 0
    assert "depths" not in alone["drawn"].curves
