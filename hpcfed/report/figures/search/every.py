"""All pictures of a search by name: what a page shows, and hpcfed plot search writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

from hpcfed.report.figures.search import (
    front,
    history,
    importance,
    lineage,
    parallel,
    slices,
    timeline,
)
from hpcfed.report.figures.search.view import View

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SearchFigure:
    """A picture: what it shows, how it is drawn, and its numbers."""

    caption: str
    draw: Callable[[View], Figure]
    columns: Callable[[View], Mapping[str, str]]
    rows: Callable[[View], Iterator[dict[str, Any]]]


def _fixed(columns: Mapping[str, str]) -> Callable[[View], Mapping[str, str]]:
    return lambda view: columns


FIGURES = {
    "history": SearchFigure(
        "The course of the search: points, the best feasible one so far, the share stopped",
        history.draw, _fixed(history.COLUMNS), history.rows,
    ),
    "parallel": SearchFigure(
        "Points through all keys",
        parallel.draw, lambda view: parallel.columns(view.search), parallel.rows,
    ),
    "importance": SearchFigure(
        "Importance of keys, for the figure and for feasibility",
        importance.draw, _fixed(importance.COLUMNS), importance.rows,
    ),
    "slices": SearchFigure(
        "The figure over each key, shaded where runs were stopped",
        slices.draw, _fixed(slices.COLUMNS), slices.rows,
    ),
    "pairs": SearchFigure(
        "Pairs of keys, shaded where runs were stopped",
        slices.draw_pairs, _fixed(slices.COLUMNS), lambda view: iter(()),
    ),
    "front": SearchFigure(
        "The front of two figures", front.draw, _fixed(front.COLUMNS), front.rows
    ),
    "timeline": SearchFigure(
        "A bar for each run, and the time that stopping has saved",
        timeline.draw, _fixed(timeline.COLUMNS), timeline.rows,
    ),
    "lineage": SearchFigure(
        "Lineage and schedules of the population",
        lineage.draw, _fixed(lineage.COLUMNS), lineage.rows,
    ),
}  # fmt: skip


def applicable(view: View) -> dict[str, SearchFigure]:
    """Return the pictures that this search can have."""
    left_out = set()
    if len(view.search.goals) < 2:
        left_out.add("front")
    if view.search.method != "population":
        left_out.add("lineage")
    if len(view.search.space.parameters) < 2:
        left_out.add("pairs")
    return {name: figure for name, figure in FIGURES.items() if name not in left_out}
