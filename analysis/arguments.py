"""What the scripts of this folder share: arguments, bad input, and where results go."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from hpcfed.errors import InputError
from hpcfed.report.drawing import our_style, save
from hpcfed.report.figures.of_a_run import RunFigure
from hpcfed.report.figures.view import View
from hpcfed.report.runs import Found, find
from hpcfed.report.tables import skipped_lines, write_csv
from hpcfed.report.values import parse_conditions


def parser(description: str, tables: Mapping[str, Mapping[str, str]]) -> argparse.ArgumentParser:
    """Return a parser whose help documents the columns of each table."""
    lines = ["columns of the CSV files (an empty field: not known):"]
    for table, columns in tables.items():
        lines += ["", f"{table}:"]
        for name, meaning in columns.items():
            lines += textwrap.wrap(f"{name}: {meaning}", 96, subsequent_indent="      ",
                                   initial_indent="  ")  # fmt: skip
    return argparse.ArgumentParser(
        description=description,
        epilog="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_out(arguments: argparse.ArgumentParser, name: str) -> None:
    """Add --out; tables lie beside the picture."""
    arguments.add_argument(
        "--out",
        type=Path,
        metavar="PICTURE",
        help=f"picture to write (.png, .svg, .pdf), its tables beside it as .csv; default: {name} "
        "in the folder of the runs",
    )


def add_where(arguments: argparse.ArgumentParser) -> None:
    """Add --where."""
    arguments.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="take only runs whose configuration has this value, as client.epochs=2; repeatable",
    )


def selected(path: Path, where: Iterable[str]) -> Found:
    """Return the runs at ``path`` that --where selects, saying what is left out."""
    found = find(path).where(parse_conditions(list(where)))
    for line in skipped_lines(found):
        print(line, file=sys.stderr)
    return found


def beside(picture: Path, ending: str) -> Path:
    """Return the name of a table that lies beside ``picture``: its stem and ``ending``."""
    return picture.with_name(picture.stem + ending)


def folder_of(path: Path) -> Path:
    """Return the folder where results about ``path`` lie."""
    return path if path.is_dir() else path.parent


def say(text: object) -> None:
    """Print a line, unless nobody reads any more."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(work: Callable[[], Iterable[Path]]) -> None:
    """Do the work and name the files written; bad input is one message and exit code 2.

    Who reads the output (``| head``) may have seen enough before: the files are written all the
    same.
    """
    try:
        for path in work():
            say(path)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def write_pictures(
    chosen: Mapping[str, RunFigure], view: View, picture: Path, strict: bool
) -> Iterator[Path]:
    """Write the pictures of a run, each with its tables, beside ``picture``; yield their paths.

    What cannot be drawn is said; with ``strict`` it raises InputError.
    """
    for name, figure in chosen.items():
        path = beside(picture, f"_{name}{picture.suffix}")
        try:
            with our_style():
                save(figure.draw(view), path)
        except InputError as error:
            if strict:
                raise
            print(f"{name}: not drawn, {error}", file=sys.stderr)
            continue
        yield path
        for table in figure.tables:
            place = beside(path, f"{table.ending}.csv")
            write_csv(place, table.columns, table.rows(view))
            yield place
