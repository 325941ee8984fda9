"""The timeline of a search: a bar for each run, and what stopping runs early has saved.

A bar ends when the run's file was written last and is as long as its rounds took. What is saved is
told in two ways: the rounds that were not run, at the run's own pace, and at the median pace of the
runs that were not stopped (a silent network is the faster one).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

from hpcfed.report.drawing import new_figure, note
from hpcfed.report.figures.search.view import LOOKS, STOPPED, Dot, View, need_dots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = {
    "number": "number of the proposal",
    "kind": "feasible, infeasible or stopped",
    "begin": "seconds since the first run began",
    "end": "seconds since then at its last write",
    "rounds": "rounds done",
    "planned": "rounds asked for",
    "saved_at_own_pace": "seconds that its other rounds would have taken, as long as its own",
    "saved_at_median_pace": "the same, as long as the median round of runs that were not stopped",
}


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the bars."""
    spans = [(dot.result.ended - dot.result.seconds, dot.result.ended) for dot in view.dots]
    first = min((begin for begin, _ in spans), default=0.0)
    pace = _median_pace(view)
    for dot, (begin, end) in zip(view.dots, spans, strict=True):
        left = dot.item.rounds - dot.result.num_rounds
        own = dot.result.seconds / max(dot.result.num_rounds, 1)
        yield {
            "number": dot.item.number,
            "kind": dot.kind,
            "begin": begin - first,
            "end": end - first,
            "rounds": dot.result.num_rounds,
            "planned": dot.item.rounds,
            "saved_at_own_pace": left * own,
            "saved_at_median_pace": left * pace,
        }


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError without a result."""
    need_dots(view)
    found = list(rows(view))
    figure = new_figure(min(max(1.6, 0.06 * len(found) + 1.0), 6.0))
    axes = figure.subplots()
    for kind, (colour, _) in LOOKS.items():
        mine = [row for row in found if row["kind"] == kind]
        if not mine:
            continue
        axes.barh([row["number"] for row in mine], [row["end"] - row["begin"] for row in mine], 0.8,
                  left=[row["begin"] for row in mine], color=colour,
                  label=f"{kind} ({len(mine)})")  # fmt: skip
    axes.invert_yaxis()
    axes.set_xlabel("seconds since the first run began")
    axes.set_ylabel("number")
    axes.legend(loc="best")
    note(figure, saved_text(view))
    return figure


def saved_text(view: View) -> str:
    """Return what stopping has saved, by both estimates."""
    found = list(rows(view))
    spent = sum(dot.result.seconds for dot in view.dots)
    stopped = sum(dot.result.seconds for dot in view.dots if dot.kind == STOPPED)
    own, usual = (sum(row[f"saved_at_{pace}_pace"] for row in found) for pace in ("own", "median"))
    text = f"Spent {spent:.3g} s in rounds"
    if not spent or not stopped:
        return f"{text}; no run was stopped."
    text += f", {stopped / spent:.1%} of them on stopped runs. Stopping has saved {own:.3g} s at "
    text += f"the stopped runs' own pace ({(spent + own) / spent:.2f} times without)"
    if math.isnan(usual):
        return f"{text}; no run was not stopped."
    return f"{text}, {usual:.3g} s at the median pace of others ({(spent + usual) / spent:.2f})."


def _median_pace(view: View) -> float:
    paces = [_pace(dot) for dot in view.dots if dot.kind != STOPPED and dot.result.num_rounds]
    return median(paces) if paces else math.nan


def _pace(dot: Dot) -> float:
    return dot.result.seconds / dot.result.num_rounds
