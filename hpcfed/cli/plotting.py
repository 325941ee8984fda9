"""What the commands that draw share: arguments, help with the columns of tables, what is said."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any  # Any: typer's context has no public name

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from hpcfed.report.plots.asked import Asked

One = Annotated[Path, typer.Argument(metavar="PATH", help="run, folder of runs, or sweep")]
Several = Annotated[list[Path], typer.Argument(metavar="PATH", help="runs, folders or sweeps")]
OneRun = Annotated[
    Path, typer.Argument(metavar="RUN", help="run file, or the folder that holds it")
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="PICTURE",
        help="picture to write (.png, .svg, .pdf), its tables beside it as .csv; default: in the "
        "folder of the runs",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="take only runs whose configuration has this value, as client.epochs=2; repeatable",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="draw this one of the pictures; repeatable"),
]


class Plot(TyperCommand):
    """A command whose help documents the columns of the tables that it writes."""

    def get_help(self, ctx: Any) -> str:
        """Return the help, with the columns of each table below."""
        columns = importlib.import_module(f"hpcfed.report.plots.{self.name}").COLUMNS
        lines = ["", "Columns of the CSV files (an empty field: not known):"] if columns else []
        for ending, meanings in columns.items():
            lines += ["", f"PICTURE{ending}:"]
            for name, meaning in meanings.items():
                text = f"  {name}: {meaning}"
                lines += textwrap.wrap(text, 96, subsequent_indent=6 * " ")
        return "\n".join([super().get_help(ctx), *lines])


def asked(paths: Iterable[Path], out: Path | None, where: Iterable[str] | None = None) -> Asked:
    """Return what a figure is asked to show."""
    from hpcfed.report.plots.asked import Asked

    return Asked(tuple(paths), tuple(where or ()), out)


def say(lines: Iterable[object]) -> None:
    """Print what is written, unless nobody reads any more: it is written all the same."""
    for line in lines:
        try:
            print(line, flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
