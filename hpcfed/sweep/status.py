"""The state of a sweep in a few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from hpcfed.base.terminal import clock
from hpcfed.config.search import Search
from hpcfed.records.names import dropped_text
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.grid import describe
from hpcfed.sweep.planning.manifest import Manifest
from hpcfed.sweep.search.folder import SearchFolder
from hpcfed.sweep.search.summary import line as search_line
from hpcfed.sweep.search.summary import rungs, summary
from hpcfed.sweep.slurm import commands as slurm
from hpcfed.sweep.states import STATUSES, RunState, SweepState, time_left_s

_MOST_LINES = 20


def lines(manifest: Manifest, paths: Paths, state: SweepState) -> Iterator[str]:
    """Yield what is to be said of ``state``."""
    counts = {status: sum(s.status == status for s in state.runs) for status in STATUSES}
    yield f"{manifest.name}: {len(state.runs)} runs"
    if manifest.search is not None:
        yield from _search_lines(manifest.search, paths)
    for status, number in counts.items():
        if number or status != "queued":
            yield f"  {status:9} {number}{_verdicts(state) if status == 'finished' else ''}"
    if manifest.dropped:
        yield f"  {dropped_text(paths.run(run.digest) for run in manifest.dropped)}"
    if not state.asked:
        yield "  the scheduler does not answer: whoever holds a claim is taken to be running"
    rounds = sum(s.num_rounds for s in state.runs)
    yield f"rounds {rounds} of {sum(s.run.num_rounds for s in state.runs)}{_time_left(state)}"
    yield from _details(state, "failed", _reasons(state) if counts["failed"] else {})
    if counts["stopped"]:
        yield from _details(state, "stopped", _reasons(state))
    yield from _details(state, "finished", {})
    if counts["failed"] or counts["stopped"] or counts["missing"]:
        yield "hpcfed sweep retry works on what failed, stopped or is missing"


def _search_lines(search: Search, paths: Paths) -> Iterator[str]:
    """Yield the best feasible point, the shares that were stopped, and what is pending."""
    folder = SearchFolder(search, paths)
    folder.read()
    found = summary(folder)
    yield f"search by {search.method}: {search_line(search, found)}"
    left_out = f", {found.num_left_out} given up" if found.num_left_out else ""
    yield f"  {found.num_open} proposals pending{left_out}"
    if reached := rungs(folder):
        yield f"  rungs: {reached}"


def _verdicts(state: SweepState) -> str:
    """Return how many runs ended early, by why."""
    counts = Counter(s.verdict for s in state.runs if s.verdict)
    return f" ({', '.join(f'{n} {why}' for why, n in sorted(counts.items()))})" if counts else ""


def _time_left(state: SweepState) -> str:
    running = sum(s.status == "running" for s in state.runs)
    left = time_left_s(state, running or 1)
    if left is None or not left:
        return ""
    return f", {clock(left)} left with {max(running, 1)} at once"


def _details(state: SweepState, status: str, reasons: dict[str, str]) -> Iterator[str]:
    found = [s for s in state.runs if s.status == status and (status != "finished" or s.error)]
    for item in found[:_MOST_LINES]:
        yield f"{status}: {item.run.digest} ({describe(item.run.point)}){_why(item, reasons)}"
    if len(found) > _MOST_LINES:
        yield f"... and {len(found) - _MOST_LINES} more"


def _why(item: RunState, reasons: dict[str, str]) -> str:
    parts = [f"after {item.num_rounds} rounds"] if item.num_rounds else []
    parts += [text for text in (reasons.get(item.run.digest), item.error) if text]
    return f": {'; '.join(parts)}" if parts else ""


def _reasons(state: SweepState) -> dict[str, str]:
    """Return how the task of each run ended, as accounting tells; {} without accounting."""
    if not state.arrays:
        return {}
    ends = slurm.ends([array.name for array in state.arrays])
    found: dict[str, str] = {}
    for array in state.arrays:
        for index, digests in enumerate(array.tasks):
            end = ends.get((array.job, str(index)))
            if end not in (None, "COMPLETED", "PENDING", "RUNNING"):
                found.update(dict.fromkeys(digests, f"task {array.job}_{index} ended as {end}"))
    return found
