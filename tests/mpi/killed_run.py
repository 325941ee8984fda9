"""A run whose root is killed at the end of a chosen round, before that round is written.

Usage: python -m tests.mpi.killed_run JOB OUT ROUND [KEY=VALUE ...]
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from hpcfed.config.file import read_experiment
from hpcfed.federation.recorder import RoundReport
from hpcfed.federation.run import Request, run


def main() -> None:
    """Run the job until the root dies."""
    job, out, last_round, *overrides = sys.argv[1:]

    def die(report: RoundReport) -> None:
        if report.round == int(last_round):
            os.kill(os.getpid(), signal.SIGKILL)

    run(Request(lambda: read_experiment(Path(job), overrides), Path(out), progress=die))


if __name__ == "__main__":
    main()
