"""All pictures of a run's uncertainty by name: what a page shows, and analysis/calibration.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

from hpcfed.report.figures.uncertainty import band, posterior, rejection, reliability, unknown
from hpcfed.report.figures.uncertainty import map as plane
from hpcfed.report.figures.uncertainty.view import View

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Numbers:
    """A table behind a picture; ``ending`` tells its file from those of the picture's others."""

    title: str
    ending: str
    columns: Mapping[str, str]
    rows: Callable[[View], Iterator[dict[str, Any]]]


@dataclass(frozen=True)
class RunFigure:
    """A picture: what it shows, which runs have data for it, how it is drawn, and its numbers."""

    caption: str
    has_data: Callable[[View], bool]
    draw: Callable[[View], Figure]
    tables: tuple[Numbers, ...]


FIGURES = {
    "reliability": RunFigure(
        "Reliability: accuracy over confidence, and how many samples have which",
        reliability.has_data, reliability.draw,
        (Numbers("Reliability by confidence", "", reliability.COLUMNS, reliability.rows),
         Numbers("Calibration", "_scores", reliability.SCORE_COLUMNS, reliability.score_rows)),
    ),
    "rejection": RunFigure(
        "Rejection: accuracy of the rest when the most uncertain samples are put aside",
        rejection.has_data, rejection.draw,
        (Numbers("Accuracy by part rejected", "", rejection.COLUMNS, rejection.rows),),
    ),
    "unknown": RunFigure(
        "Uncertainty of samples of known and of unknown classes",
        unknown.has_data, unknown.draw,
        (Numbers("Uncertainty of known and unknown", "", unknown.COLUMNS, unknown.rows),
         Numbers("Known against unknown", "_scores", unknown.SCORE_COLUMNS, unknown.score_rows)),
    ),
    "map": RunFigure(
        "Maps of what the network says of a plane, and of how uncertain it is",
        plane.has_data, plane.draw,
        (Numbers("Uncertainty over the plane", "", plane.COLUMNS, plane.rows),),
    ),
    "band": RunFigure(
        "The curve that is learned, and how far the members of a committee differ",
        band.has_data, band.draw,
        (Numbers("The curve point by point", "", band.COLUMNS, band.rows),),
    ),
    "posterior": RunFigure(
        "Posterior probabilities of the weights",
        posterior.has_data, posterior.draw,
        (Numbers("Posterior probabilities", "", posterior.COLUMNS, posterior.rows),
         Numbers("Matrices of weights", "_parts", posterior.PART_COLUMNS, posterior.part_rows)),
    ),
}  # fmt: skip


def applicable(view: View, figures: Mapping[str, RunFigure] = FIGURES) -> dict[str, RunFigure]:
    """Return those of ``figures`` that this run has data for."""
    return {name: figure for name, figure in figures.items() if figure.has_data(view)}
