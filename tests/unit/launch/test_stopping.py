"""A job of which a rank ends before MPI has started is ended; a rank's own child is no rank."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hpcfed.launch import stopping

LAUNCHER = """
import subprocess, sys
ranks = [subprocess.Popen(sys.argv[2:]) for _ in range(int(sys.argv[1]))]
sys.exit(sum(rank.wait() for rank in ranks))
"""
FORKS = "import os, time; time.sleep(0.2 if os.fork() == 0 else 1.5)"


def watched(num_ranks: int, code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return what a launcher of such ranks ends with, beside who watches it."""
    monkeypatch.setattr(stopping, "_LEAVE_TOGETHER_S", 0.3)
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(num_ranks), *command], start_new_session=True
    )
    stopping.end_unless_started(process, command, folder)
    return process.wait(timeout=60)


def test_what_a_rank_forks_may_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert watched(1, FORKS, tmp_path, monkeypatch) == 0


def test_a_rank_that_ends_alone_ends_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first"
    code = f"""
import os, sys, time
try:
    os.mkdir({str(first)!r})
except FileExistsError:
    time.sleep(60)
time.sleep(0.5)
"""
    # killed, or at its own end a moment before: then it tells of the rank that was killed
    assert watched(2, code, tmp_path, monkeypatch) in (-9, 256 - 9)
