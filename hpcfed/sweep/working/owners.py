"""Who works on a run, and whether they still exist: the scheduler knows, or this host's kernel.

An owner is a process, within a job of Slurm or not. One that cannot be asked about (another host
without Slurm, a scheduler that does not answer) counts as existing.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Protocol

from hpcfed.base import processes

VARIABLE = "HPCFED_SWEEP_OWNER"  # in the environment of everything an owner starts
_NONE = "-"


@dataclass(frozen=True)
class Owner:
    """One process on one host; ``job`` is "-" outside of Slurm, ``restart`` counts its requeues."""

    job: str
    task: str
    restart: int
    host: str
    boot: str
    pid: int
    started: int

    @property
    def name(self) -> str:
        """The owner as the name of a file."""
        return ",".join(map(str, astuple(self)))

    @classmethod
    def parse(cls, name: str) -> Owner:
        """Return the owner of that name; of a foreign name one that never ends."""
        found = name.split(",")
        if len(found) != 7 or not all(found[i].isdecimal() for i in (2, 5, 6)):
            return cls(_NONE, _NONE, 0, name, _NONE, 0, 0)
        job, task, restart, host, boot, pid, started = found
        return cls(job, task, int(restart), host, boot, int(pid), int(started))

    @property
    def in_slurm(self) -> bool:
        """Whether Slurm knows the owner."""
        return self.job != _NONE

    def __str__(self) -> str:
        """Return the owner as people call it."""
        if self.in_slurm:
            return f"job {self.job}" + (f"_{self.task}" if self.task != _NONE else "")
        return f"process {self.pid} on {self.host}"


class Queue(Protocol):
    """What has to be known of the scheduler's queue."""

    def incarnation(self, job: str, task: str, refresh: bool) -> int | None:
        """Return the restart count of a job or array task that runs, -1 if it does not.

        None if the scheduler does not answer; ``refresh`` asks it anew.
        """
        ...


def this_process(environment: Mapping[str, str] = os.environ) -> Owner:
    """Return this process as an owner."""
    pid = os.getpid()
    job = environment.get("SLURM_ARRAY_JOB_ID") or environment.get("SLURM_JOB_ID") or _NONE
    restart = environment.get("SLURM_RESTART_COUNT", "0")
    return Owner(
        job=job,
        task=environment.get("SLURM_ARRAY_TASK_ID", _NONE) if job != _NONE else _NONE,
        restart=int(restart) if restart.isdigit() else 0,
        host=_host(),
        boot=_boot(),
        pid=pid,
        started=_started(pid),
    )


def ask_to_stop(owner: Owner) -> bool:
    """Send TERM to an owner's process on this host, if it is still there; say whether it was.

    Its number alone does not say that: it may have been given to somebody else's process since.
    """
    if owner.in_slurm or (owner.host, owner.boot) != (_host(), _boot()):
        return False
    if owner.pid <= 0 or _started(owner.pid) != owner.started:
        return False
    try:
        os.kill(owner.pid, signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        return False
    return True


class Presence:
    """Answers whether owners are gone, as seen by ``me``; the dead stay dead."""

    def __init__(self, me: Owner, queue: Queue) -> None:
        self._me, self._queue = me, queue
        self._gone: set[Owner] = set()

    def is_gone(self, owner: Owner) -> bool:
        """Say whether an owner is known to have ended."""
        if owner not in self._gone and self._look(owner):
            self._gone.add(owner)
        return owner in self._gone

    def _look(self, owner: Owner) -> bool:
        me = self._me
        if owner.in_slurm and (owner.job, owner.task) != (me.job, me.task):
            return self._left_the_queue(owner)
        if owner.in_slurm and owner.restart != me.restart:
            return owner.restart < me.restart
        if owner.host != me.host:
            return False
        return owner.boot != me.boot or not _exists(owner)

    def _left_the_queue(self, owner: Owner) -> bool:
        # what was asked earlier may not know a job that has come since: no verdict without asking
        for refresh in (False, True):
            restart = self._queue.incarnation(owner.job, owner.task, refresh)
            if restart is None or restart == owner.restart:
                return False
        return True


def _exists(owner: Owner) -> bool:
    """Say whether the owner, or anything it has started, still runs on this host."""
    if not processes.is_told():
        return True
    if _started(owner.pid) == owner.started:
        return True
    return processes.inherits(f"{VARIABLE}={owner.name}")


def _started(pid: int) -> int:
    """Return when a process began, in clock ticks since the boot; -1 if there is none."""
    found = processes.find(pid)
    # a zombie does nothing any more
    return -1 if found is None or found.state == "Z" else found.started


def _host() -> str:
    return re.sub(r"[^\w.-]", "_", os.uname().nodename)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return _NONE
