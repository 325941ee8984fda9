"""Whether output ends on a terminal, and how large that is, also behind mpirun."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

VARIABLE = "HPCFED_TERMINAL"  # COLUMNSxLINES, set by the launcher for the ranks it starts
_LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
_WIDTH_ELSEWHERE = 120


def terminal_size(environment: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """Return columns and lines of the terminal that output ends on; None if it ends elsewhere.

    Open MPI gives each rank a terminal of its own whatever becomes of the output, so a rank
    believes the launcher alone.
    """
    if VARIABLE in environment:
        columns, _, lines = environment[VARIABLE].partition("x")
        return int(columns), int(lines)
    if any(name in environment for name in _LAUNCHED) or not sys.stdout.isatty():
        return None
    size = shutil.get_terminal_size()
    return size.columns, size.lines


def console() -> Console:
    """Return a console for tables: as wide as the terminal, or 120 columns without colours."""
    from rich.console import Console

    size = terminal_size()
    if size is None:
        return Console(width=_WIDTH_ELSEWHERE, force_terminal=False)
    return Console(width=size[0], height=size[1], force_terminal=True)
