"""What the commands of sweeps and of searches share: arguments, and what was planned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcfed.cli.completing import complete_sweep

if TYPE_CHECKING:
    from hpcfed.records.sweepfolder import Paths
    from hpcfed.sweep.planning.manifest import Manifest

File = Annotated[
    Path,
    typer.Argument(
        help="sweep file (TOML), or the name of a packaged one", autocompletion=complete_sweep
    ),
]
Out = Annotated[Path | None, typer.Option(help="output folder; default results/NAME")]


def planned(file: Path, out: Path | None) -> tuple[Manifest, Paths]:
    """Return what was planned; the sweep file is looked at for its name only."""
    from hpcfed.sweep.planning.manifest import read_manifest
    from hpcfed.sweep.planning.sweepfile import name_of_file

    paths = paths_of(name_of_file(find_file(file)) if out is None else "", out)
    return read_manifest(paths), paths


def find_file(file: Path) -> Path:
    """Return the sweep file that a user names."""
    from hpcfed.config.jobs import find_job

    return find_job(file)


def paths_of(name: str, out: Path | None) -> Paths:
    """Return the files of a sweep."""
    from hpcfed.records.sweepfolder import Paths

    return Paths(out or Path("results") / name)
