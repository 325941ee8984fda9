"""Accuracy over mask p and drop q, and against uplink bytes: tradeoff.py PATH [--out PICTURE]."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures import tradeoff
from hpcfed.report.figures.tradeoff_figure import draw
from hpcfed.report.tables import write_csv


def main() -> None:
    """Parse arguments and draw."""
    tables = {"PICTURE.csv": tradeoff.COLUMNS, "PICTURE_pairs.csv": tradeoff.PAIR_COLUMNS}
    parser = args.parser("Accuracy over mask p x drop q, and against uplink bytes.", tables)
    parser.add_argument("path", type=Path, help="folder of runs, a sweep, or its sweep.nc")
    args.add_out(parser, "tradeoff.png")
    args.add_where(parser)
    parser.add_argument(
        "--metric", choices=tradeoff.METRICS, help="default: test_accuracy where there is one"
    )
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the picture and both tables."""
    picture = options.out or args.folder_of(options.path) / "tradeoff.png"
    check_picture(picture)
    found = tradeoff.tradeoff(args.selected(options.path, options.where), options.metric)
    for pair in found.pairs:
        if pair.significant:
            args.say(
                f"equal budget: {pair.first.cell.label} beats {pair.second.cell.label} by "
                f"{100 * pair.difference:.1f} [{100 * pair.low:.1f}, {100 * pair.high:.1f}] points"
            )
    with our_style():
        save(draw(found), picture)
    yield picture
    table, pairs = args.beside(picture, ".csv"), args.beside(picture, "_pairs.csv")
    write_csv(table, tradeoff.COLUMNS, tradeoff.rows(found))
    write_csv(pairs, tradeoff.PAIR_COLUMNS, tradeoff.pair_rows(found))
    yield from (table, pairs)


if __name__ == "__main__":
    main()
