"""A search as its pictures see it: one row for each point, the highest rung that it has reached."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.search import Goal, Search
from hpcfed.errors import InputError
from hpcfed.records.planned import read_search
from hpcfed.records.results import Result, is_feasible, violations
from hpcfed.records.searched import CONFIRM, Item, Seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes

F64 = NDArray[np.float64]

# how points are told apart: colour of COLOURS, marker, and what is said
FEASIBLE, INFEASIBLE, STOPPED = "feasible", "infeasible", "stopped"
LOOKS = {FEASIBLE: ("#0072B2", "o"), INFEASIBLE: ("#E69F00", "s"), STOPPED: ("#D55E00", "x")}


@dataclass(frozen=True)
class Dot:
    """A point that has a result."""

    item: Item
    result: Result
    kind: str


@dataclass(frozen=True)
class View:
    """A search with all results; ``dots`` by number, without confirming runs."""

    search: Search
    seen: Seen
    dots: tuple[Dot, ...]

    @property
    def goal(self) -> Goal:
        """The first figure."""
        return self.search.goals[0]

    def values(self, name: str) -> F64:
        """Return (n,) a figure of all dots."""
        return np.array([dot.result.figures.get(name, math.nan) for dot in self.dots])

    def units(self) -> F64:
        """Return (n, D) the points' coordinates in the cube."""
        space = self.search.space
        return np.array([space.unit(dot.item.point) for dot in self.dots]).reshape(
            len(self.dots), len(space.parameters)
        )

    def is_kind(self, kind: str) -> NDArray[np.bool_]:
        """Return (n,) whether dots are of a kind."""
        return np.array([dot.kind == kind for dot in self.dots], bool)


def read_view(folder: Path) -> View | None:
    """Return the search in ``folder``; None where there is none."""
    found = read_search(folder)
    if found is None:
        return None
    seen = found.everything()
    latest: dict[str, Item] = {}
    for item in seen.items:
        if item.kind != CONFIRM and item.number in seen.results:
            latest[item.digest] = item
    dots = [_dot(found.search, item, seen) for item in latest.values()]
    return View(found.search, seen, tuple(sorted(dots, key=lambda dot: dot.item.number)))


def need_dots(view: View) -> None:
    """Raise InputError without a result."""
    if not view.dots:
        raise InputError(f"{view.search.name}: no proposal has a result yet")


def unknown_below(axes: Axes, x: F64, look: tuple[str, str]) -> None:
    """Draw points without a value at the bottom of ``axes``; ``look`` is colour and marker."""
    colour, marker = look
    place = axes.get_xaxis_transform()
    axes.plot(x, np.full(len(x), 0.03), marker, color=colour, ms=2.5, transform=place)


def _dot(search: Search, item: Item, seen: Seen) -> Dot:
    result = seen.results[item.number]
    if result.verdict:
        return Dot(item, result, STOPPED)
    return Dot(item, result, FEASIBLE if is_feasible(search, result) else INFEASIBLE)


def columns(search: Search) -> dict[str, str]:
    """Return the columns of ``point_rows`` and their meanings."""
    constraints = [*(["silent", "saturated"] if search.base.get("stop") else []), "diverged",
                   *search.config.constraints]  # fmt: skip
    return {
        "number": "number of the proposal, counted from 0",
        "kind": "point, promotion (to the next rung), member (of a population) or confirm",
        "of": "the number of the proposal that it goes on with, or repeats",
        "why": "given, initial (of the design), model, again, copied, ...",
        "digest": "name of the run",
        "verdict": "why the run ended early; empty: it did not, or has no result",
        "feasible": "1 where all constraints hold, 0 where not, empty without a result",
        "rounds": "rounds done until the result",
        "seconds": "of these rounds",
        **{goal.name: "what is looked for" for goal in search.goals},
        **{f"c_{name}": "constraint, feasible at or below 0" for name in constraints},
        **dict.fromkeys(search.space.keys, "key of the space; empty: switched off"),
    }


def point_rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield a row for each proposal."""
    for item in view.seen.items:
        result = view.seen.results.get(item.number)
        row: dict[str, Any] = {
            "number": item.number, "kind": item.kind, "of": "" if item.of is None else item.of,
            "why": item.why, "digest": item.digest, **item.point,
        }  # fmt: skip
        row.pop("seed", None)
        if result is not None:
            row |= {
                "verdict": result.verdict,
                "feasible": int(is_feasible(view.search, result)),
                "rounds": result.num_rounds,
                "seconds": result.seconds,
                **{goal.name: result.figures[goal.name] for goal in view.search.goals},
                **{f"c_{n}": c for n, c in violations(view.search, result).items()},
            }
        yield row
