"""Means, intervals and tests against values worked out by hand or tabulated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from hpcfed.report.statistics import (
    band_over_seeds,
    bootstrap_interval,
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


def test_a_bootstrap_interval_of_equal_differences_is_a_point() -> None:
    assert bootstrap_interval(np.full(4, 0.25)) == (0.25, 0.25)


def test_a_bootstrap_interval_of_many_pairs_is_near_the_normal_one() -> None:
    differences = np.random.Generator(np.random.Philox(1)).normal(1.0, 2.0, 400)
    half = 1.96 * differences.std() / 20
    expected = differences.mean() - half, differences.mean() + half
    assert bootstrap_interval(differences) == pytest.approx(expected, abs=0.02)
    assert bootstrap_interval(differences) == bootstrap_interval(differences)


def test_two_pairs_have_neither_interval_nor_effect_nor_test() -> None:
    pair = np.array([0.1, 0.2])
    assert all(map(math.isnan, (*bootstrap_interval(pair), effect_size(pair))))
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
