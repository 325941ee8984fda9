"""Means with intervals, paired differences and Pareto fronts; each says how it was made.

Intervals are Student's: of n values they hold what they promise, whatever n from 3 on, where the
values are normal. A percentile bootstrap of 3 values covers 76 % where it says 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

LEVEL = 0.95
SIGNIFICANT = 0.05
FEWEST = 3  # an interval of fewer values says next to nothing: points are drawn instead
ANY = -math.inf, math.inf
FRACTION = 0.0, 1.0  # the values that an accuracy can have
DIFFERENCE = -1.0, 1.0  # and those of a difference of two
T_INTERVAL = "95 % Student t interval of the mean over seeds; none for fewer than 3 seeds"
PAIRED_INTERVAL = (
    "95 % Student t interval of the mean paired difference; none for fewer than 3 pairs"
)
Limits = tuple[float, float]


@dataclass(frozen=True)
class Mean:
    """A mean over ``count`` known values; sd and the interval are NaN where there are too few."""

    count: int
    mean: float
    sd: float
    low: float
    high: float


def limits_of(quantity: str, difference: bool = False) -> Limits:
    """Return the least and the greatest value of a quantity, or of its difference, by its name."""
    if not quantity.endswith("accuracy"):
        return ANY
    return DIFFERENCE if difference else FRACTION


def mean_over_seeds(values: Sequence[float] | F64, limits: Limits = ANY) -> Mean:
    """Return the mean of the known values, their standard deviation and Student's t interval.

    NaN is not known and not counted. From three values on there is a standard deviation (divisor
    n - 1) and an interval of LEVEL, which ends at ``limits``.
    """
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    count = len(known)
    mean = float(known.mean()) if count else math.nan
    if count < FEWEST:
        return Mean(count, mean, math.nan, math.nan, math.nan)
    sd = float(known.std(ddof=1))
    half = critical(count - 1) * sd / math.sqrt(count)
    return Mean(count, mean, sd, max(mean - half, limits[0]), min(mean + half, limits[1]))


def band_over_seeds(curves: F64, limits: Limits = ANY) -> tuple[F64, F64, F64]:
    """Return mean, low and high (R,) over curves (seeds, R), as ``mean_over_seeds`` for each R.

    Where fewer than three curves are known there is no interval.
    """
    count = np.isfinite(curves).sum(0)
    filled = np.where(np.isfinite(curves), curves, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(0) / count
        squares = np.where(np.isfinite(curves), (curves - mean) ** 2, 0.0).sum(0)
        error = np.sqrt(squares / (count - 1) / count)
    factors = {n: critical(n - 1) if n >= FEWEST else math.nan for n in set(count.tolist())}
    half = error * np.array([factors[n] for n in count.tolist()], np.float64)
    return mean, np.maximum(mean - half, limits[0]), np.minimum(mean + half, limits[1])


def critical(freedom: int) -> float:
    """Return the t value that LEVEL of Student's distribution lies within, both ways."""
    from scipy.special import stdtrit  # lighter than scipy.stats, the same function

    return float(stdtrit(freedom, (1 + LEVEL) / 2))


def effect_size(differences: F64) -> float:
    """Return Cohen's d_z of paired differences: their mean over their standard deviation.

    NaN for fewer than three pairs, and where all differences are zero; infinite where they are
    equal and not zero.
    """
    if len(differences) < FEWEST:
        return math.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(differences.mean() / differences.std(ddof=1))


def paired_p_value(differences: F64) -> float:
    """Return the two-sided p-value of a paired t test; NaN for fewer than three pairs."""
    effect = effect_size(differences)
    if len(differences) >= FEWEST and math.isnan(effect):
        return 1.0  # no difference in any pair
    from scipy.special import stdtr

    t = abs(effect) * math.sqrt(len(differences))
    return float(2 * stdtr(len(differences) - 1, -t))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the number of tests (Holm 1979); NaN is no test."""
    values = np.asarray(p_values, np.float64)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    adjusted = np.full(len(values), np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * factors))
    return adjusted.tolist()


def pareto_front(costs: Sequence[float] | F64, gains: Sequence[float] | F64) -> NDArray[np.bool_]:
    """Say which points no other one dominates: costs at most as much, gains at least as much.

    A point with an unknown cost or gain is not on the front; of equal points all are.
    """
    cost, gain = np.asarray(costs, np.float64), np.asarray(gains, np.float64)
    front = np.zeros(len(cost), bool)
    best, best_cost = -math.inf, math.nan
    known = np.flatnonzero(np.isfinite(cost) & np.isfinite(gain))
    for i in known[np.lexsort((-gain[known], cost[known]))]:
        equal = gain[i] == best and cost[i] == best_cost
        front[i] = gain[i] > best or equal
        if gain[i] > best:
            best, best_cost = gain[i], cost[i]
    return front
