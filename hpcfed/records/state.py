"""What a sweep asks of a run file: how far the run is, and its numbers without the rest."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple  # Any: an HDF5 attribute is of any scalar type

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.records.columns import check
from hpcfed.records.reading import opened
from hpcfed.records.runfile import CLIENT_FIELDS, ROUND_FIELDS

_SECONDS = tuple(name for name in ROUND_FIELDS if name.startswith("seconds_"))


class Holder(NamedTuple):
    """Which start of a run wrote its file: its number, counted from 1, and the process."""

    attempt: int
    writer: str


_MADE = ("data_digest", "origins", "written")
_CLOCK_S = 5.0  # by so much clocks may differ
NOBODY = Holder(0, "")


@dataclass(frozen=True)
class State:
    """How far a run is.

    Attributes:
        status: running, stopped, finished or failed, as its file says.
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


@dataclass(frozen=True)
class Columns:
    """A run's numbers; R rounds, N clients.

    Attributes:
        attributes: of the root group.
        rounds: (R,) each, float64, and ``params_digest`` as (R,) S64.
        clients: (R, N) each, and (N,) num_samples.
    """

    attributes: dict[str, Any]
    rounds: dict[str, NDArray[Any]]
    clients: dict[str, NDArray[Any]]


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


def _has_died(writer: str) -> bool:
    host, _, rest = writer.rpartition(".")[0].rpartition(".")
    process, began_ns = rest, writer.rpartition(".")[2]
    if host != os.uname().nodename or not (process.isdecimal() and began_ns.isdecimal()):
        return False
    try:
        fields = Path("/proc", process, "stat").read_text(encoding="utf-8").rpartition(")")[2]
        uptime = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
    except FileNotFoundError:
        return Path("/proc/uptime").exists()
    except (OSError, ValueError, IndexError):
        return False
    started = time.time() - uptime + int(fields.split()[19]) / os.sysconf("SC_CLK_TCK")
    return started > int(began_ns) / 1e9 + _CLOCK_S  # another one that has its number now


def read_columns(path: Path) -> Columns:
    """Read a run's numbers. Raises InputError, without the path, if they cannot be read."""
    with opened(path) as file:
        check(file.attrs)
        rounds, clients = file["rounds"], file["clients"]
        found = {
            name: rounds[name][()] if dtype[0] == "S" else np.asarray(rounds[name][()], "f8")
            for name, (dtype, _, _) in ROUND_FIELDS.items()
        }
        of_clients = {name: clients[name][()] for name in (*CLIENT_FIELDS, "num_samples")}
        return Columns(dict(file.attrs), found, of_clients)
