"""Parallel coordinates of a search: a line for each point, through its value of every key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpcfed.config.space import Parameter
from hpcfed.report.drawing import SEQUENCE, new_figure, note, plain
from hpcfed.report.figures.search.view import FEASIBLE, LOOKS, STOPPED, View, columns, need_dots
from hpcfed.report.figures.search.view import point_rows as rows
from hpcfed.report.values import value_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["columns", "draw", "rows"]


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError without a result."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    need_dots(view)
    parameters = view.search.space.parameters
    figure = new_figure(3.2, max(3.5, 0.9 * (len(parameters) + 1)))
    axes = figure.subplots()
    units, values, feasible = view.units(), view.values(view.goal.name), view.is_kind(FEASIBLE)
    known = values[feasible]
    scale = Normalize(known.min(), known.max()) if len(known) else Normalize(0, 1)
    colours = colormaps[SEQUENCE]
    places = np.arange(len(parameters))
    for unit, dot in zip(units, view.dots, strict=True):
        if dot.kind != FEASIBLE:
            axes.plot(places, unit, ":", color=LOOKS[dot.kind][0], lw=0.6, alpha=0.5, zorder=1)
    for place in np.argsort(-view.goal.sign * values[feasible], kind="stable"):
        shade = colours(scale(known[place]))
        axes.plot(places, units[feasible][place], color=shade, lw=1.0, zorder=2)
    axes.set_xticks(places, [plain(p.key.partition(".")[2] or p.key, 18) for p in parameters],
                    rotation=30, ha="right")  # fmt: skip
    axes.set_yticks([])
    axes.set_ylim(-0.12, 1.12)
    for place, parameter in enumerate(parameters):
        axes.axvline(place, color="#000000", lw=0.5, zorder=0)
        for unit, text in _ends(parameter):
            above = unit > 0.5
            axes.text(place, unit + (0.03 if above else -0.03), text, fontsize=6, ha="center",
                      va="bottom" if above else "top")  # fmt: skip
    if len(known):
        from matplotlib.cm import ScalarMappable

        bar = figure.colorbar(ScalarMappable(scale, SEQUENCE), ax=axes, pad=0.02)
        bar.set_label(plain(view.goal.name.replace("_", " ")))
    note(figure, "Feasible points in colour, infeasible and stopped ones dotted in "
                 f"orange and red ({int(view.is_kind(STOPPED).sum())} stopped); logarithmic keys "
                 "on logarithmic axes.")  # fmt: skip
    return figure


def _ends(parameter: Parameter) -> list[tuple[float, str]]:
    if parameter.choices:
        return [(parameter.unit(choice), plain(value_text(choice), 12))
                for choice in (parameter.choices[0], parameter.choices[-1])]  # fmt: skip
    return [(0.0, f"{parameter.low:g}"), (1.0, f"{parameter.high:g}")]
