"""How far a run is, as its file says it: what sweeps, launchers and a taken-over run ask."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple  # Any: an HDF5 attribute is of any scalar type

import numpy as np

from hpcfed.base import processes
from hpcfed.errors import InputError
from hpcfed.records.reading import opened
from hpcfed.records.schema import ROUND_FIELDS, check

_SECONDS = tuple(name for name in ROUND_FIELDS if name.startswith("seconds_"))
_MADE = ("data_digest", "origins", "written")
_CLOCK_S = 5.0  # by so much clocks may differ


class Holder(NamedTuple):
    """Which start of a run wrote its file: its number, counted from 1, and the process."""

    attempt: int
    writer: str


NOBODY = Holder(0, "")


@dataclass(frozen=True)
class State:
    """How far a run is.

    Attributes:
        status: running, stopped, finished or failed, as its file says.
        verdict: why a finished run has ended before its last round; "" where it has not.
        seconds: spent on the rounds, all phases.
        holder: which start wrote the file.
        attributes: of the file, those that say what the run was made of and when it was written.
    """

    status: str
    error: str
    config_digest: str
    num_rounds: int
    seconds: float
    holder: Holder
    attributes: Mapping[str, Any] = field(default_factory=dict)
    verdict: str = ""

    def is_done(self, num_rounds: int) -> bool:
        """Say whether nothing is left to do of a run of so many rounds.

        One that has paused at a rung of a search says finished, too.
        """
        ended = bool(self.verdict) or self.num_rounds >= num_rounds
        return self.status == "finished" and ended


def glance(path: Path) -> State | None:
    """Return how far a run is; None without a run file, or with one that cannot be read."""
    try:
        return glance_at(path)
    except InputError:
        return None


def glance_at(path: Path) -> State:
    """Return how far a run is. Raises InputError, without the path: see ``reading.opened``."""
    with opened(path) as file:
        check(file.attrs)
        rounds = file["rounds"]
        seconds = sum(float(np.nansum(rounds[name][()])) for name in _SECONDS)
        attributes = file.attrs
        return State(
            str(attributes["status"]),
            str(attributes["error"]),
            str(attributes["config_digest"]),
            len(rounds["params_digest"]),
            seconds,
            holder_of(attributes),
            {name: attributes[name] for name in _MADE if name in attributes},
            str(attributes.get("verdict", "")),
        )


def holder_of(attributes: Mapping[str, Any]) -> Holder:
    """Return which start wrote the file with these attributes; files of old do not say it."""
    return Holder(int(attributes.get("attempt", 0)), str(attributes.get("writer", "")))


def status_of(attributes: Mapping[str, Any]) -> str:
    """Return a run's status as its file says it, but "stopped" where its writer has died here.

    A killed process cannot say so itself. On other hosts nobody knows.
    """
    status = str(attributes.get("status", ""))
    writer = str(attributes.get("writer", ""))
    return "stopped" if status == "running" and _has_died(writer) else status


def this_writer() -> str:
    """Return this process as the writer of a file: host, number and time, ns since the epoch."""
    return f"{os.uname().nodename}.{os.getpid()}.{time.time_ns()}"


def _has_died(writer: str) -> bool:
    parts = writer.rsplit(".", 2)
    if parts[0] != os.uname().nodename or not all(part.isdecimal() for part in parts[1:]):
        return False
    if len(parts) < 3 or not processes.is_told():
        return False
    found = processes.find(int(parts[1]))
    # one that began later is another one that has its number now
    return found is None or processes.began(found) > int(parts[2]) / 1e9 + _CLOCK_S
