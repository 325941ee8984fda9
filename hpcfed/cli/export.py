"""The command that writes a trained network in a format of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="run file, or its folder")],
    out: Annotated[Path, typer.Argument(help="file to write, such as net.nir")],
    time_step: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="write time constants for a reader of this step; default: the run's time bin",
        ),
    ] = None,
    voltage: Annotated[
        bool,
        typer.Option("--voltage", help="end in the readout's leaky voltage, not in its currents"),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="import code of your own that the run file names")
    ] = False,
) -> None:
    """Write a trained spiking network as NIR, which neuromorphic tools read."""
    from hpcfed.export.run import Export
    from hpcfed.export.run import export as write

    print(write(Export(run, out, time_step, voltage, force, trust)))
