"""Synaptic kernels before and after training: what a spike does to a unit, bin after bin.

The kernel of a synapse is sum_k w_k A_k(lag), A_k the raised cosines of its bases. B bases, W bins
of the past, R rows (each value of each unit), L lines (each value of each source).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.report.drawing import COLOURS, SEQUENCE, new_figure, note
from hpcfed.report.figures.circuits.basis import raised_cosines
from hpcfed.report.figures.circuits.view import BIAS, KERNEL, Units, parameters, units_of
from hpcfed.report.figures.view import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

COLUMNS = {
    "unit": "a hidden unit, or an output by its class",
    "unit_value": "value of the unit whose potential is moved, from 1",
    "source": "what spikes: an input or a unit",
    "source_value": "value of its spike, from 1",
    "lag": "bins after the spike, from 1",
    "before": "what it adds to the potential, before training",
    "after": "the same, after training",
}
NORM_COLUMNS = {
    "unit": "a hidden unit, or an output by its class",
    "source": "what spikes: an input or a unit",
    "before": "norm (L2, over lags and values) of the kernels from one to the other, before "
    "training; empty: there is no synapse",
    "after": "the same, after training",
}
UNIT_COLUMNS = {
    "unit": "a hidden unit, or an output by its class",
    "value": "value of the unit, from 1",
    "bias_before": "its bias before training",
    "bias_after": "the same, after training",
    "feedback_before": "weight of its own past before training; empty: it does not see it",
    "feedback_after": "the same, after training",
}
MOST_CURVES = 4  # of an output
_MOST_PANELS = 8  # outputs of which kernels are shown
_MOST_TICKS = 12
_PARTS = ("bias", "feedback")


@dataclass(frozen=True)
class Kernels:
    """The kernels of a run over lags, NaN where there is no synapse: (R, L, W) each."""

    units: Units
    before: F64
    after: F64

    def norms(self, kernels: F64) -> F64:
        """Return the norm of ``kernels`` (R, L, W) by unit and source, NaN without any synapse."""
        values = self.units.num_values
        by_unit = kernels.reshape(len(self.units.names), values, -1, values, kernels.shape[2])
        sums = np.nansum(np.square(by_unit), axis=(1, 3, 4))
        return np.where(np.isnan(by_unit).all(axis=(1, 3, 4)), np.nan, np.sqrt(sums))

    def strongest(self, unit: int) -> list[tuple[int, int]]:
        """Return the (row, line) of the strongest kernels of ``unit`` after training."""
        values = self.units.num_values
        first = unit * values
        sizes = np.square(self.after[first : first + values]).sum(axis=2)
        order = np.argsort(-np.nan_to_num(sizes, nan=-1.0), axis=None, kind="stable")
        places = zip(*np.unravel_index(order[:MOST_CURVES], sizes.shape), strict=True)
        return [(first + int(r), int(c)) for r, c in places if np.isfinite(sizes[r, c])]


def kernels(view: View) -> Kernels:
    """Return the kernels. Raises InputError for runs of other rules, and where all are 0."""
    units = units_of(view)
    settings = units.settings
    table = raised_cosines(settings.bases, settings.window, settings.width)
    before, after = (np.einsum("brl,bw->rlw", part[KERNEL], table) for part in parameters(view))
    if np.isnan(after).all():
        raise InputError(f"{view.name}: all kernels are 0, nothing has been learned yet")
    return Kernels(units, before, after)


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the strongest kernels of each output."""
    found = kernels(view)
    units, values = found.units, found.units.num_values
    for unit in range(units.num_hidden, len(units.names)):
        for row, line in found.strongest(unit):
            pairs = zip(found.before[row, line].tolist(), found.after[row, line].tolist(),
                        strict=True)  # fmt: skip
            for lag, (before, after) in enumerate(pairs, start=1):
                yield {
                    "unit": units.names[unit],
                    "unit_value": row % values + 1,
                    "source": units.sources[line // values],
                    "source_value": line % values + 1,
                    "lag": lag,
                    "before": before,
                    "after": after,
                }


def norm_rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the norms of all kernels by unit and source."""
    found = kernels(view)
    before, after = found.norms(found.before), found.norms(found.after)
    for unit, name in enumerate(found.units.names):
        for source, seen in enumerate(found.units.sources):
            yield {
                "unit": name,
                "source": seen,
                "before": float(before[unit, source]),
                "after": float(after[unit, source]),
            }


def unit_rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield biases and feedback by unit and value."""
    units = units_of(view)
    before, after = parameters(view)
    for row in range(len(after[BIAS])):
        found: dict[str, Any] = {
            "unit": units.names[row // units.num_values],
            "value": row % units.num_values + 1,
        }
        for part in _PARTS:
            for when, parts in (("before", before), ("after", after)):
                found[f"{part}_{when}"] = float(parts[part][row]) if part in parts else None
        yield found


def draw(view: View) -> Figure:
    """Return the figure: a map of norms, then kernels of outputs. Raises InputError if none."""
    found = kernels(view)
    first = found.units.num_hidden
    shown = range(first, min(len(found.units.names), first + _MOST_PANELS))
    num_rows = -(-len(shown) // 2)
    heights = [1.1 + min(2.0, 0.1 * len(found.units.names)), 1.9 * num_rows]
    figure = new_figure(sum(heights) + 0.5, 5.2)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    _draw_norms(above.subplots(), found)
    panels = below.subplots(num_rows, 2, sharex=True, sharey=True, squeeze=False)
    for axes, unit in zip(panels.flat, shown, strict=False):
        _draw_kernels(axes, found, unit)
    for axes in panels.flat[len(shown) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("kernel")
    panels[0, 0].xaxis.get_major_locator().set_params(integer=True)
    below.supxlabel("lag / bins", fontsize=8)
    note(figure, _how(found, len(shown)))
    return figure


def _draw_norms(axes: Axes, found: Kernels) -> None:
    units = found.units
    norms = found.norms(found.after)
    image = axes.imshow(norms, aspect="auto", interpolation="nearest", cmap=SEQUENCE, vmin=0)
    axes.figure.colorbar(image, ax=axes, label="norm", pad=0.01)
    step = max(1, -(-len(units.names) // _MOST_TICKS))
    axes.set_yticks(range(0, len(units.names), step), units.names[::step], fontsize=6)
    axes.set(xlabel=_seen(units), ylabel="unit")
    norm = float(np.sqrt(np.nanmean(np.square(norms))))
    start = float(np.sqrt(np.nanmean(np.square(found.norms(found.before)))))
    axes.set_title(f"kernels after training: norm {norm:.3g} (rms), before it {start:.3g}")


def _seen(units: Units) -> str:
    kinds = {"input": "inputs", "hidden": "hidden units"}
    heads = [name.partition(" ")[0] for name in units.sources]
    counts = [f"{heads.count(head)} {name}" for head, name in kinds.items() if head in heads]
    if units.settings.lateral:
        counts.append(f"{units.num_outputs} outputs")
    return f"source: {', '.join(counts)}"


def _draw_kernels(axes: Axes, found: Kernels, unit: int) -> None:
    units, values = found.units, found.units.num_values
    lags = np.arange(1, found.after.shape[2] + 1)
    for (row, line), colour in zip(found.strongest(unit), COLOURS, strict=False):
        name = units.sources[line // values]
        if values > 1:
            name += f": {line % values + 1} to {row % values + 1}"
        axes.plot(lags, found.before[row, line], color=colour, lw=0.6)
        axes.plot(lags, found.after[row, line], color=colour, lw=1.7, label=name)
    axes.axhline(0, color="0.4", lw=0.5)
    axes.set_title(f"output {units.names[unit]}")
    if found.strongest(unit):
        axes.legend(fontsize=5.5)
    axes.grid(visible=True)


def _how(found: Kernels, num_shown: int) -> str:
    text = f"Kernels of the {MOST_CURVES} strongest synapses of each output: thick after training, "
    text += "thin before it."
    if found.units.num_values > 1:
        text += " a to b: a spike of value a moves the potential of value b."
    if num_shown < found.units.num_outputs:
        text += f" The first {num_shown} of {found.units.num_outputs} outputs."
    return text
