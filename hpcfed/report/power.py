"""How many pairs a paired t test needs: the power of the test at an effect that was seen.

Of n pairs with effect d (mean over standard deviation of the differences) the statistic is
noncentral t with n - 1 degrees of freedom and noncentrality d sqrt(n); the power of the two-sided
test at level a is the chance that it lies beyond the t value of a (Cohen 1988, Statistical Power
Analysis for the Behavioral Sciences, chapter 2; as G*Power has it, Faul and others 2007,
doi:10.3758/BF03193146). An effect seen in few pairs is too large on average: it is multiplied by
1 - 3 / (4 (n - 1) - 1) before (Hedges 1981, doi:10.3102/10769986006002107).
"""

from __future__ import annotations

import math

from hpcfed.report.statistics import FEWEST, SIGNIFICANT

POWER = 0.8  # the customary chance to find what is there (Cohen 1988)
MOST_PAIRS = 10_000  # beyond it a difference is none that seeds will show
HOW = (
    f"More seeds: further pairs with which the test decides with a chance of {100 * POWER:g} % at "
    f"level {SIGNIFICANT} / rows, by the noncentral t distribution at the effect seen (Cohen "
    "1988), corrected for few pairs (Hedges 1981); 0: decided."
)


def power(effect: float, num_pairs: int, level: float = SIGNIFICANT) -> float:
    """Return the chance that a two-sided paired t test of ``num_pairs`` shows an effect d."""
    from scipy.special import stdtrit

    freedom, shift = num_pairs - 1, abs(effect) * math.sqrt(num_pairs)
    beyond = float(stdtrit(freedom, 1 - level / 2))
    return 1 - _below(freedom, shift, beyond) + _below(freedom, shift, -beyond)


def _below(freedom: int, shift: float, t: float) -> float:
    """Return the chance that noncentral t lies below ``t``.

    Far out SciPy does not know it of many pairs: there a normal approximation is within 1e-6
    (Abramowitz and Stegun 1964, 26.7.10).
    """
    from scipy.special import nctdtr, ndtr

    known = float(nctdtr(freedom, shift, t))
    if not math.isnan(known):
        return known
    at = (t * (1 - 1 / (4 * freedom)) - shift) / math.sqrt(1 + t * t / (2 * freedom))
    return float(ndtr(at))


def pairs_needed(effect: float, level: float = SIGNIFICANT) -> float:
    """Return the fewest pairs of which the test has POWER, at least FEWEST.

    NaN where the effect is not known, infinite where MOST_PAIRS do not suffice.
    """
    if math.isnan(effect):
        return math.nan
    low, high = FEWEST - 1, FEWEST
    if math.isinf(effect):
        return high
    while power(effect, high, level) < POWER:
        if high >= MOST_PAIRS:
            return math.inf
        low, high = high, min(2 * high, MOST_PAIRS)
    while high - low > 1:  # more pairs have more power
        middle = (low + high) // 2
        low, high = (low, middle) if power(effect, middle, level) >= POWER else (middle, high)
    return high


def more_pairs(effect: float, num_pairs: int, level: float = SIGNIFICANT) -> float:
    """Return how many pairs more than these would decide, at the effect that they have shown.

    NaN for fewer than FEWEST pairs, infinite where all differences are zero.
    """
    if math.isnan(effect):
        return math.nan if num_pairs < FEWEST else math.inf
    unbiased = effect * (1 - 3 / (4 * (num_pairs - 1) - 1))
    return max(0, pairs_needed(unbiased, level) - num_pairs)
