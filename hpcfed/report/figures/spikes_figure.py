"""Spikes as a picture: rasters of stored samples, firing rates, operations against the twin's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any  # Any: pixels and spikes are of several types

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.tree import Value
from hpcfed.records.runfile import Record
from hpcfed.report.drawing import COLOURS, Look, new_figure, note, told_apart
from hpcfed.report.figures.energy import (
    CONSTANTS,
    COUNTERS,
    Count,
    Energy,
    operations,
    snn_energy_nj,
)
from hpcfed.report.figures.spikes import StoredLayer, images, layers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SAMPLES = 4


def draw(record: Record, keys: dict[str, Value], energy: Energy, saturated: float) -> Figure:
    """Return the figure. Raises InputError without stored samples."""
    found = layers(record)
    counts = operations(record, keys)
    labels = record.evaluation["example_spikes"]["label"][:MOST_SAMPLES]
    classes = told_apart([str(name) for name in record.evaluation["label"]], 12, 1)
    names = [classes[label] for label in labels]
    pictures = images(record)
    num_rows = len(found) + (pictures is not None)
    heights = [1.1 * num_rows, 1.1 * len(found)] + ([1.6] if counts else [])
    figure = new_figure(sum(heights) + 1.1)
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    seconds = float(keys["data.duration"])
    if pictures is None:
        rasters = parts[0]
    else:
        above, rasters = parts[0].subfigures(2, 1, height_ratios=[1, len(found)])
        _draw_images(above.subplots(1, len(names), squeeze=False)[0], pictures)
    panels = rasters.subplots(len(found), len(names), sharex=True, sharey="row", squeeze=False)
    for row, layer in zip(panels, found, strict=True):
        for column, axes in enumerate(row):
            _draw_raster(axes, layer, column, seconds)
        row[0].set_ylabel(layer.name)
    for axes, name in zip(panels[0], names, strict=True):
        axes.set_title(name)
    rasters.supxlabel("time / s", fontsize=8)
    rows = parts[1].subplots(len(found), 1, sharex=True, squeeze=False)[:, 0]
    for axes, layer in zip(rows, found, strict=True):
        _draw_rates(axes, layer, saturated)
    if counts:
        _draw_operations(parts[2].subplots(1, 2, width_ratios=[1, 1]), counts, energy)
        note(figure, _how(counts[-1], energy))
    return figure


def _draw_images(row: Sequence[Axes], pictures: NDArray[Any]) -> None:
    for axes, picture in zip(row, pictures, strict=False):
        colours = picture.transpose(1, 2, 0)
        gray = colours.shape[2] != 3
        axes.imshow(colours[..., 0] if gray else colours, cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()


def _draw_raster(axes: Axes, layer: StoredLayer, sample: int, seconds: float) -> None:
    spikes = layer.spikes[sample]
    bins, neurons = np.nonzero(spikes)
    times = (bins + 0.5) * seconds / len(spikes)
    axes.plot(times, neurons, ".", color=COLOURS[0], ms=0.7, mew=0, rasterized=len(times) > 5000)
    axes.set(xlim=(0, seconds), ylim=(-0.5, spikes.shape[1] - 0.5))


def _draw_rates(axes: Axes, layer: StoredLayer, saturated: float) -> None:
    rates = layer.rates
    edges = np.linspace(0, max(1.0, float(rates.max())), 41).tolist()
    axes.hist(rates, edges, color=COLOURS[2])
    silent = 100 * float((rates == 0).mean())
    full = 100 * float((layer.duty >= saturated).mean())
    text = f"silent {silent:.1f} %\nin {100 * saturated:g} % of bins {full:.1f} %"
    place: Look = {"transform": axes.transAxes, "ha": "right", "va": "top", "fontsize": 7}
    axes.text(0.98, 0.95, text, **place)
    axes.set(ylabel=f"{layer.name}\nneurons", xlabel="spikes per bin, stored samples")
    axes.set_yscale("symlog", linthresh=10)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    axes.set_ylim(bottom=0)


def _draw_operations(panels: Sequence[Axes], counts: list[Count], energy: Energy) -> None:
    parts = [count for count in counts if count.part != "total"]
    left, right = panels
    y = np.arange(len(parts))
    look: Look = {"height": 0.38}
    snn = [max(count.accumulates, count.multiply_accumulates) for count in parts]
    left.barh(y - 0.2, snn, color=COLOURS[0], label="SNN", **look)
    left.barh(y + 0.2, [c.twin for c in parts], color=COLOURS[1], label="ANN", **look)
    left.set_yticks(y, [count.part for count in parts])
    left.invert_yaxis()
    left.set_xscale("log")
    left.xaxis.set_major_formatter(
        lambda value, _: f"1e{round(np.log10(value))}" if value > 0 else ""
    )
    left.xaxis.set_minor_formatter(lambda value, _: "")
    left.set(xlabel="operations a sample")
    total = counts[-1]
    tables = CONSTANTS if energy in CONSTANTS.values() else {"given": energy}
    for place, (counter, name) in enumerate(product(COUNTERS, tables)):
        table = tables[name]
        share = snn_energy_nj(total, table, counter) / _ann_nj(total, table)
        right.barh(place, share, color=COLOURS[0], height=0.6)
        right.text(share, place, f" {share:.3g}", va="center", fontsize=6)
    right.axvline(1.0, color=COLOURS[1])
    names = [f"{name}, {counter}" for counter, name in product(COUNTERS, tables)]
    right.set_yticks(range(len(names)), names)
    right.invert_yaxis()
    right.margins(x=0.25)
    right.set_xlabel("energy, ANN = 1", loc="right")


def _ann_nj(total: Count, energy: Energy) -> float:
    return total.twin * energy.multiply_accumulate_pj / 1000


def _how(total: Count, energy: Energy) -> str:
    return (
        f"Blue: SNN, {total.accumulates:.3g} accumulates for spikes and "
        f"{total.multiply_accumulates:.3g} multiply-accumulates for the neurons' own steps. "
        f"Orange: ANN of the same shape, {total.twin:.3g} multiply-accumulates. Energy: "
        f"{snn_energy_nj(total, energy):.3g} nJ beside {_ann_nj(total, energy):.3g} nJ with "
        f"{energy.accumulate_pj:g} pJ an accumulate and {energy.multiply_accumulate_pj:g} pJ a "
        "multiply-accumulate; what enters a matrix counts where it is not zero, or by its value; "
        "memory left out. Rates of the last evaluation."
    )
