"""Several runs in one start of ranks: ``python -m tests.mpi.in_turn RUNS.json``."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcfed.config.file import parse_experiment
from hpcfed.federation.recorder import RoundReport
from hpcfed.federation.run import Request, run
from tests.toy_world import FAULT_VARIABLE


@dataclass(frozen=True)
class Run:
    """A job's text with settings, into a folder, or on from what is there.

    In round ``cut``, when it is over and not yet written, the folder is copied to ``left``: that is
    what the run would leave if it were killed then. ``fault`` is what goes wrong in a toy world.
    """

    job: str
    sets: Sequence[str]
    out: str
    resume: bool = False
    cut: int = 0
    left: str = ""
    claimed: bool = False
    fault: str = "{}"


def main() -> None:
    """Run every run of the list."""
    for item in json.loads(Path(sys.argv[1]).read_text()):
        go(Run(**item))


def go(one: Run) -> None:
    """Run one run."""

    def copy(report: RoundReport) -> None:
        if report.round == one.cut:
            shutil.copytree(one.out, one.left)

    os.environ[FAULT_VARIABLE] = one.fault
    run(
        Request(
            lambda: parse_experiment(one.job, one.sets),
            Path(one.out),
            resume=one.resume,
            progress=copy,
            claimed=one.claimed,
        )
    )


if __name__ == "__main__":
    main()
