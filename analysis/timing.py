"""Where the seconds go, scaling over ranks, bytes predicted and moved: timing.py PATH ..."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures import timing
from hpcfed.report.tables import write_csv


def main() -> None:
    """Parse arguments and draw."""
    parser = args.parser(
        "Seconds of a round by phase; strong scaling (one experiment on several numbers of ranks) "
        "and weak scaling (equally many clients a rank); bytes predicted against bytes moved.",
        {"PICTURE.csv": timing.COLUMNS},
    )
    parser.add_argument("path", type=Path, nargs="+", help="runs, folders of runs, or sweeps")
    args.add_out(parser, "timing.png")
    args.add_where(parser)
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the picture and the table."""
    picture = options.out or args.folder_of(options.path[0]) / "timing.png"
    check_picture(picture)
    runs = [run for path in options.path for run in args.selected(path, options.where).runs]
    with our_style():
        save(timing.draw(runs), picture)
    yield picture
    table = args.beside(picture, ".csv")
    write_csv(table, timing.COLUMNS, timing.rows(runs))
    yield table


if __name__ == "__main__":
    main()
