"""Soft-LIF networks: the same bits on any ranks, threads, transports, after a kill."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.records.runfile import Record
from tests.mpi.ways import OnRanks, Resumed, assert_same_rounds

pytestmark = pytest.mark.mpi

JOB = """
[data]
dataset = "digits"
duration = 0.02
num_bins = 20
validation_fraction = 0.1
[model]
kind = "soft-lif"
hidden = ["4c3", "p2", "d0.2", 9]
init = "xavier"
[model.soft_lif]
noise = 10.0
windows = [0.01, 0.03]
[client]
steps = 2
batch_size = 16
learning_rate = 0.01
[participation]
drop_probability = 0.3
[server]
rounds = 3
[run]
eval_every = 3
"""
WAYS = {
    "plain": (),
    "normed": ("model.norm=batch", "model.norm_shift=true", "uplink.mask=bernoulli",
               "uplink.mask_probability=0.5", "uplink.error_feedback=true",
               "model.soft_lif.synapse=0.003"),
}  # fmt: skip
CUT = {"normed": 2}
SPLITS = ("validation", "test")


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


def test_rates_stand_beside_spikes_in_columns_and_over_windows(alone: dict[str, Record]) -> None:
    record = alone["plain"]
    rounds, windows = record.log.rounds, record.curves["windows"]
    assert windows["window"].tolist() == [0.01, 0.03]
    for split in SPLITS:
        assert np.isfinite(rounds[f"{split}_rate_loss"][-1])
        assert rounds[f"{split}_rate_loss"][-1] != rounds[f"{split}_loss"][-1]
        rates = windows[f"{split}_rate_accuracy"].tolist()
        assert rates == [rounds[f"{split}_rate_accuracy"][-1]] * 2
        short, long = windows[f"{split}_spikes_per_sample"].tolist()
        assert 0 <= short < rounds["spikes_per_sample"][-1] < long
    assert np.isnan(rounds["test_rate_loss"][0])  # not evaluated
    assert np.isnan(rounds["hidden_rate"]).all()  # no spikes in training
    assert record.evaluation["example_spikes"]["hidden0"].shape[1] == 20
