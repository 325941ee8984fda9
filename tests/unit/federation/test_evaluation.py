"""Evaluation: figures by hand, and the same bits however the batches are divided."""

from __future__ import annotations

from dataclasses import replace
from typing import Any  # what a trainer is given

import numpy as np
import pytest

from hpcfed.config import DataConfig
from hpcfed.config.file import parse_experiment
from hpcfed.federation import evaluation
from hpcfed.federation.evaluation import evaluate
from hpcfed.learning.trainer import Answers, BatchResult
from hpcfed.samples.samples import Shape
from tests import toy_world
from tests.federation_worlds import LoneTransport

EXPERIMENT = parse_experiment("", toy_world.SETS)
TRAINER = toy_world.make_trainer(EXPERIMENT, Shape((5,), 3))
PARAMS = np.zeros(TRAINER.layout.size, np.float32)


def events(*group_sizes: int):
    return toy_world.events(group_sizes, DataConfig(num_bins=4))


def test_the_figures_of_five_samples() -> None:
    # labels 0 1 2 0 1, predictions 0 1 0 1 0, losses 0.0 to 0.4, groups 0 0 1 1 1
    result = evaluate(LoneTransport(), TRAINER, PARAMS, events(2, 3), np.arange(5))
    assert result is not None
    assert result.confusion.tolist() == [[1, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert (result.num_samples, result.accuracy) == (5, 0.4)
    assert result.loss == pytest.approx(0.2, rel=1e-12)
    assert result.group_correct.tolist() == [2, 0]
    assert result.group_total.tolist() == [2, 3]
    assert result.spikes.tolist() == [15]
    assert result.input_rate == 5 / (5 * 4 * 5)


def test_what_rates_answer_stands_beside_what_spikes_do() -> None:
    class Rated(toy_world.ToyTrainer):
        def evaluate(self, *given: Any) -> BatchResult:
            found = super().evaluate(*given)
            return replace(found, rates=Answers(found.losses + 1, found.predictions * 0))

    rated = Rated(EXPERIMENT, TRAINER.layout)
    result = evaluate(LoneTransport(), rated, PARAMS, events(2, 3), np.arange(5))
    assert result is not None
    assert (result.accuracy, result.rate_accuracy) == (0.4, 0.4)  # labels 0 1 2 0 1: two are 0
    assert result.rate_loss == pytest.approx(1.2, rel=1e-12)
    assert result.spikes_per_sample == 3
    plain = evaluate(LoneTransport(), TRAINER, PARAMS, events(2, 3), np.arange(5))
    assert plain is not None
    assert np.isnan([plain.rate_accuracy, plain.rate_loss]).all()


def test_only_the_samples_asked_for_count() -> None:
    result = evaluate(LoneTransport(), TRAINER, PARAMS, events(2, 3), np.array([1, 4]))
    assert result is not None
    assert result.confusion.tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert result.group_total.tolist() == [1, 1]


@pytest.mark.parametrize("size", [2, 3, 5])
def test_ranks_add_up_to_the_same_bits_as_one_rank(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "BATCH_SIZE", 4)
    data, samples = events(9, 10), np.arange(1, 19)
    alone = LoneTransport()
    evaluate(alone, TRAINER, PARAMS + 0.1, data, samples)
    ranks = [LoneTransport(rank, size) for rank in range(size)]
    results = [evaluate(t, TRAINER, PARAMS + 0.1, data, samples) for t in ranks]
    assert [result is None for result in results] == [False] + [True] * (size - 1)
    assert sum(t.sums[0] for t in ranks).tolist() == alone.sums[0].tolist()


def test_batches_hold_the_same_samples_on_any_number_of_ranks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluation, "BATCH_SIZE", 4)
    for size in (1, 2, 5):
        seen = []

        class Spy(toy_world.ToyTrainer):
            def evaluate(self, params, events, samples, seen=seen) -> BatchResult:
                seen.append(samples.tolist())
                return super().evaluate(params, events, samples)

        spy = Spy(EXPERIMENT, TRAINER.layout)
        for rank in range(size):
            evaluate(LoneTransport(rank, size), spy, PARAMS, events(10), np.arange(10))
        assert sorted(seen) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 4096.0])
def test_one_loss_that_is_no_number_makes_the_mean_nan_and_leaves_the_accuracy(bad: float) -> None:
    class Broken(toy_world.ToyTrainer):
        def evaluate(self, params, events, samples) -> BatchResult:
            result = super().evaluate(params, events, samples)
            result.losses[0] = bad
            return result

    trainer = Broken(EXPERIMENT, TRAINER.layout)
    result = evaluate(LoneTransport(), trainer, PARAMS, events(2, 3), np.arange(5))
    assert result is not None
    assert np.isnan(result.loss)
    assert result.accuracy == 0.4
