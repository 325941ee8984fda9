"""Two sweeps, or two settings of one, paired by seeds: compare.py A [B] [--first ...]."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.errors import InputError
from hpcfed.report.figures import compare, tradeoff
from hpcfed.report.tables import write_csv, write_text
from hpcfed.report.values import parse_conditions

QUANTITIES = ("test_accuracy", "validation_accuracy", "test_loss", "validation_loss", "train_loss")


def main() -> None:
    """Parse arguments and compare."""
    parser = args.parser(
        "Difference of two sweeps or settings, paired by seeds, as Markdown, LaTeX and CSV. Keys "
        "that vary within a side give a row each; the two sides are told apart by --first and "
        "--second, or by two paths.",
        {"OUT.csv": compare.COLUMNS},
    )
    parser.add_argument("path", type=Path, nargs="+", help="one folder of runs, or two")
    for side in ("first", "second"):
        parser.add_argument(
            f"--{side}", action="append", default=[], metavar="KEY=VALUE",
            help=f"runs of the {side} side, as uplink.mask_probability=0.9; repeatable",
        )  # fmt: skip
    args.add_where(parser)
    parser.add_argument(
        "--quantity", choices=QUANTITIES, help="default: test_accuracy where there is one"
    )
    parser.add_argument(
        "--out", type=Path, help="name of the tables; .md, .tex and .csv are added to it; "
        "default: compare in the folder of the first path",
    )  # fmt: skip
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Print the Markdown and write the three tables."""
    paths = options.path
    if len(paths) > 2 or (len(paths) == 1 and options.first == options.second):
        raise InputError("give two paths, or one with --first KEY=VALUE and --second KEY=VALUE")
    whole = [args.selected(path, options.where) for path in paths]
    conditions = options.first, options.second
    sides = [
        found.where(parse_conditions(chosen)).finished().runs
        for found, chosen in zip((whole[0], whole[-1]), conditions, strict=True)
    ]
    folders = [str(path) for path in paths] if len(paths) > 1 else ["", ""]
    names = [
        " ".join([*chosen, folder]).strip()
        for chosen, folder in zip(conditions, folders, strict=True)
    ]
    quantity = options.quantity or tradeoff.best_metric([*sides[0], *sides[1]])
    found = compare.compare(sides[0], sides[1], quantity, (names[0], names[1]))
    text = compare.markdown(found)
    args.say(text)
    out = options.out or args.folder_of(paths[0]) / "compare"
    tables = [out.with_name(out.name + ending) for ending in (".md", ".tex", ".csv")]
    write_text(tables[0], text)
    write_text(tables[1], compare.latex(found))
    write_csv(tables[2], compare.COLUMNS, compare.rows(found))
    yield from tables


if __name__ == "__main__":
    main()
