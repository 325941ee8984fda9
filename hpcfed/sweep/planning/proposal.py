"""What [resources] might say: runs of a task, its time and memory, by what runs are to take."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from hpcfed.base.amounts import size_text
from hpcfed.sweep.planning.manifest import Manifest
from hpcfed.sweep.planning.prediction import Prediction
from hpcfed.sweep.planning.resources import Resources, Site

_TASK_MIN = 60  # a task this long is started quickly, and its own start hardly counts
_SLOWER = 1.5  # other machines, other load: what a time limit has to spare
_MORE_MEMORY = 1.25  # the same of memory, whose excess kills
_STEP_MIN, _STEP_MIB = 5, 128  # what proposals are rounded up to
_MIB = 2.0**20


@dataclass(frozen=True)
class Proposal:
    """What [resources] might say."""

    runs_per_task: int
    time_min: int
    memory_mib: int


def propose(found: Prediction, resources: Resources, site: Site, num_runs: int) -> Proposal:
    """Return resources for ``num_runs`` runs, of which tasks work on several at once.

    A task is as many runs as an hour takes, at least one for each place, at most all. Its limit is
    half as long again as its longest runs would take, and the time before the end at which the site
    asks to stop.
    """
    at_once = resources.concurrent_runs
    mean, longest = found.run_seconds
    in_turn = max(1, int(60 * _TASK_MIN / max(mean, 1e-9)))
    in_turn = min(in_turn, math.ceil(num_runs / at_once))
    seconds = _SLOWER * (found.start_seconds + in_turn * longest) + site.warn_s
    return Proposal(
        min(in_turn * at_once, num_runs),
        _up(seconds / 60, _STEP_MIN),
        _up(_MORE_MEMORY * found.memory_bytes * resources.ranks_per_run / _MIB, _STEP_MIB),
    )


def lines(found: Prediction, manifest: Manifest, num_runs: int) -> Iterator[str]:
    """Yield what a sweep's runs take, and what is proposed for it."""
    yield (
        f"predicted: {found.core_hours:.3g} core-hours for {num_runs} runs "
        f"({found.num_timed} kinds timed in {found.seconds:.0f} s)"
    )
    mean, longest = found.run_seconds
    yield f"  a run takes {_duration(mean)}, the longest {_duration(longest)}"
    yield from _totals(found, manifest.resources, 1)
    proposal = propose(found, manifest.resources, manifest.site, num_runs)
    yield from _table(vars(proposal), manifest.resources)


def lines_of_search(found: Prediction, manifest: Manifest, num_ends: int) -> Iterator[str]:
    """Yield what a search takes, from runs at the ends of its ranges, and what is proposed.

    Tasks of a search work until their time is over; it has to be enough for several runs.
    """
    assert manifest.search is not None
    each, count = found.core_hours / num_ends, manifest.search.config.evaluations or 0
    yield (
        f"predicted: {each:.3g} core-hours a whole run, {each * count:.3g} for {count} without "
        f"stops ({found.num_timed} kinds timed in {found.seconds:.0f} s)"
    )
    yield from _totals(found, manifest.resources, num_ends)
    several = max(count // manifest.search.config.workers, 1)
    proposal = propose(found, manifest.resources, manifest.site, several)
    known = {k: v for k, v in vars(proposal).items() if k != "runs_per_task"}
    yield from _table(known, manifest.resources)


def _totals(found: Prediction, resources: Resources, parts: int) -> Iterator[str]:
    """Yield what all runs take, or with as many ``parts`` as runs what one takes."""
    whose, gpus = "all runs" if parts == 1 else "a whole run", resources.gpus
    if gpus and found.gpu_hours is None:
        yield "  GPU-hours are not known: there is no GPU here, or the engine uses none"
    elif found.gpu_hours is not None:
        yield f"  {whose}: {found.gpu_hours / parts:.3g} GPU-hours, on {gpus} at once"
    up, down = (size_text(b / parts) for b in (found.uplink_bytes, found.downlink_bytes))
    yield f"  {whose}: clients send {up} and receive {down}"
    yield f"  a rank holds {found.memory_bytes / _MIB:.0f} MiB"


def _table(proposed: dict[str, int], resources: Resources) -> Iterator[str]:
    yield "proposed:"
    yield "[resources]"
    for name, value in proposed.items():
        now = getattr(resources, name)
        note = "" if now == value else f"   # now {'absent' if now is None else now}"
        yield f"{name} = {value}{note}"


def _up(amount: float, step: int) -> int:
    return max(1, math.ceil(amount / step)) * step


def _duration(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.3g} min"
