"""The trust region of SCBO, as a fold over observations.

Eriksson and Poloczek 2021 (arXiv 2002.08526). A region begins with side 0.8 of the cube, doubles
after three successes in a row and is halved after as many failures as there are keys, at least
four: counted in observations, not in batches. Below 0.5^7 a new one begins, with all data. A
success is a feasible point better by a thousandth than the best feasible one before, or, as long as
there is none, one that violates less than any before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

FIRST, LEAST, MOST = 0.8, 0.5**7, 1.6
_SUCCESSES, _FEWEST_FAILURES, _BETTER = 3, 4, 1e-3


@dataclass(frozen=True)
class Region:
    """A trust region.

    Attributes:
        length: its side, in parts of the cube.
        successes, failures: in a row.
        restarts: regions before it.
    """

    length: float = FIRST
    successes: int = 0
    failures: int = 0
    restarts: int = 0


@dataclass(frozen=True)
class Judged:
    """An observation: what is minimised, the sum of what is violated, and whether a model asked."""

    value: float
    violation: float
    by_model: bool

    @property
    def is_feasible(self) -> bool:
        """Whether nothing is violated."""
        return self.violation <= 0


def fold(observations: Iterable[Judged], num_keys: int) -> Region:
    """Return the region after ``observations``, in the order in which they were seen."""
    region, best = Region(), None
    for found in observations:
        better = best is None or _is_better(found, best)
        if found.by_model:
            region = _after(region, better, num_keys)
        if best is None or _rank(found) < _rank(best):
            best = found
    return region


def _after(region: Region, success: bool, num_keys: int) -> Region:
    if success:
        region = replace(region, successes=region.successes + 1, failures=0)
    else:
        region = replace(region, successes=0, failures=region.failures + 1)
    if region.successes == _SUCCESSES:
        region = replace(region, length=min(2 * region.length, MOST), successes=0)
    if region.failures == max(_FEWEST_FAILURES, num_keys):
        region = replace(region, length=region.length / 2, failures=0)
    return Region(restarts=region.restarts + 1) if region.length < LEAST else region


def _is_better(found: Judged, best: Judged) -> bool:
    if found.is_feasible and best.is_feasible:
        return found.value < best.value - _BETTER * abs(best.value)
    if found.is_feasible or best.is_feasible:
        return found.is_feasible
    return found.violation < best.violation


def _rank(found: Judged) -> tuple[float, float]:
    return (0.0, found.value) if found.is_feasible else (found.violation, 0.0)
