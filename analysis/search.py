"""Pictures of a search with their tables: search.py FOLDER, where its manifest lies."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.errors import InputError
from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures.search import front, history, importance, lineage, slices, timeline
from hpcfed.report.figures.search.every import FIGURES, applicable
from hpcfed.report.figures.search.view import columns, point_rows, read_view
from hpcfed.report.tables import write_csv


def main() -> None:
    """Parse arguments and draw."""
    tables = {
        "PICTURE_history.csv": history.COLUMNS,
        "PICTURE_importance.csv": importance.COLUMNS,
        "PICTURE_slices.csv": slices.COLUMNS,
        "PICTURE_front.csv": front.COLUMNS,
        "PICTURE_timeline.csv": timeline.COLUMNS,
        "PICTURE_lineage.csv": lineage.COLUMNS,
    }
    parser = args.parser("History, space, importance, front and time of a search.", tables)
    parser.add_argument("path", type=Path, help="folder of the search, as results/NAME")
    args.add_out(parser, "search.png, its stem before _history, _parallel, ...,")
    parser.add_argument(
        "--only", action="append", choices=FIGURES, default=[], help="draw this one; repeatable"
    )
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the pictures and their tables, and one of all proposals."""
    picture = options.out or options.path / "search.png"
    check_picture(picture)
    view = read_view(options.path)
    if view is None:
        raise InputError(f"{options.path}: holds no search")
    table = args.beside(picture, ".csv")
    write_csv(table, columns(view.search), point_rows(view))
    yield table
    for name, figure in applicable(view).items():
        if options.only and name not in options.only:
            continue
        path = args.beside(picture, f"_{name}{picture.suffix}")
        try:
            with our_style():
                save(figure.draw(view), path)
            rows = list(figure.rows(view))
        except InputError as error:
            print(f"{name}: not drawn, {error}", file=sys.stderr)
            continue
        yield path
        if rows:
            write_csv(path.with_suffix(".csv"), figure.columns(view), rows)
            yield path.with_suffix(".csv")


if __name__ == "__main__":
    main()
