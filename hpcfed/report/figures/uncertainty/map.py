"""Maps of uncertainty over a plane whose points are samples, the known ones on top.

A network that knows what it does not know is sure near the points it has seen the like of, and
unsure where the classes meet, and far away. The probe is a regular grid of m columns and l rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.report.drawing import COLOURS, MARKERS, new_figure, note, plain
from hpcfed.report.figures.view import ENTROPY, INFORMATION, KNOWN, PROBE, Answers, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

COLUMNS = {
    "x": "first coordinate of a point of the grid, scaled to 0..1",
    "y": "second coordinate",
    "probability": "of the second class",
    "entropy": "of the probabilities, nat",
    "mutual_information": "entropy minus the members' mean entropy, nat; empty: no committee",
}
_MOST_POINTS = 150  # of a class; more hide the map
_SIDES = ("#8FC1DF", "#FFFFFF", "#EFB48C")  # the classes' colours, paler than their points


def has_data(view: View) -> bool:
    """Say whether there is a probe of a plane."""
    points = view.record.answers.get(PROBE, {}).get("coordinate")
    return points is not None and points.shape[1] == 2


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the points of the grid."""
    answers, points = _probe(view)
    values = _values(answers)
    for place, (x, y) in enumerate(points.tolist()):
        yield {"x": x, "y": y, **{name: float(found[place]) for name, found in values.items()}}


def draw(view: View) -> Figure:
    """Return the figure: a panel for each quantity. Raises InputError without a probe."""
    from matplotlib.colors import LinearSegmentedColormap

    answers, points = _probe(view)
    values = _values(answers)
    figure = new_figure(2.8, 1.75 * len(values))
    names = view.classes or [str(label) for label in range(answers.probability.shape[1])]
    titles = {
        "probability": f"probability of {plain(names[1], 20)}",
        ENTROPY: "entropy / nat",
        INFORMATION: "mutual information / nat",
    }
    maps = {"probability": LinearSegmentedColormap.from_list("classes", _SIDES)}
    panels = figure.subplots(1, len(values), sharex=True, sharey=True)
    for axes, (name, found) in zip(panels, values.items(), strict=True):
        image = axes.imshow(
            on_grid(points, found), extent=_extent(points), origin="lower", interpolation="nearest",
            cmap=maps.get(name, "Greys"), vmin=0, vmax=1 if name == "probability" else None,
        )  # fmt: skip
        figure.colorbar(image, ax=axes, label=titles[name], location="bottom")
        axes.set(xlabel="x", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        _draw_known(axes, view, names)
    panels[0].set_ylabel("y")
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=len(handles),
                      markerscale=1.6)  # fmt: skip
    note(figure, f"A grid of {len(points)} points; on top known samples, at most "
                 f"{_MOST_POINTS} of a class.")  # fmt: skip
    return figure


def on_grid(points: F64, values: F64) -> F64:
    """Return ``values`` (n,) of ``points`` (n, 2) as (l, m), rows by y, ascending.

    Raises InputError where the points are no grid.
    """
    x, column = np.unique(points[:, 0], return_inverse=True)
    y, row = np.unique(points[:, 1], return_inverse=True)
    grid = np.full((len(y), len(x)), np.nan)
    grid[row, column] = values
    if len(points) != grid.size or np.isnan(grid).any():
        raise InputError(
            f"the {len(points)} points of the probe are no regular grid: they have {len(x)} x "
            f"and {len(y)} y"
        )
    return grid


def _probe(view: View) -> tuple[Answers, F64]:
    answers = view.answers(PROBE)
    if answers.coordinate is None or answers.coordinate.shape[1] != 2:
        raise InputError(f"{view.name}: a map is of points of a plane")
    return answers, answers.coordinate


def _values(answers: Answers) -> dict[str, F64]:
    return {"probability": answers.probability[:, 1], **answers.uncertainty}


def _extent(points: F64) -> tuple[float, float, float, float]:
    """Return the edges of the map: half a cell beyond its outer points."""
    ends = []
    for axis in (0, 1):
        found = np.unique(points[:, axis])
        half = float(found[-1] - found[0]) / max(len(found) - 1, 1) / 2
        ends += [float(found[0]) - half, float(found[-1]) + half]
    return ends[0], ends[1], ends[2], ends[3]


def _draw_known(axes: Axes, view: View, names: list[str]) -> None:
    if not view.holds(KNOWN):
        return
    answers = view.answers()
    if answers.coordinate is None:
        return
    for label, (colour, marker) in enumerate(zip(COLOURS, MARKERS, strict=True)):
        mine = answers.coordinate[answers.label == label]
        shown = mine[:: -(-len(mine) // _MOST_POINTS) or 1]
        if len(shown):
            axes.plot(*shown.T, marker, color=colour, ms=2.2, mec="white", mew=0.3, ls="",
                      label=plain(names[label], 20))  # fmt: skip
