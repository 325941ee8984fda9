"""``hpcfed`` with the toy world's trainer: a run takes milliseconds and needs no torch.

``python -m tests.mpi.toy_run run ...`` is the command line; ``python -m tests.mpi.toy_run many
RUNS.json`` runs a list of {"sets", "out", "claimed", "job"} one after the other in the same
processes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import hpcfed.federation.progress
from hpcfed.cli import main as cli
from hpcfed.config.file import read_experiment
from hpcfed.federation.run import Request, run
from tests import toy_world


def main() -> None:
    """Put faults where they are asked for, and go."""
    if sys.argv[1] == "many":
        many(Path(sys.argv[2]))
        return
    if toy_world.happens("display"):
        hpcfed.federation.progress.describe = broken_display
    break_disk(str(toy_world.fault().get("do", "")))
    cli.main()


def many(path: Path) -> None:
    """Run every run of the list."""
    for item in json.loads(path.read_text()):
        job = item.get("job", Path(__file__).with_name("toy.toml"))
        experiment = read_experiment(Path(job), item["sets"])
        claimed = item.get("claimed", False)
        run(Request(lambda experiment=experiment: experiment, Path(item["out"]), claimed=claimed))


def broken_display(report: object) -> str:
    """Fail where no rank expects it."""
    raise RuntimeError("the display broke")


def break_disk(fault: str) -> None:
    """Let this rank die while it writes the named file."""
    replace = Path.replace

    def dying(source: Path, target: Path) -> Path:
        if fault == f"SIGKILL while writing {Path(target).name}":
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(source, target)

    Path.replace = dying


if __name__ == "__main__":
    main()
