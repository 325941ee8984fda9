"""Arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from hpcfed.cli.completing import complete_key

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="override a key of the job file; repeatable",
        autocompletion=complete_key,
    ),
]
RanksToStart = Annotated[int | None, typer.Option(min=1, help="start mpirun with this many")]
Quiet = Annotated[bool, typer.Option("--quiet", help="print errors only")]
