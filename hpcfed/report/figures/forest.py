"""A forest plot: the difference of each row with its interval, at the end and at equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpcfed.errors import InputError
from hpcfed.report.drawing import COLOURS, WIDTH, new_figure, note, plain, told_apart
from hpcfed.report.figures.compare import Compared
from hpcfed.report.figures.compare_text import more_text, place
from hpcfed.report.figures.paired import END, EQUAL_BYTES, Comparison
from hpcfed.report.statistics import SIGNIFICANT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 150  # a picture of more is longer than any page
_HOW = (
    "Means of paired differences, bars: 95 % Student t intervals, of each row by itself; none for "
    f"fewer than 3 pairs. Filled: p < {SIGNIFICANT} after adjustment for all rows of the panel "
    "(Holm). On the right: how many more seeds would decide (0: decided; the table says how)."
)


def draw(found: Compared) -> Figure:
    """Return the figure, a panel for the end and one at equal bytes where they differ.

    Raises InputError for more rows than a picture can hold.
    """
    settings = list(dict.fromkeys(line.setting for line in found.lines))
    if len(settings) > MOST_ROWS:
        raise InputError(
            f"{len(settings)} settings are too many for one picture (at most {MOST_ROWS}); choose "
            "some with --where KEY=VALUE"
        )
    places = [at for at in (END, EQUAL_BYTES) if found.at(at)]
    labels = told_apart(settings, 40)
    num_lines = sum(label.count("\n") + 1 for label in labels)
    drawn = new_figure(1.4 + 0.16 * num_lines + 0.06 * len(labels), WIDTH * (1 + len(places)) / 1.6)
    panels = drawn.subplots(1, len(places), sharey=True, squeeze=False)[0]
    rows = {setting: len(settings) - at for at, setting in enumerate(settings)}
    for axes, at in zip(panels, places, strict=True):
        _panel(axes, found.at(at), rows, 100 if found.quantity.endswith("accuracy") else 1)
        axes.set_title("after the last round" if at == END else _title(found.at(at)))
        axes.set_xlabel(_unit(found.quantity))
    panels[0].set_yticks(list(rows.values()), labels)
    panels[0].set_ylim(0.4, len(settings) + 0.6)
    drawn.suptitle(plain(f"{found.names[0]} minus {found.names[1]}", 90), fontsize=8)
    note(drawn, _HOW)
    return drawn


def _panel(axes: Axes, lines: Sequence[Comparison], rows: dict[str, int], factor: float) -> None:
    axes.axvline(0, color="0.4", lw=0.8)
    for line in lines:
        at, middle = rows[line.setting], factor * line.difference
        low, high = factor * line.low, factor * line.high
        if np.isfinite([low, high]).all():
            axes.plot([low, high], [at, at], "-", color=COLOURS[0])
        face = COLOURS[0] if line.decided else "white"
        axes.plot([middle], [at], "s", color=COLOURS[0], markerfacecolor=face)
        more = more_text(line)
        axes.annotate(
            f"+{more}" if line.more_seeds > 0 else more,
            (1.01, at),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=6,
        )
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", length=0)


def _title(lines: Sequence[Comparison]) -> str:
    sizes = {place(line) for line in lines}
    return f"at {sizes.pop()} sent up" if len(sizes) == 1 else "at equal bytes sent up"


def _unit(quantity: str) -> str:
    words = quantity.replace("_", " ")
    return f"{words} / points" if quantity.endswith("accuracy") else f"{words} / nat"
