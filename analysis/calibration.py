"""Calibration and uncertainty of a run, or what bytes buy in several: calibration.py PATH."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures.uncertainty import bytes as sent
from hpcfed.report.figures.uncertainty.every import FIGURES, applicable
from hpcfed.report.figures.uncertainty.view import KNOWN, View
from hpcfed.report.runs import Found
from hpcfed.report.tables import write_csv

BYTES = "bytes"


def main() -> None:
    """Parse arguments and draw."""
    tables = {
        f"PICTURE_{name}{table.ending}.csv": table.columns
        for name, figure in FIGURES.items()
        for table in figure.tables
    }
    tables[f"PICTURE_{BYTES}.csv"] = sent.COLUMNS
    parser = args.parser(
        "Reliability, rejection, unknown classes, maps, band and posterior of a run, whatever it "
        "has data for; of several runs, accuracy and loss against the bytes sent up.",
        tables,
    )
    parser.add_argument("path", type=Path, help="run, folder of runs, or sweep")
    args.add_out(parser, "calibration.png, its stem before _reliability, _rejection, ...,")
    args.add_where(parser)
    parser.add_argument(
        "--only", action="append", choices=[*FIGURES, BYTES], default=[],
        help="draw this one; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--bins", type=int, metavar="N",
        help="bins of the confidence, where answers are stored; default: 15",
    )  # fmt: skip
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the pictures and their tables."""
    picture = options.out or args.folder_of(options.path) / "calibration.png"
    check_picture(picture)
    if options.bins is not None and options.bins < 1:
        raise InputError(f"--bins {options.bins}: give at least 1")
    found = args.selected(options.path, options.where)
    if not found.runs:
        raise InputError(f"{options.path}: no run that can be read")
    one_of = [BYTES] if len(found.runs) > 1 else list(FIGURES)
    for name in options.only:
        if name not in one_of:
            kind = "several runs" if name == BYTES else "a single run"
            raise InputError(f"--only {name}: is of {kind}, and there are {len(found.runs)}")
    if len(found.runs) > 1:
        yield from several(found, picture)
    else:
        yield from single(View(read_record(found.runs[0].file), options.bins), picture, options)


def several(found: Found, picture: Path) -> Iterator[Path]:
    """Write the picture of several runs and its table."""
    path = args.beside(picture, f"_{BYTES}{picture.suffix}")
    with our_style():
        save(sent.draw(found), path)
    yield path
    write_csv(path.with_suffix(".csv"), sent.COLUMNS, sent.rows(found))
    yield path.with_suffix(".csv")


def single(view: View, picture: Path, options: argparse.Namespace) -> Iterator[Path]:
    """Write the pictures of a run that it has data for, or those that are asked for."""
    chosen = {name: FIGURES[name] for name in options.only} or applicable(view)
    if not view.holds(KNOWN) and not options.only:
        try:
            view.answers()
        except InputError as error:
            print(error, file=sys.stderr)
    yield from args.write_pictures(chosen, view, picture, strict=bool(options.only))


if __name__ == "__main__":
    main()
