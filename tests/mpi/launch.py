"""Runs Python under mpirun with a hard time limit; nothing survives it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from hpcfed.errors import InputError
from hpcfed.launch import find_mpirun, settings
from hpcfed.launch.stopping import kill_job
from tests.places import PLAIN, REPOSITORY

# Open MPI's session folders: killed jobs leave theirs, and a new one must not come upon it
_SESSIONS = tempfile.TemporaryDirectory(prefix="hpcfed-", ignore_cleanup_errors=True)


@dataclass(frozen=True)
class Ended:
    """How a job ended: mpirun's return code, what it said, and its seconds."""

    rc: int
    stdout: str
    stderr: str
    seconds: float


def mpirun(
    num_ranks: int,
    *arguments: str,
    limit_s: float = 60,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run ``python ARGUMENTS`` on so many ranks; fail the test after ``limit_s`` seconds."""
    process = start(num_ranks, *arguments, environment=environment)
    return wait(process, limit_s)


def start(
    num_ranks: int, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start ``python ARGUMENTS`` under mpirun, from the repository, in a session of its own."""
    try:
        launcher = find_mpirun()
    except InputError as error:
        pytest.skip(str(error))
    given = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PRTE_MCA_prte_local_tmpdir_base": tempfile.mkdtemp(dir=_SESSIONS.name),
        **(environment or {}),
    }
    return subprocess.Popen(
        [launcher, "-n", str(num_ranks), sys.executable, *arguments],
        env={**given, **settings.environment(settings.identify(launcher), given)},
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait(process: subprocess.Popen[str], limit_s: float) -> Ended:
    """Wait for the end of a job; fail the test, and kill the job, after ``limit_s`` seconds."""
    begin = time.monotonic()
    try:
        stdout, stderr = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        stdout, stderr = end(process)
        pytest.fail(f"still running after {limit_s:g} s\n{stdout}\n{stderr}", pytrace=False)
    return Ended(process.returncode, stdout, stderr, time.monotonic() - begin)


def end(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Kill mpirun and all it has started, stopped ranks included; return what it still said."""
    kill_job(process.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()


def toy(
    num_ranks: int,
    out: Path,
    *overrides: str,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    limit_s: float = 60,
) -> Ended:
    """Run the toy world's job through the real command line, into ``out``."""
    return mpirun(
        num_ranks,
        *toy_arguments(out, *overrides, options=options),
        environment={**PLAIN, **(environment or {})},
        limit_s=limit_s,
    )


def toy_arguments(out: Path, *overrides: str, options: Sequence[str] = ()) -> list[str]:
    """Return the arguments of Python that run the toy world's job into ``out``."""
    sets = [part for item in overrides for part in ("--set", item)]
    return ["-m", "tests.mpi.toy_run", "run", "tests/mpi/toy.toml", "--out", str(out),
            *sets, *options]  # fmt: skip
