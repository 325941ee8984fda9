"""Starts a job again that has died, from its run file and a bounded number of times.

What became of a job is read in its run file: launchers return what they like after a death, even 0.
An end that hpcfed has chosen itself (bad input, a stop on request, an exception with its message)
is no death.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcfed.config import Experiment
from hpcfed.errors import BAD_INPUT, FAILED, FINISHED, STOPPED, InputError
from hpcfed.launch.hosts import is_host
from hpcfed.records.runfile import read_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.state import State, glance

_FIRST_START = "HPCFED_FIRST_START"


@dataclass(frozen=True)
class JobEnd:
    """How a job has ended.

    Attributes:
        code: what the launcher returned; only 2, bad input, is taken at its word.
        asked: whether it was asked to stop.
        failed: whether the ranks ended it with a message.
    """

    code: int
    asked: bool
    failed: bool


@dataclass(frozen=True)
class Policy:
    """What a job should come to, and what is done when it dies."""

    run_file: Path
    num_rounds: int
    num_ranks: int
    max_restarts: int
    stop: bool


def policy(experiment: Experiment, folder: Path, num_ranks: int) -> Policy:
    """Return the policy of a run in ``folder``."""
    run = experiment.run
    return Policy(
        folder / RUN_FILE,
        experiment.server.rounds,
        num_ranks,
        run.max_restarts,
        run.on_rank_failure == "stop",
    )


@dataclass(frozen=True)
class Ranks:
    """How many ranks to start, and on which hosts; none: where the launcher likes."""

    num_ranks: int
    hosts: tuple[str, ...] = ()


Start = Callable[[Ranks, Mapping[str, str]], JobEnd]
Reachable = Callable[[Sequence[str]], list[str]]


def see_through(start: Start, policy: Policy, reachable: Reachable) -> int:
    """Start a job, and again if it dies; return 0, 1, 2 or 75, as ``hpcfed run`` does.

    ``start`` is given a place and environment variables for the ranks: none at first; when there
    are some, it is to continue the run. ``reachable`` says which hosts are still there.
    """
    place, variables = Ranks(policy.num_ranks), dict[str, str]()
    begin = time.time()
    for restart in range(policy.max_restarts + 1):
        before = glance(policy.run_file)
        ended = start(place, variables)
        code = verdict(policy.num_rounds, before, glance(policy.run_file), ended)
        if code is not None:
            return code
        died = f"hpcfed: the job has died (its launcher returned {ended.code})"
        if policy.stop:
            print(f"{died}; continue with --resume", file=sys.stderr, flush=True)
            return STOPPED
        if restart < policy.max_restarts:
            count = f"{restart + 1} of {policy.max_restarts}"
            print(f"{died}; starting it again, {count}", file=sys.stderr, flush=True)
            place = place_left(place, policy.run_file, reachable)
        variables = {_FIRST_START: str(begin)}
    print(f"{died}; continue with --resume", file=sys.stderr, flush=True)
    return FAILED


def verdict(
    num_rounds: int, before: State | None, after: State | None, ended: JobEnd
) -> int | None:
    """Say what a job has come to, by its run file before and after; None if it has died."""
    done = after is not None and (after.num_rounds >= num_rounds or bool(after.verdict))
    if after is not None and after.status == "finished" and done:
        return FINISHED
    wrote = after is not None and (before is None or after.holder != before.holder)
    status = after.status if after is not None and wrote else ""
    if ended.code == BAD_INPUT:
        return BAD_INPUT
    if status == "stopped":
        return STOPPED
    if status == "failed" or ended.failed:
        return FAILED
    if ended.asked:  # and killed by a second signal
        return STOPPED if ended.code == STOPPED else FAILED
    return None


def place_left(place: Ranks, run_file: Path, reachable: Reachable) -> Ranks:
    """Return where to start again: without the hosts that are gone, and with their ranks fewer."""
    try:
        hosts = str(read_record(run_file).attempts[-1]["hosts"]).split(",")
    except (InputError, IndexError):  # it died before its first write: nobody knows where it was
        return place
    if not all(is_host(name) for name in hosts):  # a file of somebody else's may name anything
        return place
    left = reachable(hosts) if len(hosts) > 1 else hosts
    if not left or left == hosts:
        return place
    return Ranks(max(1, place.num_ranks * len(left) // len(hosts)), tuple(left))


def first_start(environment: Mapping[str, str]) -> float | None:
    """Return the Unix time at which a job that is started again was started first."""
    text = environment.get(_FIRST_START)
    return float(text) if text else None
