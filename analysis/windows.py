"""Networks that learn by rates and answer by spikes, over the window: windows.py PATH."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures import windows
from hpcfed.report.tables import write_csv


def main() -> None:
    """Parse arguments and draw."""
    parser = args.parser(
        "Accuracy by spikes over the window that they are counted in, beside that by rates, and "
        "the gap between the two.",
        {"PICTURE.csv": windows.COLUMNS},
    )
    parser.add_argument("path", type=Path, help="run, folder of runs, or sweep")
    args.add_out(parser, "windows.png")
    args.add_where(parser)
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the picture and its table."""
    picture = options.out or args.folder_of(options.path) / "windows.png"
    check_picture(picture)
    found = args.selected(options.path, options.where)
    with our_style():
        save(windows.draw(found), picture)
    yield picture
    write_csv(picture.with_suffix(".csv"), windows.COLUMNS, windows.rows(found))
    yield picture.with_suffix(".csv")


if __name__ == "__main__":
    main()
