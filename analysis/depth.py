"""Networks whose blocks are repeated, over depth: depth.py PATH."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures import depth
from hpcfed.report.tables import write_csv

CLIENTS = "_clients.csv"


def main() -> None:
    """Parse arguments and draw."""
    tables = {"PICTURE.csv": depth.COLUMNS, f"PICTURE{CLIENTS}": depth.CLIENT_COLUMNS}
    parser = args.parser(
        "Accuracy of merged networks over the iterations of their repeated block, against bytes "
        "beside networks without one; what clients of each depth cost.",
        tables,
    )
    parser.add_argument("path", type=Path, help="run, folder of runs, or sweep")
    args.add_out(parser, "depth.png")
    args.add_where(parser)
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the picture and its tables."""
    picture = options.out or args.folder_of(options.path) / "depth.png"
    check_picture(picture)
    found = args.selected(options.path, options.where)
    with our_style():
        save(depth.draw(found), picture)
    yield picture
    write_csv(picture.with_suffix(".csv"), depth.COLUMNS, depth.rows(found))
    yield picture.with_suffix(".csv")
    write_csv(args.beside(picture, CLIENTS), depth.CLIENT_COLUMNS, depth.client_rows(found))
    yield args.beside(picture, CLIENTS)


if __name__ == "__main__":
    main()
