"""What a search has found: the winner, or the front, after confirmation by other seeds.

Where the best were run again with other seeds, they are ordered by the mean over all seeds, and
those runs alone are reported on the test split.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from hpcfed.errors import InputError
from hpcfed.records.ranking import best_items, same_point
from hpcfed.records.searched import Item, Searched
from hpcfed.report.statistics import Mean, limits_of, mean_over_seeds


@dataclass(frozen=True)
class Best:
    """A point that a search has found.

    Attributes:
        figures: for each goal the mean of its values over seeds, that of the search included.
        test: mean test accuracy of the other seeds' runs.
    """

    item: Item
    figures: dict[str, Mean]
    test: Mean


def best(searched: Searched) -> list[Best]:
    """Return what to report, the winner first; confirmed points alone where there are any.

    Raises InputError where no feasible point has a result.
    """
    search, seen = searched.search, searched.everything()
    found = [_best(searched, item) for item in best_items(search, seen)]
    if not found:
        raise InputError(f"{searched.folder}: no feasible point has a result yet")
    confirmed = [one for one in found if one.test.count]
    if len(search.goals) > 1 or not confirmed:
        return found
    goal = search.goals[0]
    return sorted(confirmed, key=lambda one: (goal.sign * one.figures[goal.name].mean,
                                              one.item.number))  # fmt: skip


def _best(searched: Searched, item: Item) -> Best:
    results = [searched.results[i.number] for i in same_point(searched.everything(), item)]
    figures = {
        goal.name: mean_over_seeds([r.figures[goal.name] for r in results], limits_of(goal.name))
        for goal in searched.search.goals
    }
    tests = [result.figures["test_accuracy"] for result in results[1:]]
    return Best(item, figures, mean_over_seeds(tests, limits_of("test_accuracy")))


def lines(found: list[Best], number: int) -> Iterator[str]:
    """Yield at most ``number`` of the points."""
    for place, one in enumerate(found[:number], 1):
        figures = ", ".join(f"{name} {_text(mean)}" for name, mean in one.figures.items())
        seeds = f" over {one.test.count + 1} seeds" if one.test.count else ""
        yield f"{place}. number {one.item.number}: {figures}{seeds}"
        if one.test.count:
            yield f"   test_accuracy {_text(one.test)} of the other seeds"
        keys = (f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in one.item.point.items())
        yield f"   {', '.join(keys)}"


def _text(mean: Mean) -> str:
    known = mean.low == mean.low
    return f"{mean.mean:.4g}" + (f" [{mean.low:.4g}, {mean.high:.4g}]" if known else "")
