"""The unknown: is the network less sure of classes that it has never seen?

AUROC is the chance that a sample of an unknown class has a larger uncertainty than one of a known
class, equal ones counting half. The mutual information of a committee, entropy minus expected
entropy, is how its members differ: doubt about the weights rather than about the sample.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.report.drawing import COLOURS, new_figure, note
from hpcfed.report.figures.view import KNOWN, UNKNOWN, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

COLUMNS = {
    "uncertainty": "entropy or mutual_information",
    "low": "lower end of a bin, nat",
    "high": "upper end, nat",
    "known": "samples of known classes in the bin",
    "unknown": "samples of unknown classes in the bin",
}
SCORE_COLUMNS = {
    "uncertainty": "entropy or mutual_information",
    "auroc": "chance that an unknown sample has more of it than a known one, equal ones half",
    "known": "samples of known classes",
    "unknown": "samples of unknown classes",
    "mean_known": "mean over those, nat",
    "mean_unknown": "mean over these, nat",
}
_BINS = 30
_COLOURS = {KNOWN: COLOURS[0], UNKNOWN: COLOURS[1]}


def has_data(view: View) -> bool:
    """Say whether there are answers to samples of known and unknown classes."""
    return view.holds(KNOWN) and view.holds(UNKNOWN)


def auroc(known: F64, unknown: F64) -> float:
    """Return the area under the ROC curve of telling ``unknown`` (m,) from ``known`` (n,)."""
    ordered = np.sort(known)
    below, up_to = (np.searchsorted(ordered, unknown, side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(known)))


def uncertainties(view: View) -> dict[str, dict[str, F64]]:
    """Return uncertainty -> set -> values. Raises InputError where a set is not stored."""
    sets = {name: view.answers(name).uncertainty for name in (KNOWN, UNKNOWN)}
    return {
        kind: {name: found[kind] for name, found in sets.items()}
        for kind in sets[KNOWN]
        if kind in sets[UNKNOWN]
    }


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the histograms."""
    for kind, values in uncertainties(view).items():
        edges, counts = _histograms(values)
        for place in range(_BINS):
            yield {
                "uncertainty": kind,
                "low": float(edges[place]),
                "high": float(edges[place + 1]),
                **{name: int(count[place]) for name, count in counts.items()},
            }


def score_rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield how well each uncertainty tells unknown from known."""
    for kind, values in uncertainties(view).items():
        yield {
            "uncertainty": kind,
            "auroc": auroc(values[KNOWN], values[UNKNOWN]),
            **{name: len(found) for name, found in values.items()},
            **{f"mean_{name}": float(found.mean()) for name, found in values.items()},
        }


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError without answers to known and unknown samples."""
    found = uncertainties(view)
    figure = new_figure(1.7 * len(found) + 0.5)
    panels = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    for axes, (kind, values) in zip(panels, found.items(), strict=True):
        _draw_panel(axes, kind.replace("_", " "), values)
    panels[0].legend()
    note(figure, "AUROC: chance that a sample of an unknown class has the larger value; 0.5 tells "
                 "nothing.")  # fmt: skip
    return figure


def _draw_panel(axes: Axes, kind: str, values: dict[str, F64]) -> None:
    edges, counts = _histograms(values)
    for name, count in counts.items():
        share = 100 * count / len(values[name])
        colour, label = _COLOURS[name], f"{name} classes (n {len(values[name])})"
        axes.stairs(share, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(share, edges, color=colour, label=label, ls="-" if name == KNOWN else "--")
    axes.set(xlabel=f"{kind} / nat", ylabel="samples / %", xlim=(edges[0], edges[-1]))
    axes.set_title(f"AUROC {auroc(values[KNOWN], values[UNKNOWN]):.3f} by {kind}")


def _histograms(values: dict[str, F64]) -> tuple[F64, dict[str, NDArray[np.int64]]]:
    """Return common edges, and counts by set."""
    top = max(float(found.max()) for found in values.values()) or 1.0
    edges = np.linspace(0, top, _BINS + 1)
    return edges, {name: np.histogram(found, edges)[0] for name, found in values.items()}
