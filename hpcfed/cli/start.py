"""Starting a run: as this rank, alone or one of many, or as mpirun with so many of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpcfed.base.signals import StopRequest
from hpcfed.cli.rank import RunOptions, train
from hpcfed.errors import FAILED, STOPPED


def start(options: RunOptions, ranks: int | None, more: Sequence[str] = ()) -> int:
    """Train here, or start mpirun with so many ranks; return the exit code.

    The ranks get this process's own arguments, and ``more``.
    """
    if ranks is not None:
        return _launch(options, ranks, more)
    with StopRequest() as stop:  # before any slow import: a launcher may signal at once
        return train(options, stop)


def _launch(options: RunOptions, num_ranks: int, more: Sequence[str]) -> int:
    """Start mpirun with this command, again if the job dies; return its exit code."""
    from hpcfed.federation.decision import decide
    from hpcfed.launch import interpreter, reachable, run_job
    from hpcfed.launch.requeued import run_in_vain
    from hpcfed.launch.restart import JobEnd, Ranks, policy, see_through
    from hpcfed.records.state import glance

    experiment = options.experiment()
    # bad input fails here, before mpirun starts
    folder = decide(experiment, options.out, options.resume).folder
    name, *given = _without_ranks(sys.argv[1:])
    command = [*interpreter(), "-m", "hpcfed", name, *more]  # before a "--" among what was given

    def again(place: Ranks, variables: Mapping[str, str]) -> JobEnd:
        resume = ["--resume"] if variables and not options.resume else []
        return run_job([*command, *resume, *given], place, variables)

    aim = policy(experiment, Path(folder), num_ranks)
    before = glance(aim.run_file)
    code = see_through(again, aim, reachable)
    if code == STOPPED and (reason := run_in_vain(aim.run_file, before, os.environ)):
        print(f"error: {reason}", file=sys.stderr, flush=True)
        return FAILED
    return code


def _without_ranks(arguments: list[str]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        if skip or argument.startswith("--ranks="):
            skip = False
        elif argument == "--ranks":
            skip = True
        else:
            kept.append(argument)
    return kept
