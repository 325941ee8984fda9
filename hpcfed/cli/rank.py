"""One process of a run, alone or one rank of many: it trains, says how that ended, and leaves."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hpcfed.base.signals import StopRequest
from hpcfed.errors import BAD_INPUT, FAILED, STOPPED, InputError, StoppedRunError

if TYPE_CHECKING:
    from hpcfed.config import Experiment
    from hpcfed.federation.run import RunResult


_SINGLETONS = (
    "{0} processes were started, but each is rank 0 of 1: the launcher and this MPI do not know "
    "each other; under Slurm use srun --mpi=pmix (pmi2 for MPICH) or mpirun; see hpcfed doctor"
)


@dataclass(frozen=True)
class RunOptions:
    """What a rank is to run; ``experiment`` reads and checks the experiment."""

    experiment: Callable[[], Experiment]
    out: Path | None
    resume: bool
    quiet: bool


def train(options: RunOptions, stop: StopRequest) -> int:
    """Train on this rank, one of any number; return its exit code."""
    from hpcfed.federation import run as federation
    from hpcfed.federation.mpi import transport
    from hpcfed.federation.mpi.survivors import Survivors
    from hpcfed.federation.progress import reporter
    from hpcfed.launch import signs, started_as

    ranks = Survivors(transport.world())
    rank, num_started = started_as(os.environ)
    if num_started > ranks.comm.Get_size() == 1:
        if rank == 0:
            complain(InputError(_SINGLETONS.format(num_started)))
        return BAD_INPUT
    progress = reporter(options.quiet)
    request = federation.Request(
        load=options.experiment,
        out=options.out,
        resume=options.resume,
        notify=progress.say,
        progress=progress,
        stop_requested=lambda: stop.requested,
    )
    try:
        result = federation.run_on(ranks, request)
    except (InputError, StoppedRunError) as error:
        code = BAD_INPUT if isinstance(error, InputError) else FAILED
        speak = partial(complain, error) if ranks.rank == 0 else _be_silent
    except transport.AgreedError as error:
        code, cause = FAILED, error.__cause__
        speak = partial(transport.print_error, ranks.rank, cause) if cause else _be_silent
    else:
        code = STOPPED if result.status == "stopped" else 0
        says = ranks.rank == 0 and not options.quiet
        speak = partial(_report, result) if says else _be_silent
    if code == FAILED:
        signs.give(signs.FAILED)
    with ranks.ending_together():
        progress.close()
        speak()
    ranks.leave(code)
    return code


def complain(error: Exception) -> None:
    """Print what was wrong with the input, or why a run failed, on one line."""
    sys.stdout.flush()
    print(f"error: {error}", file=sys.stderr, flush=True)


def _be_silent() -> None:
    return None


def _report(result: RunResult) -> None:
    from hpcfed.report.summary import print_summary

    print_summary(result.path)
    if result.status == "stopped":
        print(f"stopped; continue with --resume. Run file: {result.path}")
    sys.stdout.flush()
