"""Processes of this host, as Linux's /proc tells of them; elsewhere nothing is known of them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


_BECOMING = 0.05  # seconds
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD of Linux's sched.h


class Process(NamedTuple):
    """One process: its state as a letter, numbers of parent and session, and when it began.

    ``started`` is in clock ticks since the boot, ``kernel`` a thread of the kernel itself.
    """

    state: str
    parent: int
    session: int
    started: int
    kernel: bool


def is_told() -> bool:
    """Say whether this host tells of its processes."""
    return (_PROC / "self" / "stat").exists()


def numbers() -> list[int]:
    """Return the numbers of all processes."""
    return [int(entry.name) for entry in _PROC.glob("[0-9]*")]


def read(pid: int, name: str) -> bytes:
    """Return a file of a process, empty if it has ended meanwhile or is somebody else's."""
    try:
        return _PROC.joinpath(str(pid), name).read_bytes()
    except OSError:
        return b""


def find(pid: int) -> Process | None:
    """Return the process of that number, None if there is none."""
    # pid (name) state parent group session - - flags ... started; the name may hold anything
    fields = read(pid, "stat").rpartition(b")")[2].split()
    if len(fields) < 20:
        return None
    return Process(
        state=fields[0].decode(),
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
        kernel=bool(int(fields[6]) & _KERNEL_THREAD),
    )


def inherits(variable: str) -> bool:
    """Say whether any process has a variable, as NAME=VALUE, in the environment it began with."""

    def has(pid: int) -> bool:
        return variable.encode() in environments[pid].split(b"\0")

    environments = {pid: read(pid, "environ") for pid in numbers()}
    if any(map(has, environments)):
        return True
    # one that is just becoming another program has none for a moment
    silent = [pid for pid, environment in environments.items() if not environment]
    becoming = [
        pid for pid in silent if (found := find(pid)) and found.state != "Z" and not found.kernel
    ]
    if becoming:
        time.sleep(_BECOMING)
    environments |= {pid: read(pid, "environ") for pid in becoming}
    return any(map(has, becoming))


def began(process: Process) -> float:
    """Return when a process began, in seconds since the epoch by the clock of now."""
    uptime = float((_PROC / "uptime").read_text(encoding="utf-8").split()[0])
    return time.time() - uptime + process.started / os.sysconf("SC_CLK_TCK")
