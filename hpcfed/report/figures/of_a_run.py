"""What a picture of a single run is: for the page, and for ``hpcfed plot``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

from hpcfed.report.figures.view import View

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


def applicable(view: View, figures: Mapping[str, RunFigure]) -> dict[str, RunFigure]:
    """Return those of ``figures`` that this run has data for."""
    return {name: figure for name, figure in figures.items() if figure.has_data(view)}
