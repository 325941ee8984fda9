"""Accuracy and loss over rounds and over bytes, of one run or of several groups, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.records.schema import RUN_FILE
from hpcfed.report.curves import Curves, ended_early, group, has_band
from hpcfed.report.drawing import (
    COLOURS,
    MOST_COLOURS,
    Look,
    bytes_axis,
    check_picture,
    colours,
    new_figure,
    note,
    our_style,
    plain,
    save,
    told_apart,
)
from hpcfed.report.runs import read_files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPLITS = ("validation", "test", "train")
SPLIT_COLOURS = dict(zip(SPLITS, COLOURS, strict=False))
_HOW = (
    "Lines: mean over seeds, over bytes at their mean uplink; bands: 95 % Student t interval of "
    "the mean. Fewer than 3 seeds: each run by itself, evaluated rounds as points, no band."
)


def draw(run_file: Path, picture: Path) -> None:
    """Draw the learning curve of ``run_file`` into ``picture`` (png, svg, pdf and the like).

    Raises InputError if the run has no round yet, and if the picture cannot be written.
    """
    file = run_file / RUN_FILE if run_file.is_dir() else run_file
    check_picture(picture)
    found = read_files(file.parent, [file])
    if found.skipped:
        raise InputError(f"{file}: {found.skipped[0].reason}")
    groups = group(found)
    if not groups:
        raise InputError(f"{file}: has no round yet, nothing can be drawn")
    with our_style():
        save(figure(groups), picture)


def figure(groups: Sequence[Curves], split: str = "test") -> Figure:
    """Return the figure: all splits of one group, or ``split`` of several.

    Raises InputError for no group, and for more than can be told apart.
    """
    if not groups:
        raise InputError("no run has a round yet, nothing can be drawn")
    if len(groups) > MOST_COLOURS:
        raise InputError(
            f"{len(groups)} settings cannot be told apart in one picture (at most {MOST_COLOURS});"
            " choose some with --where KEY=VALUE"
        )
    single = len(groups) == 1
    names = told_apart([curves.label for curves in groups])
    named = list(zip(names, groups, strict=True))
    num_lines = sum(name.count("\n") + 1 for name in names)
    drawn = new_figure(7.4 + (0 if single else 0.16 * num_lines))
    panels = drawn.subplots(4, 1)
    for rounds, sent in zip(panels[:2], panels[2:], strict=True):
        sent.sharey(rounds)
    for accuracy, loss in (panels[:2], panels[2:]):
        loss.sharex(accuracy)
    for axes, (quantity, over_bytes) in zip(panels, _PANELS, strict=True):
        if single:
            _draw_splits(axes, groups[0], quantity, over_bytes)
        else:
            _draw_groups(axes, named, f"{split}_{quantity}", over_bytes)
        _finish(axes, quantity, over_bytes)
    if single:
        panels[0].set_title(plain(groups[0].label) + _unfinished(groups[0]))
        for axes in panels[:2]:
            if axes.get_legend_handles_labels()[0]:
                axes.legend()
    else:
        panels[0].set_title(split)
        handles, labels = panels[0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside upper left", borderpad=0.1)
    if not single or len(groups[0].runs) > 1:
        note(drawn, _HOW)
    return drawn


_PANELS = (("accuracy", False), ("loss", False), ("accuracy", True), ("loss", True))


def _draw_splits(axes: Axes, curves: Curves, quantity: str, over_bytes: bool) -> None:
    for split in SPLITS:
        if (split, quantity) != ("train", "accuracy"):
            name = f"{split}_{quantity}"
            _draw_curves(axes, curves, name, over_bytes, (SPLIT_COLOURS[split], split))


def _draw_groups(
    axes: Axes, named: Sequence[tuple[str, Curves]], name: str, over_bytes: bool
) -> None:
    for (text, curves), colour in zip(named, colours(len(named)), strict=True):
        label = f"{text}{_unfinished(curves)} (n {len(curves.runs)})"
        _draw_curves(axes, curves, name, over_bytes, (colour, label))


def _draw_curves(
    axes: Axes, curves: Curves, name: str, over_bytes: bool, look: tuple[str, str]
) -> None:
    factor = 100 if name.endswith("accuracy") else 1
    colour, label = look
    if has_band(curves):
        mean, low, high = (factor * values for values in curves.band(name))
        x = curves.uplink if over_bytes else np.arange(1, len(mean) + 1)
        known = np.isfinite(mean)
        axes.plot(x[known], mean[known], "-", color=colour, label=label)
        axes.fill_between(x[known], low[known], high[known], color=colour, alpha=0.2, lw=0)
        return
    for index, run in enumerate(curves.runs):
        values = factor * curves.values(name)[index][: run.num_rounds]
        sent = run.uplink_bytes() if over_bytes else np.arange(1, run.num_rounds + 1)
        known = np.isfinite(values)
        if known.any():
            shown = "_" if index else label
            axes.plot(sent[known], values[known], _mark(known), ms=3, color=colour, label=shown)


def _mark(known: NDArray[np.bool_]) -> str:
    return ".-" if known.sum() <= 80 else "-"  # more points than that are a line anyway


def _finish(axes: Axes, quantity: str, over_bytes: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set(ylabel="accuracy / %" if quantity == "accuracy" else "loss / nat")
    if quantity == "accuracy":
        axes.set_ylim(0, 100)
    elif axes.lines:
        axes.set_ylim(bottom=0)
    if over_bytes:
        has_bytes = any((np.asarray(line.get_xdata()) > 0).any() for line in axes.lines)
        if has_bytes:
            bytes_axis(axes)
        axes.set_xlabel("uplink so far" if has_bytes else "uplink so far / B (none was sent)")
    else:
        axes.set_xlabel("round")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if not axes.lines:
        middle: Look = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, "not evaluated", color="0.4", **middle)
    axes.grid(visible=True)


def _unfinished(curves: Curves) -> str:
    states = sorted({run.status for run in curves.runs} - {"finished"})
    states += ended_early(curves.runs)
    return f" ({', '.join(states)})" if states else ""
