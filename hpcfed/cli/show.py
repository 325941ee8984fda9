"""The command that shows runs: as tables, as JSON, or the configuration that a run file holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def show(
    path: Annotated[Path, typer.Argument(help="run file, its folder, or a folder of runs")],
    config: Annotated[
        bool, typer.Option("--config", help="print the configuration in the run file, as TOML")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print numbers as JSON; what is not known is null")
    ] = False,
) -> None:
    """Show a run, or all runs below a folder: what varies, and means over seeds, as tables."""
    import tomllib

    from hpcfed.report.overview import content_at
    from hpcfed.report.summary import configuration, print_summary

    if config:
        text = configuration(path)
        print(json.dumps(tomllib.loads(text), indent=2) if as_json else text.rstrip("\n"))
    elif as_json:
        print(json.dumps(content_at(path), indent=2, allow_nan=False))
    else:
        print_summary(path)
