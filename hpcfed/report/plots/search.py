"""Pictures of a search with their tables."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from hpcfed.errors import InputError
from hpcfed.report.figures.search import front, history, importance, lineage, slices, timeline
from hpcfed.report.figures.search.every import FIGURES, applicable
from hpcfed.report.figures.search.view import columns, point_rows, read_view
from hpcfed.report.plots.asked import Asked, Lines, beside, check_choice, written
from hpcfed.report.tables import write_csv

COLUMNS = {  # besides two with a column for each key: of all points, and of the parallel axes
    "_history.csv": history.COLUMNS,
    "_importance.csv": importance.COLUMNS,
    "_slices.csv": slices.COLUMNS,
    "_front.csv": front.COLUMNS,
    "_timeline.csv": timeline.COLUMNS,
    "_lineage.csv": lineage.COLUMNS,
}


def write(asked: Asked, only: Sequence[str]) -> Lines:
    """Write the pictures and their tables, and one of all proposals."""
    for name in only:
        check_choice("--only", name, FIGURES)
    picture = asked.picture("search")
    view = read_view(asked.path)
    if view is None:
        raise InputError(f"{asked.path}: holds no search")
    table = beside(picture, ".csv")
    write_csv(table, columns(view.search), point_rows(view))
    yield table
    for name, figure in applicable(view).items():
        if only and name not in only:
            continue
        path = beside(picture, f"_{name}{picture.suffix}")
        try:
            rows = list(figure.rows(view))
            shown = {".csv": rows} if rows else {}
            names = {".csv": figure.columns(view)}
            yield from written(path, partial(figure.draw, view), names, shown)
        except InputError as error:
            print(f"{name}: not drawn, {error}", file=sys.stderr)
