"""Probabilistic units of a run, or what sending costs in several runs: circuits.py PATH."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import arguments as args

from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from hpcfed.report.drawing import check_picture, our_style, save
from hpcfed.report.figures.circuits import sending
from hpcfed.report.figures.circuits.every import FIGURES
from hpcfed.report.figures.circuits.view import units_of
from hpcfed.report.figures.uncertainty.every import applicable
from hpcfed.report.figures.uncertainty.view import View
from hpcfed.report.runs import Found
from hpcfed.report.tables import write_csv

SENDING = "sending"


def main() -> None:
    """Parse arguments and draw."""
    tables = {
        f"PICTURE_{name}{table.ending}.csv": table.columns
        for name, figure in FIGURES.items()
        for table in figure.tables
    }
    tables[f"PICTURE_{SENDING}.csv"] = sending.COLUMNS
    parser = args.parser(
        'Of a run of rule.kind = "glm" or "wta": likelihood, units of samples, kernels, bases '
        "sent, confusion, whatever it has data for; of several runs, accuracy against the bytes "
        "sent up, by how often and how much clients send.",
        tables,
    )
    parser.add_argument("path", type=Path, help="run, folder of runs, or sweep")
    args.add_out(parser, "circuits.png, its stem before _likelihood, _units, ...,")
    args.add_where(parser)
    parser.add_argument(
        "--only", action="append", choices=[*FIGURES, SENDING], default=[],
        help="draw this one; repeatable",
    )  # fmt: skip
    options = parser.parse_args()
    args.run(lambda: work(options))


def work(options: argparse.Namespace) -> Iterator[Path]:
    """Write the pictures and their tables."""
    picture = options.out or args.folder_of(options.path) / "circuits.png"
    check_picture(picture)
    found = args.selected(options.path, options.where)
    if not found.runs:
        raise InputError(f"{options.path}: no run that can be read")
    one_of = [SENDING] if len(found.runs) > 1 else list(FIGURES)
    for name in options.only:
        if name not in one_of:
            kind = "several runs" if name == SENDING else "a single run"
            raise InputError(f"--only {name}: is of {kind}, and there are {len(found.runs)}")
    if len(found.runs) > 1:
        yield from several(found, picture)
    else:
        yield from single(View(read_record(found.runs[0].file)), picture, options.only)


def several(found: Found, picture: Path) -> Iterator[Path]:
    """Write the picture of several runs and its table."""
    path = args.beside(picture, f"_{SENDING}{picture.suffix}")
    with our_style():
        save(sending.draw(found), path)
    yield path
    write_csv(path.with_suffix(".csv"), sending.COLUMNS, sending.rows(found))
    yield path.with_suffix(".csv")


def single(view: View, picture: Path, only: list[str]) -> Iterator[Path]:
    """Write the pictures of a run that it has data for, or those that are asked for."""
    units_of(view)
    chosen = {name: FIGURES[name] for name in only} or applicable(view, FIGURES)
    yield from args.write_pictures(chosen, view, picture, strict=bool(only))


if __name__ == "__main__":
    main()
