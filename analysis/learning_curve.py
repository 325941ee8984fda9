"""Accuracy and loss over rounds and bytes: learning_curve.py PATH [PATH ...] [--out PICTURE]."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.report import curves
from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures.learning_curve import figure
from hpcfed.report.summary import size_text
from hpcfed.report.tables import write_csv


def main() -> None:
    """Parse arguments and draw."""
    tables = {"PICTURE.csv": curves.COLUMNS, "PICTURE_targets.csv": curves.TARGET_COLUMNS}
    parser = args.parser(
        "Accuracy and loss over rounds and over uplink bytes, and what a target costs.", tables
    )
    parser.add_argument("path", type=Path, nargs="+", help="run, folder of runs, or sweep")
    args.add_out(parser, "learning_curve.png")
    args.add_where(parser)
    parser.add_argument(
        "--by", action="append", metavar="KEY", help="keys that tell groups apart; default: all"
    )
    parser.add_argument(
        "--split", choices=("validation", "test"), default="test", help="drawn for several groups"
    )
    parser.add_argument(
        "--target", type=float, action="append", metavar="FRACTION",
        help="accuracy on validation to reach, repeatable; default: 0.5 to 0.9",
    )  # fmt: skip
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the picture and both tables, and say what the targets cost."""
    paths = options.path
    picture = options.out or args.folder_of(paths[0]) / "learning_curve.png"
    check_picture(picture)
    groups = []
    for path in paths:
        found = args.selected(path, options.where)
        kept = found if len(found.runs) == 1 else found.finished()
        groups += curves.group(kept, options.by, str(path) if len(paths) > 1 else "")
    targets = options.target or curves.TARGETS
    with our_style():
        save(figure(groups, options.split), picture)
    yield picture
    costs = list(curves.target_rows(groups, targets))
    for row in costs if len(costs) <= len(targets) * 3 else []:
        if row["round"] is not None:
            cost = f"round {row['round']}, {size_text(row['uplink_bytes'])}"
            args.say(f"{row['run']}: {100 * row['target']:g} % on validation at {cost}")
    table, table_of_targets = args.beside(picture, ".csv"), args.beside(picture, "_targets.csv")
    write_csv(table, curves.COLUMNS, curves.rows(groups))
    write_csv(table_of_targets, curves.TARGET_COLUMNS, costs)
    yield from (table, table_of_targets)


if __name__ == "__main__":
    main()
