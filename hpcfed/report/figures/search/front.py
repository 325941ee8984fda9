"""The front of a search for two figures; points run again with other seeds with their intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import fmean
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.errors import InputError
from hpcfed.records.ranking import best_items, same_point
from hpcfed.records.searched import Item
from hpcfed.report.drawing import new_figure, note, plain
from hpcfed.report.figures.search.view import LOOKS, View, need_dots
from hpcfed.report.statistics import mean_over_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = {
    "number": "number of the proposal",
    "goal": "a figure that is looked for",
    "value": "its value in the search",
    "seeds": "runs with this point, other seeds included",
    "mean": "mean over these",
    "low": "lower end of the 95 % interval of the mean; empty with fewer than three",
    "high": "upper end",
}


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the points of the front, or the best ones of one figure, by goal."""
    for item in best_items(view.search, view.seen):
        for goal in view.search.goals:
            values = _values(view, item, goal.name)
            mean = mean_over_seeds(values)
            yield {
                "number": item.number,
                "goal": goal.name,
                "value": values[0],
                "seeds": len(values),
                "mean": fmean(values),
                "low": mean.low,
                "high": mean.high,
            }


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError for a search for one figure."""
    need_dots(view)
    if len(view.search.goals) < 2:
        raise InputError("a front is of a search for two figures")
    first, second = view.search.goals
    figure = new_figure(2.8)
    axes = figure.subplots()
    for kind, (colour, marker) in LOOKS.items():
        chosen = view.is_kind(kind)
        x, y = view.values(first.name)[chosen], view.values(second.name)[chosen]
        if not len(x):
            continue
        axes.plot(x, y, marker, color=colour, ms=2.5, alpha=0.6, label=f"{kind} ({len(x)})")
    found = list(rows(view))
    by_goal = [[row for row in found if row["goal"] == g.name] for g in (first, second)]
    means = [np.array([row["mean"] for row in one]) for one in by_goal]
    axes.errorbar(means[0], means[1], yerr=_bars(by_goal[1]), xerr=_bars(by_goal[0]), fmt="o",
                  color="#000000", ms=3.5, lw=0.8, label="front")  # fmt: skip
    order = np.argsort(means[0])
    axes.step(means[0][order], means[1][order], color="#000000", lw=0.6,
              where="post" if first.sign * second.sign > 0 else "pre")  # fmt: skip
    axes.set_xlabel(plain(first.name.replace("_", " ")))
    axes.set_ylabel(plain(second.name.replace("_", " ")))
    axes.legend()
    note(figure, "The front holds the feasible points that no other beats in both figures; 95 % "
                 "intervals of the mean over seeds where there are three or more.")  # fmt: skip
    return figure


def _values(view: View, item: Item, name: str) -> list[float]:
    results = view.seen.results
    return [results[i.number].figures[name] for i in same_point(view.seen, item)]


def _bars(found: list[dict[str, Any]]) -> list[list[float]]:
    ends = [(row["mean"] - row["low"], row["high"] - row["mean"]) for row in found]
    return [[0.0 if math.isnan(end[side]) else end[side] for end in ends] for side in (0, 1)]
