"""The grid of exact sums, by hand: scale, rounding, limits."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.federation.uplink.exact import GRID_BITS, LIMIT, Totals, admissible, grid


@pytest.mark.parametrize(
    ("weights", "shift"),
    [([1], 0), ([1, 1], 1), ([1, 2], 2), ([3, 5], 3), ([3, 6], 4), ([2**40], 40), ([2**40, 1], 41)],
)
def test_the_shift_is_the_logarithm_of_all_weights_rounded_up(
    weights: list[int], shift: int
) -> None:
    assert grid(np.array(weights)).shift == shift
    assert sum(weights) <= 2**shift < 2 * sum(weights)


def test_an_entry_becomes_its_weighted_value_in_steps_of_two_to_the_minus_50() -> None:
    values = np.array([1.0, -2.0, 0.0, 0.5], np.float32)
    integers = grid(np.array([3, 5])).integers(values, 3)
    assert integers.dtype == np.int64
    assert integers.tolist() == [3 * 2**47, -6 * 2**47, 0, 3 * 2**46]


def test_halves_are_rounded_to_even() -> None:
    half = 2.0**-51
    values = np.array([half, 3 * half, 5 * half, -half, -3 * half], np.float32)
    assert grid(np.array([1])).integers(values, 1).tolist() == [0, 2, 2, 0, -2]


def test_reals_undo_integers_up_to_the_weight() -> None:
    of_five = grid(np.array([2, 3]))
    sums = of_five.integers(np.array([0.25]), 2) + of_five.integers(np.array([-1.0]), 3)
    assert of_five.reals(sums).tolist() == [2 * 0.25 - 3.0]


def test_the_largest_admissible_updates_of_all_clients_do_not_overflow() -> None:
    largest = np.nextafter(np.float32(LIMIT), np.float32(0))
    weights = np.array([1 << 20] * 8)  # they fill the grid: their sum is a power of two
    total, exactly = np.zeros(1, np.int64), 0
    for weight in weights.tolist():
        total += grid(weights).integers(np.array([largest]), weight)
        exactly += int(float(largest) * 2.0**GRID_BITS) // len(weights)
    assert total.tolist() == [exactly]
    assert 2**61 < exactly < 2**62


@pytest.mark.parametrize(
    ("value", "factor", "fine"),
    [
        (0.0, 1.0, True),
        (4095.9998, 1.0, True),
        (-4095.9998, 1.0, True),
        (4096.0, 1.0, False),
        (-4096.0, 1.0, False),
        (1024.0, 3.9, True),
        (1024.0, 4.0, False),
        (np.nan, 1.0, False),
        (np.inf, 1.0, False),
        (-np.inf, 1.0, False),
    ],
)
def test_an_update_counts_if_it_is_finite_and_below_the_limit(
    value: float, factor: float, fine: bool
) -> None:
    assert admissible(np.array([0.0, value, 1.0], np.float32), factor) is fine


def test_an_update_without_entries_counts() -> None:
    assert admissible(np.zeros(0, np.float32)) is True


def test_totals_add_at_the_entries_that_were_sent() -> None:
    totals = Totals.zeros(4, per_entry=True)
    totals.add(np.array([1, 3]), np.array([5, -10], np.float32), 2.0, 7)
    totals.add(slice(None), np.array([1, 2, 3, 4], np.float32), 1.0, 2)
    assert totals.sums.tolist() == [1, 12, 3, -16]
    assert totals.arrived is not None
    assert totals.arrived.tolist() == [2, 9, 2, 9]


def test_nobody_counts_arrivals_unless_asked() -> None:
    totals = Totals.zeros(2, per_entry=False)
    totals.add(np.array([0]), np.array([1], np.float32), 3.0, 5)
    assert totals.sums.tolist() == [3, 0]
    assert totals.arrived is None
