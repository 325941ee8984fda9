"""Clients of one run, its speakers and its confusion matrix: clients.py RUN [--out PICTURE]."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.records.runfile import read_record
from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures import clients
from hpcfed.report.tables import write_csv

TABLES = {
    ".csv": (clients.COLUMNS, clients.rows),
    "_rounds.csv": (clients.ROUND_COLUMNS, clients.round_rows),
    "_groups.csv": (clients.GROUP_COLUMNS, clients.group_rows),
    "_confusion.csv": (clients.CONFUSION_COLUMNS, clients.confusion_rows),
}


def main() -> None:
    """Parse arguments and draw."""
    tables = {f"PICTURE{ending}": columns for ending, (columns, _) in TABLES.items()}
    parser = args.parser(
        "Participation, loss, update norm and samples by client; accuracy by speaker and class.",
        tables,
    )
    parser.add_argument("path", type=Path, help="run file, or the folder that holds it")
    args.add_out(parser, "clients.png")
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the picture and the tables."""
    picture = options.out or args.folder_of(options.path) / "clients.png"
    check_picture(picture)
    record = read_record(options.path)
    with our_style():
        save(clients.draw(record), picture)
    yield picture
    for ending, (columns, rows) in TABLES.items():
        table = args.beside(picture, ending)
        write_csv(table, columns, rows(record))
        yield table


if __name__ == "__main__":
    main()
