"""A run on a terminal shows a bar that moves while it runs, however its ranks were started."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hpcfed.launch import find_mpirun, settings
from tests.mpi.launch import toy_arguments
from tests.places import REPOSITORY

pytestmark = pytest.mark.mpi

SLOW = ("rule.kind=tests.slow_toy:RULE", "server.rounds=60")
LIMIT_S = 60


@contextmanager
def on_a_terminal(command: list[str], folder: Path) -> Iterator[int]:
    """Start a command on a terminal of 80 columns; yield our end of it."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    mpirun = settings.identify(find_mpirun())
    given = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_COMM", "PMIX"))}
    environment = {
        **given,
        **settings.environment(mpirun, given),
        "HPCFED_TOY_ROUND_S": "0.2",
        "PRTE_MCA_prte_local_tmpdir_base": str(folder),
        "TERM": "xterm",
    }
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, stdout=theirs,
        stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield ours
        assert process.poll() is None  # all this was seen during the run
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        os.close(ours)


def frames_until(ours: int, wanted: int) -> list[str]:
    """Return what the terminal was shown until a round of that number."""
    text, deadline = "", time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 1)[0]:
            text += os.read(ours, 1 << 16).decode(errors="replace")
        lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))
        frames = [line for line in lines if re.search(r"\d+/60, \d+:\d+ left", line)]
        if any(f" {wanted}/60," in frame for frame in frames):
            return frames
    pytest.fail(f"no round {wanted} within {LIMIT_S} s:\n{text}")


@pytest.mark.parametrize("way", ["--ranks", "mpirun"])
def test_a_bar_moves_during_the_run(tmp_path: Path, way: str) -> None:
    arguments = toy_arguments(tmp_path / "a", *SLOW)
    command = [sys.executable, "-m", "hpcfed", *arguments[2:], "--ranks", "2"]
    if way == "mpirun":
        command = [str(find_mpirun()), "-n", "2", sys.executable, "-m", "hpcfed", *arguments[2:]]
    with on_a_terminal(command, tmp_path) as ours:
        frames = frames_until(ours, 4)
    assert len(frames) >= 3
    assert max(map(len, frames)) <= 80
    for part in ("train loss", "validation", "uplink"):
        assert part in frames[-1]
