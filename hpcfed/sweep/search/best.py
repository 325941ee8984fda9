"""What a search has found: the winner as an experiment, or the front, after confirmation.

Where the best were run again with other seeds, they are ordered by the mean over all seeds, and
those runs alone are reported on the test split.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from hpcfed.errors import InputError
from hpcfed.records.ranking import best_items
from hpcfed.records.searched import CONFIRM, Item
from hpcfed.sweep.planning.grid import describe
from hpcfed.sweep.search.folder import SearchFolder


@dataclass(frozen=True)
class Found:
    """A point that a search has found.

    Attributes:
        item: its proposal.
        figures: for each goal its values, that of the search first, then of other seeds.
        tests: test accuracies of the other seeds' runs.
        digests: of all these runs.
    """

    item: Item
    figures: dict[str, tuple[float, ...]]
    tests: tuple[float, ...]
    digests: tuple[str, ...]

    def mean(self, name: str) -> float:
        """Mean of a goal over seeds."""
        return fmean(self.figures[name])

    def interval(self, name: str) -> float:
        """Half of the 95 % interval of a goal's mean, by Student's t; NaN with one seed."""
        return half_interval(self.figures[name])


def half_interval(numbers: Sequence[float]) -> float:
    """Return half of the 95 % interval of a mean; NaN for fewer than two."""
    if len(numbers) < 2:
        return math.nan
    from scipy.stats import t

    return float(t.ppf(0.975, len(numbers) - 1) * stdev(numbers) / math.sqrt(len(numbers)))


def found(folder: SearchFolder) -> list[Found]:
    """Return what to report: the winner first, confirmed points before others; or the front."""
    search, seen = folder.search, folder.everything()
    items = [_found(folder, item) for item in best_items(search, seen)]
    if len(search.goals) > 1:
        return items
    confirmed = [one for one in items if one.tests]
    goal = search.goals[0]
    confirmed.sort(key=lambda one: (goal.sign * one.mean(goal.name), one.item.number))
    return confirmed or items


def _found(folder: SearchFolder, item: Item) -> Found:
    search, seen = folder.search, folder.everything()
    same = {i.number for i in seen.items if i.digest == item.digest}
    others = [i for i in seen.of_kind(CONFIRM) if i.of in same and i.number in seen.results]
    results = [seen.results[i.number] for i in (item, *others)]
    return Found(
        item,
        {g.name: tuple(r.figures[g.name] for r in results) for g in search.goals},
        tuple(r.figures["test_accuracy"] for r in results[1:]),
        tuple(i.digest for i in (item, *others)),
    )


def lines(folder: SearchFolder, number: int) -> Iterator[str]:
    """Yield what a search has found, at most ``number`` points. Raises InputError for nothing."""
    every = found(folder)
    if not every:
        raise InputError(f"{folder.folder}: no feasible point has a result yet")
    for place, one in enumerate(every[:number], 1):
        figures = ", ".join(
            f"{name} {one.mean(name):.4g}{_plus_minus(one.interval(name))}" for name in one.figures
        )
        seeds = f" over {len(one.tests) + 1} seeds" if one.tests else ""
        yield f"{place}. number {one.item.number}: {figures}{seeds}"
        if one.tests:
            spread = _plus_minus(half_interval(one.tests))
            yield f"   test_accuracy {fmean(one.tests):.4g}{spread} of the other seeds"
        yield f"   {describe(one.item.point)}"


def winner(folder: SearchFolder) -> Item:
    """Return the first point's proposal. Raises InputError for nothing."""
    every = found(folder)
    if not every:
        raise InputError(f"{folder.folder}: no feasible point has a result yet")
    return every[0].item


def _plus_minus(half: float) -> str:
    return f" +- {half:.2g}" if math.isfinite(half) else ""
