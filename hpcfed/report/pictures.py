"""What a person looks for in a single run, as pictures that stand in a page.

They are those of ``hpcfed plot``, as SVG whose lines and text take the page's colours.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from hpcfed.report.curves import group
from hpcfed.report.drawing import our_style
from hpcfed.report.figures import (
    clients,
    depth,
    energy,
    learning_curve,
    neurons,
    spikes,
    spikes_figure,
    steps,
    windows,
)
from hpcfed.report.figures.circuits import every as circuits
from hpcfed.report.figures.circuits import sending
from hpcfed.report.figures.of_a_run import RunFigure
from hpcfed.report.figures.of_a_run import applicable as applicable_to_run
from hpcfed.report.figures.search.every import SearchFigure, applicable
from hpcfed.report.figures.search.view import View, read_view
from hpcfed.report.figures.uncertainty import bytes as bytes_figure
from hpcfed.report.figures.uncertainty import every as uncertainty
from hpcfed.report.figures.view import View as Answered
from hpcfed.report.runs import Found, Run
from hpcfed.report.tables import Row, field

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SATURATED = 0.9
# caption, module, and the module's tables by what stands before COLUMNS
_ALONG: tuple[tuple[str, ModuleType, Mapping[str, str]], ...] = (
    ("Accuracy over the iterations of the repeated block, and against bytes", depth,
     {"": "By depth of the merged network", "CLIENT_": "By depth of clients"}),
    ("Accuracy of converted ANNs over time steps", steps, {"": "By time steps"}),
    ("Accuracy by spikes over the window, beside that by rates, and the gap between them", windows,
     {"": "By window"}),
)  # fmt: skip
_WAYS = ("rule.kind", "rule.binary.sends", "uplink.dtype")
MOST_ROWS = 1000  # of a table on the page; ``hpcfed plot`` writes all


@dataclass(frozen=True)
class Table:
    """Some of the numbers behind a picture: rows of text under names."""

    title: str
    columns: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Picture:
    """An SVG element, what it shows, and its numbers, for those who point with keys or read aloud.

    Without an ``svg`` the caption says why there is none.
    """

    svg: str
    caption: str
    tables: list[Table]


Drawing = tuple[str, "Callable[[], Figure]", Callable[[], list[Table]]]


def pictures(found: Found) -> list[Picture]:
    """Return the pictures of the only run of ``found``."""
    (run,) = found.runs
    return [_picture(*item) for item in _figures(found, run)]


def search_pictures(folder: Path) -> list[Picture]:
    """Return the pictures of the search in ``folder``; none where there is none."""
    view = read_view(folder)
    if view is None or not view.dots:
        return []
    found = []
    for figure in applicable(view).values():
        draw, table = partial(figure.draw, view), partial(_search_table, figure, view)
        found.append(_picture(figure.caption, draw, table))
    return found


def sweep_pictures(found: Found) -> list[Picture]:
    """Return what runs say together that differ in how they learn and send; else none."""
    drawn = []
    if any(len({str(run.keys.get(key)) for run in found.runs}) > 1 for key in _WAYS):
        caption = "What a byte buys: accuracy and loss of each setting against all that was sent up"
        drawn.append(_together(found, caption, bytes_figure))
    if sending.has_data(found):
        caption = "What sending seldom and little costs: accuracy against all that was sent up"
        drawn.append(_together(found, caption, sending))
    return drawn + [_picture(*item) for item in _along(found)]


def _along(found: Found) -> Iterator[Drawing]:
    """Yield what networks are drawn along, of those that runs were evaluated along."""
    for caption, shown, tables in _ALONG:
        if shown.has_data(found):
            yield caption, partial(shown.draw, found), partial(_tables_of, found, shown, tables)


def _tables_of(found: Found, shown: ModuleType, tables: Mapping[str, str]) -> list[Table]:
    return [
        _table(
            title, getattr(shown, f"{kind}COLUMNS"), getattr(shown, f"{kind.lower()}rows")(found)
        )
        for kind, title in tables.items()
    ]


def _together(found: Found, caption: str, shown: ModuleType) -> Picture:
    """Return a picture of several runs by the module that draws it."""
    draw, rows = partial(shown.draw, found), partial(shown.rows, found)
    return _picture(caption, draw, lambda: [_table("By bytes", shown.COLUMNS, rows())])


def _search_table(figure: SearchFigure, view: View) -> list[Table]:
    return [_table("Numbers", figure.columns(view), figure.rows(view))]


def _figures(found: Found, run: Run) -> Iterator[Drawing]:
    record, keys, table = read_record(run.file), dict(run.keys), energy.CONSTANTS["float32"]
    yield (
        "Accuracy and loss, over rounds and over bytes",
        lambda: learning_curve.figure(group(found)),
        list,  # the curves further down can be read point by point
    )
    yield (
        "Who took part, each client's loss and update, its samples, accuracy by group, confusion",
        lambda: clients.draw(record),
        lambda: [
            _table("Clients", clients.COLUMNS, clients.rows(record)),
            _table("Groups", clients.GROUP_COLUMNS, clients.group_rows(record)),
            _table(
                "Confusion: what was taken for what",
                clients.CONFUSION_COLUMNS,
                (row for row in clients.confusion_rows(record) if row["samples"]),
            ),
        ],
    )
    yield (
        "Spikes of a few samples, firing rates with silent neurons, operations and energy",
        lambda: spikes_figure.draw(record, keys, table, SATURATED),
        lambda: [
            _table(
                "Operations and energy of a sample",
                energy.COLUMNS,
                energy.rows(energy.operations(record, keys), table),
            ),
            _table(
                "Energy beside the ANN of the same shape, memory left out",
                energy.ENERGY_COLUMNS,
                energy.energy_rows(energy.operations(record, keys)),
            ),
            _table(
                "Neurons",
                spikes.NEURON_COLUMNS,
                spikes.neuron_rows(spikes.layers(record), SATURATED),
            ),
        ],
    )
    yield from _along(found)
    answered = Answered(record)
    figures = {**uncertainty.FIGURES, **circuits.FIGURES, **neurons.FIGURES}
    for shown in applicable_to_run(answered, figures).values():
        draw, tables = partial(shown.draw, answered), partial(_tables, shown, answered)
        yield shown.caption, draw, tables


def _tables(figure: RunFigure, answered: Answered) -> list[Table]:
    return [_table(item.title, item.columns, item.rows(answered)) for item in figure.tables]


def _picture(
    caption: str, draw: Callable[[], Figure], tables: Callable[[], list[Table]]
) -> Picture:
    try:
        with our_style():
            return Picture(_svg(draw(), caption), caption, [t for t in tables() if t.rows])
    except InputError as error:
        return Picture("", f"{caption}: not shown, {error}", [])


def _table(title: str, columns: Iterable[str], rows: Iterable[Row]) -> Table:
    names, found = list(columns), list(islice(rows, MOST_ROWS + 1))
    if len(found) > MOST_ROWS:
        title = f"{title} (the first {MOST_ROWS})"
    texts = [[_text(row.get(name)) for name in names] for row in found[:MOST_ROWS]]
    return Table(title, [name.replace("_", " ") for name in names], texts)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) and value == value else field(value)


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
