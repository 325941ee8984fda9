"""The posterior of binary weights: how sure a Bayesian network is of the sign of each weight.

A latent weight l stands for + with probability 1 / (1 + exp(-2 l)); weights that are matrices are
binary. The entropy of that, in bits, is what is left to be known of a weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.rule import BAYES
from hpcfed.errors import InputError
from hpcfed.report.drawing import COLOURS, Look, new_figure, plain
from hpcfed.report.figures.view import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

COLUMNS = {
    "part": "a matrix of weights",
    "low": "lower end of a bin of the probability of +",
    "high": "upper end",
    "weights": "weights in the bin",
}
PART_COLUMNS = {
    "part": "a matrix of weights",
    "weights": "its weights",
    "mean_probability": "mean probability of +",
    "entropy": "mean entropy of a weight's sign, bit",
}
_BINS = 40
_EDGES = np.arange(_BINS + 1) / _BINS


def has_data(view: View) -> bool:
    """Say whether the run has learned by Bayes, and has binary weights."""
    return view.keys.get("rule.kind") == BAYES and any(
        len(shape) > 1 for shape in view.record.layout[1]
    )


def posteriors(view: View) -> dict[str, F64]:
    """Return the probability of + of each weight, by part. Raises InputError for other rules."""
    if not has_data(view):
        raise InputError(f'{view.name}: a posterior is of rule.kind = "{BAYES}"')
    found, start = {}, 0
    for name, shape in zip(*view.record.layout, strict=True):
        latents = view.record.params[start : start + int(np.prod(shape))].astype(np.float64)
        start += len(latents)
        if len(shape) > 1:
            found[name] = 1 / (1 + np.exp(-2 * latents))
    return found


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the histograms."""
    for name, chances in posteriors(view).items():
        counts = np.histogram(chances, _EDGES)[0]
        for low, high, count in zip(_EDGES[:-1], _EDGES[1:], counts, strict=True):
            yield {"part": name, "low": float(low), "high": float(high), "weights": int(count)}


def part_rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the parts."""
    for name, chances in posteriors(view).items():
        yield {
            "part": name,
            "weights": len(chances),
            "mean_probability": float(chances.mean()),
            "entropy": mean_bits(chances),
        }


def mean_bits(chances: F64) -> float:
    """Return the mean entropy, in bits, of signs that are + with these ``chances`` (n,)."""
    both = np.stack([chances, 1 - chances])
    terms = np.where(both > 0, both * np.log2(np.where(both > 0, both, 1.0)), 0.0)
    return float(-terms.sum(axis=0).mean())


def draw(view: View) -> Figure:
    """Return the figure: a panel for each matrix. Raises InputError for other rules."""
    found = posteriors(view)
    figure = new_figure(1.2 * len(found) + 0.4)
    panels = figure.subplots(len(found), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, chances) in zip(panels, found.items(), strict=True):
        _draw_part(axes, plain(name, 40), chances)
    panels[-1].set_xlabel("posterior probability of +")
    return figure


def _draw_part(axes: Axes, name: str, chances: F64) -> None:
    counts = np.histogram(chances, _EDGES)[0]
    axes.stairs(counts, _EDGES, fill=True, color=COLOURS[0])
    axes.set_yscale("log")
    axes.set(ylabel="weights", xlim=(0, 1), ylim=(0.5, 3.0 * max(int(counts.max()), 1)))
    title = f"{name}: {len(chances)} weights, {mean_bits(chances):.2f} bit each"
    look: Look = {"loc": "left", "fontsize": 7}
    axes.set_title(title, **look)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")
