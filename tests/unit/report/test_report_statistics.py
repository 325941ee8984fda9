"""Means, intervals and tests against values worked out by hand or tabulated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from hpcfed.report.statistics import (
    FRACTION,
    LEVEL,
    band_over_seeds,
    effect_size,
    holm,
    mean_over_seeds,
    paired_p_value,
    pareto_front,
)

NAN = math.nan


def test_an_interval_is_students_t() -> None:
    found = mean_over_seeds([1.0, 2.0, 3.0, NAN])
    assert (found.count, found.mean, found.sd) == (3, 2.0, 1.0)
    half = 4.302653 / math.sqrt(3)  # the tabulated t for two degrees of freedom
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), rel=1e-6)


@pytest.mark.parametrize(("values", "mean"), [([], NAN), ([0.5], 0.5), ([0.5, 1.0, NAN], 0.75)])
def test_fewer_than_three_values_have_no_interval(values: list[float], mean: float) -> None:
    found = mean_over_seeds(values)
    assert found.mean == pytest.approx(mean, nan_ok=True)
    assert all(map(math.isnan, (found.sd, found.low, found.high)))


def test_a_band_is_the_interval_of_each_round() -> None:
    curves = np.array([[1.0, 5.0, NAN], [2.0, NAN, NAN], [3.0, 7.0, NAN]])
    mean, low, high = band_over_seeds(curves)
    first = mean_over_seeds([1.0, 2.0, 3.0])
    assert mean[:2].tolist() == [2.0, 6.0]
    assert (low[0], high[0]) == pytest.approx((first.low, first.high))
    assert np.isnan([low[1], high[1], mean[2]]).all()


@pytest.mark.parametrize("count", [3, 5, 10])
def test_intervals_cover_what_they_say(count: int) -> None:
    draws = np.random.Generator(np.random.Philox(count)).normal(0.7, 0.05, (4000, 2, count))
    error = math.sqrt(LEVEL * (1 - LEVEL) / len(draws))
    means = [mean_over_seeds(row) for row in draws[:, 0]]
    paired = [mean_over_seeds(first - second) for first, second in draws]
    _, low, high = band_over_seeds(draws[:, 0].T)
    covered = {
        "mean": np.mean([found.low <= 0.7 <= found.high for found in means]),
        "difference": np.mean([found.low <= 0 <= found.high for found in paired]),
        "band": np.mean((low <= 0.7) & (high >= 0.7)),
    }
    assert covered == pytest.approx(dict.fromkeys(covered, LEVEL), abs=3 * error)
    # an interval and the test beside it say the same
    for found, (first, second) in zip(paired[:200], draws, strict=False):
        is_zero_outside = not found.low <= 0 <= found.high
        assert is_zero_outside == (paired_p_value(first - second) < 1 - LEVEL)


@pytest.mark.parametrize("values", [[0.98, 1.0, 0.9], [0.0, 0.02, 0.1]])
def test_intervals_of_accuracies_end_at_nothing_and_everything(values: list[float]) -> None:
    free, found = mean_over_seeds(values), mean_over_seeds(values, FRACTION)
    assert free.low < 0 or free.high > 1
    assert (found.low, found.high) == (max(0.0, free.low), min(1.0, free.high))
    _, low, high = band_over_seeds(np.array(values)[:, None], FRACTION)
    assert (low[0], high[0]) == pytest.approx((found.low, found.high))


def test_two_pairs_have_neither_interval_nor_effect_nor_test() -> None:
    pair = np.array([0.1, 0.2])
    assert all(map(math.isnan, (mean_over_seeds(pair).low, effect_size(pair))))
    assert math.isnan(paired_p_value(pair))


def test_effect_and_p_value_of_a_worked_example() -> None:
    differences = np.array([1.0, 2.0, 3.0])
    assert effect_size(differences) == 2.0  # mean 2, standard deviation 1
    assert paired_p_value(differences) == pytest.approx(ttest_rel(differences, np.zeros(3)).pvalue)
    assert paired_p_value(np.zeros(3)) == 1.0


def test_holm_multiplies_the_smallest_by_the_number_of_tests() -> None:
    assert holm([0.01, 0.04, NAN, 0.03]) == pytest.approx([0.03, 0.06, NAN, 0.06], nan_ok=True)
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_front_keeps_what_is_cheapest_for_its_gain() -> None:
    costs, gains = [1, 2, 3, 3, 4, NAN], [0.2, 0.1, 0.5, 0.4, 0.5, 0.9]
    assert pareto_front(costs, gains).tolist() == [True, False, True, False, False, False]
    assert pareto_front([1, 1], [2, 2]).tolist() == [True, True]
