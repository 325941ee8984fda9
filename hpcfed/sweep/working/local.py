"""A sweep, or an array task of one, worked on by this process."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from hpcfed.errors import FAILED, FINISHED, STOPPED, InputError
from hpcfed.launch.requeued import MOST_IN_VAIN, in_vain_text, stops_in_vain
from hpcfed.records.state import glance
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import Manifest, read_manifest
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.slurm import arrays
from hpcfed.sweep.slurm import commands as slurm
from hpcfed.sweep.working import claims
from hpcfed.sweep.working.owners import Presence, this_process
from hpcfed.sweep.working.progress import SweepProgress
from hpcfed.sweep.working.search_progress import SearchProgress
from hpcfed.sweep.working.searching import SearchSource
from hpcfed.sweep.working.sources import Listed, Source
from hpcfed.sweep.working.supervisor import Assignment, Endings, Supervisor, Watcher, mark_failed


def run_here(
    manifest: Manifest, paths: Paths, runs: Sequence[PlannedRun], workers: int, quiet: bool
) -> int:
    """Work on ``runs``, ``workers`` at once; return the exit code."""
    owner = this_process()
    slots = workers if manifest.search is not None else min(workers, len(runs))
    work = Assignment(manifest, paths, owner, Presence(owner, slurm.SlurmQueue()), slots)
    before, source = (
        _num_rounds(paths, (run.digest for run in runs)),
        _source(work, runs, wait=True),
    )
    reporter = None if quiet else _progress(manifest, paths, runs)
    try:
        outcome = Supervisor(work, reporter or Watcher(), source).see_to()
    finally:
        if reporter is not None:
            reporter.bar.close()
    code = _code(outcome, source.num_left, quiet)
    if owner.in_slurm and outcome.stop_signal == signal.SIGUSR1 and code == STOPPED:
        reason = _in_vain(work, outcome, before)  # slurm/array.sbatch asks for the code
        if reason:
            print(f"error: {reason}", file=sys.stderr, flush=True)
            return FAILED
    return code


def run_task(out: Path, array_name: str, index: int) -> int:
    """Work on the runs of one array task; requeue it if it was asked to stop by USR1."""
    paths = Paths(out)
    manifest, array = read_manifest(paths), arrays.read(paths, array_name)
    if not 0 <= index < len(array.tasks):
        raise InputError(f"{array_name} has tasks 0 to {len(array.tasks) - 1}, found {index}")
    known = {run.digest: run for run in manifest.current}
    runs = [known[digest] for digest in array.tasks[index] if digest in known]
    what, slots = f"{len(runs)} runs", min(manifest.resources.concurrent_runs, len(runs))
    if manifest.search is not None:  # any task works on any proposal
        runs = list(manifest.current)
        what, slots = "a search", manifest.resources.concurrent_runs
    owner = this_process()
    work = Assignment(manifest, paths, owner, Presence(owner, slurm.SlurmQueue()), slots)
    print(f"-- {owner}, start {owner.restart + 1} on {owner.host}: {what}", flush=True)
    before, source = (
        _num_rounds(paths, (run.digest for run in runs)),
        _source(work, runs, wait=False),
    )
    outcome = Supervisor(work, Lines(), source).see_to()
    code = _code(outcome, source.num_left, quiet=False)
    if outcome.stop_signal != signal.SIGUSR1 or code != STOPPED:
        return code
    if reason := _in_vain(work, outcome, before):
        if manifest.search is not None:  # what it did not touch, others go on with
            current = read_manifest(paths).current
            runs = [run for run in current if outcome.ended.get(run.digest) == "stopped"]
        _give_up(work, runs, reason)
        print(f"error: {reason}", file=sys.stderr, flush=True)
        return FAILED
    print("asked to stop before the end of the job; back into the queue", flush=True)
    try:
        slurm.requeue(owner.job, owner.task)
    except slurm.SlurmError as error:
        print(f"cannot be requeued ({error}); hpcfed sweep retry goes on", flush=True)
    return code


def _source(work: Assignment, runs: Sequence[PlannedRun], wait: bool) -> Source:
    search = work.manifest.search
    if search is None:
        return Listed(runs, wait, look_again_s=1.0)
    return SearchSource(search, work.paths, work.owner, work.presence, work.slots)


def _progress(
    manifest: Manifest, paths: Paths, runs: Sequence[PlannedRun]
) -> SweepProgress | SearchProgress:
    if manifest.search is None:
        return SweepProgress(runs, _num_rounds(paths, (run.digest for run in runs)))
    return SearchProgress(manifest.search, paths)


def _num_rounds(paths: Paths, names: Iterable[str]) -> dict[str, int]:
    states = {name: glance(paths.run_file(name)) for name in names}
    return {name: state.num_rounds for name, state in states.items() if state is not None}


def _in_vain(work: Assignment, outcome: Endings, before: dict[str, int]) -> str:
    """Note a stop of a task; return why it is not to be queued again, nothing if it may be."""
    owner, site = work.owner, work.manifest.site
    own = [digest for digest, status in outcome.ended.items() if status != "held"]
    after = _num_rounds(work.paths, own)
    progressed = any(rounds > before.get(digest, 0) for digest, rounds in after.items())
    try:
        count = stops_in_vain(work.paths.stops(owner.job, owner.task), progressed)
    except OSError as error:
        print(f"it cannot be noted that this task was stopped: {error}", flush=True)
        return ""
    if count < MOST_IN_VAIN:
        return ""
    limit = work.manifest.resources.time_min
    return (
        f"{in_vain_text(count)} (time_min = {limit}, and it is asked {site.warn_s} s before), then "
        "hpcfed sweep retry"
    )


def _give_up(work: Assignment, runs: Sequence[PlannedRun], reason: str) -> None:
    """Mark what is left of a task's runs and what nobody else works on."""
    for run in runs:
        state = glance(work.paths.run_file(run.digest))
        done = state is not None and state.is_done(run.num_rounds)
        if not done and claims.holder_of(work.paths.claim(run.digest)) is None:
            mark_failed(work.paths, run.digest, reason, MOST_IN_VAIN, work.owner)


class Lines(Watcher):
    """A line for each run that ends, for the log of an array task."""

    def on_end(self, run: PlannedRun, status: str, error: str) -> None:
        """A run has ended."""
        print(f"{run.digest}: {status}{error and ': '}{error}", flush=True)


def _code(outcome: Endings, rest: int, quiet: bool) -> int:
    counts = {s: outcome.count(s) for s in ("finished", "failed", "stopped", "held")}
    words = [f"{number} {status}" for status, number in counts.items() if number]
    words += [f"{rest} not begun"] if rest else []
    if not quiet:
        print(", ".join(words) or "nothing to do", flush=True)
    for holder in sorted({str(owner) for owner in outcome.holders.values()}):
        print(f"some runs are worked on by {holder}", flush=True)
    if outcome.error:
        print(f"error: {outcome.error}; what was there is whole: see to it, then retry",
              file=sys.stderr, flush=True)  # fmt: skip
        return FAILED
    if outcome.stop_signal is not None and (counts["stopped"] or rest):
        return STOPPED
    if counts["failed"]:
        return FAILED
    return STOPPED if counts["stopped"] or rest else FINISHED  # what others hold is in good hands
