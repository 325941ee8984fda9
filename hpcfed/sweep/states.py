"""The state of every run, from the files and one look at the queue.

finished   its run file says so
failed     it was given up: a mark lies beside it
running    its claim's owner exists
queued     an array task that will work on it waits or runs
stopped    it has rounds or a claim, but nobody works on it
missing    nothing has been done yet
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpcfed.config.tree import flatten
from hpcfed.errors import InputError
from hpcfed.records import origins
from hpcfed.records.origins import Made
from hpcfed.records.reading import DamagedFileError
from hpcfed.records.state import State, glance_at
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import Manifest
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.slurm import arrays
from hpcfed.sweep.slurm import commands as slurm
from hpcfed.sweep.working import claims, owners

STATUSES = ("finished", "running", "queued", "stopped", "failed", "missing")
OPEN = ("stopped", "missing")


@dataclass(frozen=True)
class RunState:
    """One run: how far, and the last line of its error."""

    run: PlannedRun
    status: str
    num_rounds: int
    seconds: float
    error: str = ""
    verdict: str = ""


@dataclass(frozen=True)
class SweepState:
    """All current runs, and what the scheduler knows; ``asked`` is False where none answered."""

    runs: tuple[RunState, ...]
    arrays: tuple[arrays.Submitted, ...]
    jobs: tuple[slurm.Queued, ...]
    asked: bool

    def of(self, *statuses: str) -> list[PlannedRun]:
        """Return the runs with one of these statuses, in order."""
        return [state.run for state in self.runs if state.status in statuses]


class _Snapshot:
    """The queue as it was asked once; see ``owners.Queue``."""

    def __init__(self, jobs: Sequence[slurm.Queued] | None) -> None:
        self._jobs = None if jobs is None else {(job.job, job.task): job for job in jobs}

    def incarnation(self, job: str, task: str, refresh: bool) -> int | None:
        if self._jobs is None:
            return None
        found = self._jobs.get((job, task))
        return found.restart if found is not None and found.works else -1


def look(manifest: Manifest, paths: Paths) -> SweepState:
    """Return the state of the sweep; the scheduler is asked once, and only if it was used."""
    submitted = tuple(arrays.read_all(paths))
    holders = claims.all_holders(paths.claims)  # before the queue: who has come since is in both
    needed = bool(submitted) or any(owner.in_slurm for owner in holders.values())
    jobs = _jobs() if needed else None
    presence = owners.Presence(owners.this_process(), _Snapshot(jobs))
    working = {d: owner for d, owner in holders.items() if not presence.is_gone(owner)}
    waiting = _queued(submitted, jobs or ())
    states: list[RunState] = []
    made: list[Made] = []
    for run in manifest.current:
        known = run.digest in working, run.digest in waiting
        file, silence = _file(paths.run_file(run.digest))
        if file is not None:
            made.append(Made(run.digest, dict(flatten(run.config)), file.attributes))
        states.append(_state(run, file, silence, paths, known))
    strangers = origins.apart(made)
    states = [
        replace(state, error=state.error or strangers.get(state.run.digest, "")) for state in states
    ]
    return SweepState(tuple(states), submitted, tuple(jobs or ()), jobs is not None or not needed)


def time_left_s(state: SweepState, at_once: int) -> float | None:
    """Return the seconds until all is done, from the rounds so far; None before the first."""
    spent = sum(s.seconds for s in state.runs)
    done = sum(s.num_rounds for s in state.runs)
    going = [s for s in state.runs if s.status not in ("failed", "finished")]
    left = sum(s.run.num_rounds - s.num_rounds for s in going)
    return spent / done * left / max(at_once, 1) if done else None


def _file(path: Path) -> tuple[State | None, str]:
    """Return what a run file says, or None and why it says nothing."""
    try:
        return glance_at(path), ""
    except DamagedFileError as error:
        return None, f"its run file {error}; it begins anew"
    except InputError as error:
        return None, f"its run file {error}"


def _state(
    run: PlannedRun, file: State | None, silence: str, paths: Paths, known: tuple[bool, bool]
) -> RunState:
    has_worker, is_queued = known
    path = paths.run_file(run.digest)
    error = ""
    if file is not None and file.config_digest != run.config_digest:
        return RunState(run, "failed", 0, 0.0, f"{path} is of another configuration; remove it")
    if file is not None and file.is_done(run.num_rounds):
        status = "finished"
    elif has_worker:
        status = "running"
    elif (mark := _mark(paths, run)) is not None:
        status, error = "failed", mark
    elif is_queued:
        status = "queued"
    elif file is not None or path.exists() or paths.claim(run.digest).exists():
        status = "stopped"
        error = file.error if file is not None else ""
        if file is None and path.exists():
            error = silence
    else:
        status = "missing"
    rounds, seconds = (file.num_rounds, file.seconds) if file is not None else (0, 0.0)
    verdict = file.verdict if file is not None and status == "finished" else ""
    return RunState(run, status, rounds, seconds, error, verdict)


def _mark(paths: Paths, run: PlannedRun) -> str | None:
    """Return the error of a run that was given up, None if it was not."""
    try:
        mark = json.loads(paths.failure(run.digest).read_text(encoding="utf-8"))
        return str(mark["error"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return "its mark cannot be read"


def _jobs() -> list[slurm.Queued] | None:
    try:
        return slurm.queue()
    except slurm.SlurmError:
        return None


def _queued(submitted: Sequence[arrays.Submitted], jobs: Sequence[slurm.Queued]) -> set[str]:
    """Return the runs of array tasks that wait or run."""
    tasks = {array.name: array.tasks for array in submitted}
    found: set[str] = set()
    for job in jobs:
        if job.name in tasks and job.task.isdigit() and int(job.task) < len(tasks[job.name]):
            found.update(tasks[job.name][int(job.task)])
    return found
