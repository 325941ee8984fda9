"""The lineage of a population: scores over rounds with copies, and each key along the winner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.errors import InputError
from hpcfed.records.ranking import best_items, lineage
from hpcfed.records.searched import MEMBER, Item
from hpcfed.report.drawing import SEQUENCE, new_figure, note, plain
from hpcfed.report.figures.search.view import View, need_dots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = {
    "number": "number of the proposal",
    "member": "member of the population",
    "step": "generation, counted from 0",
    "parent": "the proposal whose run it goes on with; empty: none",
    "why": "goes on, copied (and from whom), initial or anew",
    "from_round": "round at which it begins",
    "until_round": "round at which it ends",
    "value": "its figure; empty: not known",
    "on_winners_path": "1 where the winner comes from it",
}


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield a row for each run of a member."""
    path = _path(view)
    for item in view.seen.of_kind(MEMBER):
        result = view.seen.results.get(item.number)
        yield {
            "number": item.number,
            "member": item.member,
            "step": item.step,
            "parent": "" if item.of is None else item.of,
            "why": item.why,
            "from_round": 0 if item.of is None else view.seen.items[item.of].rounds,
            "until_round": item.rounds,
            "value": np.nan if result is None else result.figures[view.goal.name],
            "on_winners_path": int(item.number in path),
        }


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError for any other search."""
    need_dots(view)
    if view.search.method != "population":
        raise InputError("a lineage is of a population")
    from matplotlib import colormaps

    keys = view.search.space.parameters
    figure = new_figure(2.2 + 1.2 * len(keys))
    panels = figure.subplots(1 + len(keys), 1, sharex=True, squeeze=False,
                             height_ratios=[2, *[1] * len(keys)])[:, 0]  # fmt: skip
    found, path = {row["number"]: row for row in rows(view)}, _path(view)
    number = max((row["member"] for row in found.values()), default=0)
    colours = [colormaps[SEQUENCE](0.9 * k / max(number, 1)) for k in range(number + 1)]
    for item in view.seen.of_kind(MEMBER):
        row, thick = found[item.number], 2.2 if item.number in path else 0.8
        parent = None if item.of is None else found[item.of]
        x = [row["from_round"], row["until_round"]]
        if parent is not None:
            copied = item.why.startswith("copied")
            look = {"ls": ":" if copied else "-", "lw": thick, "color": colours[item.member]}
            panels[0].plot(x, [parent["value"], row["value"]], **look)
        panels[0].plot(x[1:], [row["value"]], "o", ms=2.5, color=colours[item.member])
        for axes, parameter in zip(panels[1:], keys, strict=True):
            if parameter.key in item.point:
                unit = parameter.unit(item.point[parameter.key])
                axes.plot(x, [unit, unit], lw=thick, color=colours[item.member])
    panels[0].set_ylabel(plain(view.goal.name.replace("_", " ")))
    for axes, parameter in zip(panels[1:], keys, strict=True):
        axes.set_title(plain(str(parameter), 70), fontsize=7, loc="left")
        axes.set_ylim(-0.05, 1.05)
        axes.set_yticks([])
    panels[-1].set_xlabel("round")
    text = "A colour a member; thick: the path to the winner; dotted: a copy, from its parent's "
    note(figure, text + "score to its own. Keys lie between the ends of their ranges.")
    return figure


def _path(view: View) -> set[int]:
    best: Item | None = next(iter(best_items(view.search, view.seen)), None)
    if best is None:
        return set()
    return {item.number for item in lineage(view.seen.items, best)}
