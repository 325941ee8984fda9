"""Whether output ends on a terminal, which one, and how large it is, also behind mpirun.

A launcher passes on what a rank writes line by line, so nothing moves that has no newline; and Open
MPI gives each rank a terminal of its own whatever becomes of the output. So what moves is written
to the launcher's own terminal: by its path, which the launcher that hpcfed starts is told, and
which is else found among the processes above.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO

from hpcfed.base import processes

if TYPE_CHECKING:
    from rich.console import Console

VARIABLE = "HPCFED_TERMINAL"  # HOST:PATH of the launcher's terminal; empty: there is none
_LAUNCHED = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
_LAUNCHERS = ("mpirun", "mpiexec", "prterun", "orterun", "hydra", "srun")
_MOST_ABOVE = 6  # launcher, its daemon, a proxy, a shell around the program
_WIDTH_ELSEWHERE = 120


class Terminal(NamedTuple):
    """A terminal: its path (None: it is our own output) and its size."""

    path: str | None
    columns: int
    lines: int


def terminal(environment: Mapping[str, str] = os.environ) -> Terminal | None:
    """Return the terminal that output ends on; None if it ends elsewhere."""
    if VARIABLE in environment:
        host, _, path = environment[VARIABLE].partition(":")
        return _at(path if host == os.uname().nodename else "")
    if any(name in environment for name in _LAUNCHED):
        return _at(_of_launcher())
    if not _is_terminal(sys.stdout):
        return None
    size = shutil.get_terminal_size()
    return Terminal(None, size.columns, size.lines)


def own_place() -> str:
    """Return HOST:PATH of the terminal that this process's output is, empty if it is none."""
    try:
        path = os.ttyname(sys.stdout.fileno()) if _is_terminal(sys.stdout) else ""
    except (OSError, ValueError):
        path = ""
    return f"{os.uname().nodename}:{path}" if path else ""


def console() -> Console:
    """Return a console for tables: as wide as the terminal, or 120 columns without colours."""
    from rich.console import Console

    found = terminal()
    if found is None:
        return Console(width=_WIDTH_ELSEWHERE, force_terminal=False)
    return Console(width=found.columns, height=found.lines, force_terminal=True)


def live_console() -> Console | None:
    """Return a console for what moves, on the terminal itself; None where there is none."""
    from rich.console import Console

    found = terminal()
    if found is None:
        return None
    file: TextIO | None = None
    if found.path is not None:
        descriptor = os.open(found.path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
        file = os.fdopen(descriptor, "w", encoding=sys.stdout.encoding, errors="replace")
    return Console(file=file, width=found.columns, height=found.lines, force_terminal=True)


def never_fail_to_encode() -> None:
    """Let characters that the output cannot encode become question marks, not errors."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty() and os.isatty(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return False


def _at(path: str) -> Terminal | None:
    """Return the terminal at a path, None if it is none or not ours to write to."""
    if not path:
        return None
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        size = os.get_terminal_size(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return Terminal(path, size.columns or 80, size.lines or 24)


def _of_launcher() -> str:
    """Return the path of the terminal that the launcher above us writes to, empty if to none."""
    found = ""
    for number in _above():
        if processes.read(number, "comm").decode(errors="replace").startswith(_LAUNCHERS):
            with contextlib.suppress(OSError):
                found = str(Path("/proc", str(number), "fd", "1").readlink())
    return found if found.startswith(("/dev/pts/", "/dev/tty")) else ""


def _above() -> Iterator[int]:
    """Yield the numbers of the processes above this one, the nearest first."""
    number = os.getppid()
    for _ in range(_MOST_ABOVE):
        yield number
        process = processes.find(number)
        if process is None or process.parent <= 1:
            return
        number = process.parent


def clock(seconds: float) -> str:
    """Return a duration as [hours:]minutes:seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
