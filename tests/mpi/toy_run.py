"""``hpcfed`` with the toy world's trainer: a run takes milliseconds and needs no torch."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hpcfed.federation.progress
from hpcfed.cli import main as cli
from tests import toy_world


def main() -> None:
    """Put faults where they are asked for, and go."""
    if toy_world.happens("display"):
        hpcfed.federation.progress.describe = broken_display
    break_disk(str(toy_world.fault().get("do", "")))
    cli.main()


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
