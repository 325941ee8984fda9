"""What the runs of a sweep are called, in every file that names them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from hpcfed.errors import InputError

LENGTH = 16  # hex digits: among a million runs two names are equal with chance 3e-8
_RUN = re.compile(rf"[0-9a-f]{{{LENGTH}}}", re.ASCII)


def run_name(value: object, source: Path) -> str:
    """Return a run's name that ``source`` holds; it becomes part of paths.

    Raises InputError for what cannot be one: a file of somebody else's may name any path.
    """
    if not isinstance(value, str) or not _RUN.fullmatch(value):
        raise InputError(
            f"{source}: {str(value)[:80]!r} is no name of a run, expected {LENGTH} hex digits"
        )
    return value


def dropped_text(dropped: Iterable[Path]) -> str:
    """Return what is said of the folders of runs whose points a changed sweep file has dropped."""
    folders = list(dropped)
    places = ", ".join(sorted({str(folder.parent) for folder in folders}))
    verb = "run is" if len(folders) == 1 else "runs are"
    return f"{len(folders)} {verb} no longer in the sweep file; what they left stays in {places}"
