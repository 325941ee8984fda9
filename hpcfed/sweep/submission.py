"""Runs into array jobs, and out of the queue again: one call of the scheduler per array."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import Manifest
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.slurm import arrays
from hpcfed.sweep.slurm import commands as slurm
from hpcfed.sweep.slurm.arrays import Submitted
from hpcfed.sweep.slurm.script import Array, TaskPlace, render
from hpcfed.sweep.states import SweepState
from hpcfed.sweep.working import claims
from hpcfed.sweep.working.owners import ask_to_stop

_USUAL_ARRAY_SIZE = 1001  # Slurm's own default, where no controller can be asked
Tasks = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Room:
    """Tasks that one array may have, and tasks that may be submitted now (None: no limit)."""

    array_size: int
    now: int | None


def submit(
    manifest: Manifest,
    paths: Paths,
    runs: Sequence[PlannedRun],
    room: Room,
    say: Callable[[str], None],
) -> int:
    """Submit ``runs`` as arrays; return how many runs did not fit into the queue.

    Raises SlurmError for any other refusal, OSError where the folder cannot be written.
    """
    tasks = arrays.divide([run.digest for run in runs], manifest.resources.runs_per_task)
    left, size = list(tasks), room.array_size
    allowed = len(tasks) if room.now is None else room.now
    while left and allowed > 0:
        piece = tuple(left[: min(size, allowed)])
        try:
            array = _submit_one(manifest, paths, piece)
        except slurm.LimitError as error:
            if len(piece) == 1:
                say(f"the queue takes no more: {error}")
                break
            size = len(piece) // 2
            continue
        say(f"array job {array.job}: {len(piece)} tasks, {sum(map(len, piece))} runs")
        left, allowed = left[len(piece) :], allowed - len(piece)
    return sum(map(len, left))


def submit_workers(
    manifest: Manifest, paths: Paths, number: int, room: Room, say: Callable[[str], None]
) -> None:
    """Submit an array of workers of a search: its tasks have no runs of their own.

    Raises SlurmError for any refusal, OSError where the folder cannot be written.
    """
    most = min(room.array_size, number if room.now is None else room.now)
    if most < 1:
        say("the queue takes no more")
        return
    array = _submit_one(manifest, paths, ((),) * min(number, most))
    say(f"array job {array.job}: {len(array.tasks)} workers")


def scripts(manifest: Manifest, paths: Paths, runs: Sequence[PlannedRun], room: Room) -> list[str]:
    """Return the scripts that ``submit`` would submit."""
    if manifest.search is not None:
        number = min(manifest.search.config.workers, room.array_size)
        return [_script(manifest, paths, arrays.new_name(manifest.name), number)]
    tasks = arrays.divide([run.digest for run in runs], manifest.resources.runs_per_task)
    starts = range(0, len(tasks), room.array_size)
    pieces = [tasks[start : start + room.array_size] for start in starts]
    return [_script(manifest, paths, arrays.new_name(manifest.name), len(p)) for p in pieces]


def room(manifest: Manifest, state: SweepState | None) -> Room:
    """Return the room there is; without ``state`` the usual one, where nobody can be asked.

    Raises SlurmError if the scheduler does not answer.
    """
    site = manifest.site
    if site.max_array_size is not None and site.max_submitted is not None:
        found = slurm.Limits(site.max_array_size, site.max_submitted)
    else:
        try:
            found = slurm.limits()
        except slurm.SlurmError:
            if state is not None:
                raise
            found = slurm.Limits(_USUAL_ARRAY_SIZE, None)
    size = site.max_array_size or found.array_size
    submitted = site.max_submitted or found.submitted
    if submitted is None or state is None:
        return Room(size, None)
    return Room(size, max(submitted - len(state.jobs), 0))


def cancel(paths: Paths, state: SweepState) -> tuple[list[str], list[int]]:
    """Cancel the sweep's jobs, and stop its processes on this host; return both."""
    names = {array.name for array in state.arrays}
    jobs = sorted({job.job for job in state.jobs if job.name in names}, key=int)
    slurm.cancel(jobs)
    owners = set(claims.all_holders(paths.claims).values())
    return jobs, sorted(owner.pid for owner in owners if ask_to_stop(owner))


def _submit_one(manifest: Manifest, paths: Paths, tasks: Tasks) -> Submitted:
    array = Submitted(arrays.new_name(manifest.name), "", tasks)
    arrays.write(paths, array)  # before the first task can look for it
    try:
        job = slurm.submit(_script(manifest, paths, array.name, len(tasks)))
    except slurm.SlurmError:
        paths.array(array.name).unlink(missing_ok=True)
        raise
    array = replace(array, job=job)
    arrays.write(paths, array)
    return array


def _script(manifest: Manifest, paths: Paths, name: str, num_tasks: int) -> str:
    place = TaskPlace(paths.out.resolve(), paths.logs.resolve(), Path.cwd(), sys.executable)
    return render(Array(name, num_tasks), place, manifest.resources, manifest.site)
