"""Which output answers which class: rows are labels, columns the outputs' units or circuits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.amounts import percent
from hpcfed.errors import InputError
from hpcfed.report.drawing import SEQUENCE, Look, new_figure, told_apart
from hpcfed.report.figures.circuits.view import base_rate, has_units, units_of
from hpcfed.report.figures.view import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

COLUMNS = {
    "label": "class of the samples",
    "output": "the output whose probability of a spike was highest",
    "samples": "how many of the class",
    "share": "part of the class's samples; empty: it has none",
    "split": "validation or test: what was evaluated",
}
_MOST_NUMBERS = 12  # classes in which a number can be read
_MOST_NAMES = 24


def has_data(view: View) -> bool:
    """Say whether units with probabilities have been evaluated."""
    return has_units(view) and "confusion" in view.record.evaluation


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the cells."""
    counts, shares = _counts(view)
    found = view.record.evaluation
    for (label, output), count in np.ndenumerate(counts):
        yield {
            "label": found["label"][label],
            "output": found["prediction"][output],
            "samples": int(count),
            "share": float(shares[label, output]),
            "split": found["split"],
        }


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError without an evaluation."""
    counts, shares = _counts(view)
    found = view.record.evaluation
    figure = new_figure(1.6 + min(2.4, 0.35 * len(counts)))
    axes = figure.subplots()
    image = axes.imshow(100 * shares, aspect="auto", cmap=SEQUENCE, vmin=0, vmax=100)
    figure.colorbar(image, ax=axes, label="share of the class / %")
    _write_names(axes, [str(name) for name in found["label"]])
    if len(counts) <= _MOST_NUMBERS:
        _write_numbers(axes, counts, shares)
    right = float(np.trace(counts) / max(counts.sum(), 1))
    axes.set_title(
        f"{found['split']}, round {found['round']}: {percent(right)} right,\n"
        f"base rate {percent(base_rate(view))}"
    )
    return figure


def _counts(view: View) -> tuple[NDArray[np.int64], F64]:
    """Return samples by label and output (K, K), and the parts of each label's."""
    if not has_data(view):
        units_of(view)  # says so where the rule is another
        raise InputError(f"{view.name}: no evaluation yet, no outputs have answered")
    counts = np.asarray(view.record.evaluation["confusion"], np.int64)
    totals = counts.sum(1, keepdims=True)
    unknown = np.full(counts.shape, np.nan)
    return counts, np.divide(counts, totals, out=unknown, where=totals > 0)


def _write_names(axes: Axes, classes: list[str]) -> None:
    step = max(1, -(-len(classes) // _MOST_NAMES))
    ticks, names = range(0, len(classes), step), told_apart(classes, 12, 1)[::step]
    turn: Look = {"rotation": 90} if len(names) > 6 else {}
    axes.set_xticks(ticks, names, **turn)
    axes.set_yticks(ticks, names)
    axes.set(xlabel="output", ylabel="label")


def _write_numbers(axes: Axes, counts: NDArray[np.int64], shares: F64) -> None:
    look: Look = {"ha": "center", "va": "center", "fontsize": 6}
    for (label, output), count in np.ndenumerate(counts):
        colour = "black" if shares[label, output] > 0.5 else "white"
        axes.text(output, label, str(count), color=colour, **look)
