"""What was submitted: for each array its name and the runs of each task, fixed for ever."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from hpcfed.errors import InputError
from hpcfed.records.names import run_name
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import replace_text

_NAME_CHARACTERS = 24


@dataclass(frozen=True)
class Submitted:
    """One array.

    Attributes:
        name: of the job and of this file; letters, digits, - and _ only, unique to the array.
        job: Slurm's number; empty where the submission was interrupted.
        tasks: digests of the runs of each task.
    """

    name: str
    job: str
    tasks: tuple[tuple[str, ...], ...]


def new_name(sweep_name: str) -> str:
    """Return a name that no other array has."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', sweep_name)[:_NAME_CHARACTERS]}-{uuid.uuid4().hex[:8]}"


def divide(digests: Sequence[str], runs_per_task: int) -> tuple[tuple[str, ...], ...]:
    """Assign runs to tasks, in order."""
    starts = range(0, len(digests), runs_per_task)
    return tuple(tuple(digests[start : start + runs_per_task]) for start in starts)


def write(paths: Paths, array: Submitted) -> None:
    """Write an array's file. Raises OSError."""
    replace_text(paths.array(array.name), json.dumps(asdict(array)) + "\n")


def read(paths: Paths, name: str) -> Submitted:
    """Read an array's file. Raises InputError."""
    path = paths.array(name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        tasks = tuple(tuple(run_name(run, path) for run in task) for task in content["tasks"])
        return Submitted(content["name"], content["job"], tasks)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as what was submitted: {error}") from None


def read_all(paths: Paths) -> list[Submitted]:
    """Read every array of the sweep."""
    return [read(paths, path.stem) for path in sorted(paths.arrays.glob("*.json"))]
