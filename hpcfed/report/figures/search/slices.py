"""Slices of a search: its figure over each key, with the region shaded where runs were stopped.

The shade at a value is the part that was stopped of the points nearest to it, by that key alone, or
by both keys of a pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.space import Parameter
from hpcfed.report.drawing import new_figure, note, plain
from hpcfed.report.figures.search.view import LOOKS, STOPPED, View, need_dots, unknown_below
from hpcfed.report.values import value_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

COLUMNS = {
    "key": "key of the space",
    "value": "a value of it",
    "share_stopped": "part stopped of the points nearest by this key",
    "points": "how many these are",
}
_STEPS, _NEAREST, _MOST_PAIRS = 40, 7, 4


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the shade along each key."""
    units, stopped = view.units(), view.is_kind(STOPPED)
    for place, parameter in enumerate(view.search.space.parameters):
        grid = _grid(parameter)
        shares = share_near(units[:, [place]], stopped, grid[:, None])
        for unit, share in zip(grid, shares, strict=True):
            yield {
                "key": parameter.key,
                "value": value_text(parameter.value(float(unit))),
                "share_stopped": float(share),
                "points": min(_NEAREST, len(units)),
            }


def draw(view: View) -> Figure:
    """Return the figure: a panel for each key. Raises InputError without a result."""
    need_dots(view)
    parameters = view.search.space.parameters
    num_rows = -(-len(parameters) // 2)
    figure = new_figure(1.5 * num_rows + 0.5, 5.0)
    panels = figure.subplots(num_rows, 2, squeeze=False, sharey=True).ravel()
    units, values, stopped = view.units(), view.values(view.goal.name), view.is_kind(STOPPED)
    for place, (axes, parameter) in enumerate(zip(panels, parameters, strict=False)):
        _shade(axes, units[:, [place]], stopped)
        for kind, (colour, marker) in LOOKS.items():
            chosen = view.is_kind(kind)
            axes.plot(units[chosen, place], values[chosen], marker, color=colour, ms=2.5)
            unknown = chosen & np.isnan(values)
            unknown_below(axes, units[unknown, place], (colour, marker))
        _ticks(axes, parameter)
        axes.set_xlabel(plain(parameter.key))
        axes.set_ylabel(plain(view.goal.name.replace("_", " ")) if place % 2 == 0 else "")
    known = values[np.isfinite(values)]
    if len(known) and np.ptp(known):
        margin = 0.06 * np.ptp(known)
        panels[0].set_ylim(known.min() - margin, known.max() + margin)
    for axes in panels[len(parameters) :]:
        axes.set_axis_off()
    text = f"Shaded: part stopped of the {_NEAREST} nearest points, white none, red all. "
    text += "Blue points are feasible, orange ones infeasible, red crosses stopped; at the bottom "
    note(figure, text + "those without a value.")
    return figure


def draw_pairs(view: View) -> Figure:
    """Return the figure of pairs of the first keys. Raises InputError with fewer than two."""
    need_dots(view)
    parameters = view.search.space.parameters[:_MOST_PAIRS]
    count = max(len(parameters) - 1, 1)
    figure = new_figure(1.7 * count + 0.5, 1.9 * count + 0.6)
    panels = figure.subplots(count, count, squeeze=False)
    units, stopped = view.units(), view.is_kind(STOPPED)
    for row in range(count):
        for column in range(count):
            axes = panels[row, column]
            if column > row or len(parameters) < 2:
                axes.set_axis_off()
                continue
            pair = units[:, [column, row + 1]]
            _shade_pair(axes, pair, stopped)
            for kind, (colour, marker) in LOOKS.items():
                chosen = view.is_kind(kind)
                axes.plot(*pair[chosen].T, marker, color=colour, ms=2)
            _ticks(axes, parameters[column])
            _ticks(axes, parameters[row + 1], of_y=True)
            axes.set_xlabel(plain(parameters[column].key, 24) if row == count - 1 else "")
            axes.set_ylabel(plain(parameters[row + 1].key, 24) if column == 0 else "")
    note(figure, f"Shaded: part stopped of the {_NEAREST} nearest points of a pair.")
    return figure


def share_near(points: F64, flags: NDArray[np.bool_], at: F64) -> F64:
    """Return (m,) the part of the nearest of ``points`` (n, d) to ``at`` (m, d) that is flagged."""
    from scipy.spatial import KDTree

    count = min(_NEAREST, len(points))
    _, nearest = KDTree(points).query(at, k=[*range(1, count + 1)])
    return np.asarray(flags[nearest].mean(1), np.float64)


def _grid(parameter: Parameter) -> F64:
    if parameter.choices:
        return np.array([parameter.unit(choice) for choice in parameter.choices])
    return np.linspace(0, 1, _STEPS)


def _shade(axes: Axes, column: F64, stopped: NDArray[np.bool_]) -> None:
    shares = share_near(column, stopped, np.linspace(0, 1, _STEPS)[:, None])
    axes.imshow(shares[None], extent=(0, 1, 0, 1), transform=axes.get_xaxis_transform(),
                **_SHADE)  # fmt: skip
    axes.set_xlim(-0.03, 1.03)


def _shade_pair(axes: Axes, pair: F64, stopped: NDArray[np.bool_]) -> None:
    x, y = np.meshgrid(np.linspace(0, 1, _STEPS), np.linspace(0, 1, _STEPS))
    shares = share_near(pair, stopped, np.column_stack([x.ravel(), y.ravel()]))
    axes.imshow(shares.reshape(x.shape), extent=(0, 1, 0, 1), **_SHADE)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)


_SHADE: dict[str, Any] = {
    "origin": "lower", "aspect": "auto", "cmap": "Reds", "vmin": 0, "vmax": 1.6, "alpha": 0.6,
    "zorder": 0, "interpolation": "bilinear",
}  # fmt: skip


def _ticks(axes: Axes, parameter: Parameter, of_y: bool = False) -> None:
    if parameter.choices:
        found = [(parameter.unit(c), plain(value_text(c), 10)) for c in parameter.choices]
    else:
        middle = parameter.value(0.5)
        found = [(0.0, f"{parameter.low:g}"), (parameter.unit(middle), f"{middle:.2g}"),
                 (1.0, f"{parameter.high:g}")]  # fmt: skip
    units, texts = zip(*found, strict=True)
    (axes.set_yticks if of_y else axes.set_xticks)(units, texts)
