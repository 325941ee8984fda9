"""The course of a search: every point, the best feasible one so far, and the share stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.report.drawing import new_figure, note, plain
from hpcfed.report.figures.search.view import (
    FEASIBLE,
    LOOKS,
    STOPPED,
    View,
    need_dots,
    unknown_below,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WINDOW = 20  # points over which the share stopped is taken
COLUMNS = {
    "number": "number of the proposal",
    "value": "its figure; empty: not known",
    "kind": "feasible, infeasible or stopped",
    "best": "best feasible figure so far; empty: none yet",
    "share_stopped": f"part stopped of the last {_WINDOW} points",
}


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield a row for each point that has a result."""
    goal, best = view.goal, np.nan
    stopped = view.is_kind(STOPPED)
    for place, (dot, value) in enumerate(zip(view.dots, view.values(goal.name), strict=True)):
        if dot.kind == FEASIBLE:
            best = value if np.isnan(best) else goal.sign * min(goal.sign * best, goal.sign * value)
        yield {
            "number": dot.item.number,
            "value": float(value),
            "kind": dot.kind,
            "best": float(best),
            "share_stopped": float(stopped[max(0, place + 1 - _WINDOW) : place + 1].mean()),
        }


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError without a result."""
    need_dots(view)
    found = list(rows(view))
    figure = new_figure(3.4)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 1])
    for kind, (colour, marker) in LOOKS.items():
        points = [(row["number"], row["value"]) for row in found if row["kind"] == kind]
        if points:
            x, y = (np.array(column) for column in zip(*points, strict=True))
            above.plot(x, y, marker, color=colour, label=f"{kind} ({len(points)})", ms=3)
            unknown_below(above, x[np.isnan(y)], (colour, marker))
    numbers = [row["number"] for row in found]
    best = [row["best"] for row in found]
    above.step(numbers, best, where="post", color="#000000", label="best feasible")
    above.set_ylabel(plain(view.goal.name.replace("_", " ")))
    if not np.isfinite(view.values(view.goal.name)).any():
        above.set_ylim(0, 1)
    above.legend(loc="best", ncols=2)
    below.plot(numbers, [row["share_stopped"] for row in found], color=LOOKS[STOPPED][0])
    below.set_ylim(-0.05, 1.05)
    below.set_ylabel("share stopped")
    below.set_xlabel("number of the proposal")
    unknown = sum(np.isnan(row["value"]) for row in found)
    text = f"Search by {view.search.method}; share over the last {_WINDOW} points."
    if unknown:
        text += f" {unknown} points ended before an evaluation; they stand at the bottom."
    note(figure, text)
    return figure
