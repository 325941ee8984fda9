"""The command that runs again what a run file holds, as it was or with other values."""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcfed.cli.options import Overrides, Quiet, RanksToStart
from hpcfed.cli.rank import RunOptions
from hpcfed.cli.start import start

if TYPE_CHECKING:
    from hpcfed.config import Experiment


def rerun(
    run: Annotated[Path, typer.Argument(help="run file, or its folder")],
    overrides: Overrides = None,
    out: Annotated[
        Path | None, typer.Option(help="output folder; default results/NAME-2, -3, ...")
    ] = None,
    ranks: RanksToStart = None,
    resume: Annotated[bool, typer.Option("--resume", hidden=True)] = False,
    quiet: Quiet = False,
) -> None:
    """Run again, from round 0 in a new folder, what a run file holds; --set changes keys."""
    changes = tuple(overrides or ())
    named = out is not None or any(item.partition("=")[0].strip() == "name" for item in changes)

    def experiment() -> Experiment:
        from hpcfed.records.configuration import recipe

        found = recipe(run, changes)
        return found if named else found.model_copy(update={"name": _free_name(found.name)})

    # where mpirun starts the ranks again, the folder is there, and its name is no longer free
    name = () if named or ranks is None else ("--set", f"name={json.dumps(experiment().name)}")
    sys.exit(start(RunOptions(experiment, out, resume, quiet), ranks, name))


def _free_name(name: str) -> str:
    """Return the first of name-2, name-3, ... that no folder below results/ has."""
    names = (f"{name}-{number}" for number in count(2))
    return next(free for free in names if not (Path("results") / free).exists())
