"""What a person looks for in a single run, as pictures that stand in a page.

They are the figures of analysis/, as SVG whose lines and text take the page's colours.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from hpcfed.report.curves import group
from hpcfed.report.drawing import our_style
from hpcfed.report.figures import clients, learning_curve, spikes, spikes_figure
from hpcfed.report.runs import Found, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SATURATED = 0.9


@dataclass(frozen=True)
class Picture:
    """An SVG element and what it shows; without an ``svg`` the caption says why there is none."""

    svg: str
    caption: str


def pictures(found: Found) -> list[Picture]:
    """Return the pictures of the only run of ``found``."""
    (run,) = found.runs
    return [_picture(*item) for item in _figures(found, run)]


def _figures(found: Found, run: Run) -> Iterator[tuple[str, Callable[[], Figure]]]:
    record = read_record(run.file)
    yield (
        "Accuracy and loss, over rounds and over bytes",
        lambda: learning_curve.figure(group(found)),
    )
    yield (
        "Who took part, each client's loss and update, its samples, accuracy by group, confusion",
        lambda: clients.draw(record),
    )
    yield (
        "Spikes of a few samples, firing rates with silent neurons, operations and energy",
        lambda: spikes_figure.draw(record, dict(run.keys), spikes.Energy(), SATURATED),
    )


def _picture(caption: str, draw: Callable[[], Figure]) -> Picture:
    try:
        with our_style():
            return Picture(_svg(draw(), caption), caption)
    except InputError as error:
        return Picture("", f"{caption}: not shown, {error}")


def _svg(figure: Figure, caption: str) -> str:
    """Return the figure as an SVG element whose names clash with no other's on the page."""
    import matplotlib as mpl

    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": caption}):
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL)  # it would rule the whole page
    text = re.sub(r' id="[\w.]+_\d+"', "", text)  # names that nothing refers to
    text = re.sub(r' xmlns:xlink="[^"]*"', "", text).replace("xlink:href", "href")
    return text.replace("#000000", "currentColor")
