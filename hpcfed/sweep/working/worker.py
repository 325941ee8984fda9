"""The packed process: one interpreter that runs many runs, one after the other.

Imports, data and compiled code are shared by all of them. Runs arrive as lines of JSON on stdin,
what becomes of them leaves as lines of JSON on the first stdout; while a run goes on, stdout and
stderr are its log. With several ranks a run, this process only starts and stops each launcher.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any  # Any: a message's values are of any JSON type

from hpcfed import datasets
from hpcfed.base.signals import StopRequest
from hpcfed.config import DataConfig
from hpcfed.errors import STOPPED, InputError, StoppedRunError
from hpcfed.federation.progress import describe
from hpcfed.federation.run import Request
from hpcfed.federation.run import run as federate
from hpcfed.launch import interpreter, reachable, run_job
from hpcfed.launch.restart import JobEnd, Ranks, policy, see_through
from hpcfed.launch.stopping import requests_from_signals
from hpcfed.records.fork import fork
from hpcfed.records.runfile import is_damaged
from hpcfed.records.state import glance
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import Manifest, read_manifest
from hpcfed.sweep.planning.planned_run import PlannedRun

_REPORT_S = 0.5  # seconds between messages about rounds
_LOG_S = 5.0
_SHARED_SETS = 2  # data sets kept loaded

LoadData = Callable[[DataConfig], datasets.Data]


@dataclass(frozen=True)
class RunEnd:
    """What became of a run: finished, stopped or failed, and why."""

    status: str
    error: str = ""


def serve(out: Path) -> None:
    """Work on the runs that stdin names until it ends, or until this process is asked to stop."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with StopRequest() as stop:
        _say(channel, {"ready": True})
        manifest, paths = read_manifest(Paths(out)), Paths(out)
        if manifest.resources.ranks_per_run > 1:
            # Slurm signals every process of a job; a second signal would kill the ranks
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
        load_data: LoadData = lru_cache(_SHARED_SETS)(datasets.load)
        for line in sys.stdin:
            digest = json.loads(line)["run"]
            if manifest.search is not None:  # it has grown since
                manifest = read_manifest(paths)
            run = next(run for run in manifest.runs if run.digest == digest)
            _say(channel, _serve_one(Task(manifest, paths, run, load_data, stop), channel))
            if stop.requested:
                return


@dataclass(frozen=True)
class Task:
    """One run of a sweep, and what it needs."""

    manifest: Manifest
    paths: Paths
    run: PlannedRun
    load_data: LoadData
    stop: StopRequest


def _serve_one(task: Task, channel: IO[str]) -> dict[str, Any]:
    try:
        task.paths.run(task.run.digest).mkdir(parents=True, exist_ok=True)
        with _logging(task.paths.log(task.run.digest)):
            _log(f"-- {datetime.now(UTC).isoformat(timespec='seconds')} process {os.getpid()}")
            ended = _run(task, channel)
    except OSError as error:  # the folder or the log cannot be written: no run's own fault
        return {"ended": "unwritable", "error": str(error)}
    return {"ended": ended.status, "error": ended.error}


def _run(task: Task, channel: IO[str]) -> RunEnd:
    set_aside_unreadable(task.paths.run_file(task.run.digest))
    if task.stop.requested:
        return RunEnd("stopped")
    ranks = task.manifest.resources.ranks_per_run
    try:
        _begin_fork(task)
        ended = _launched(task) if ranks > 1 else _in_process(task, channel)
    except Exception as error:  # whatever it is, the next run must not suffer
        expected = isinstance(error, InputError | StoppedRunError)
        _log("".join(traceback.format_exception(error)) if not expected else f"error: {error}")
        return RunEnd("failed", _last_line(str(error)) or type(error).__name__)
    return ended


def _begin_fork(task: Task) -> None:
    """Let a run that has a parent begin with the parent's file, unless it has begun already."""
    run, paths = task.run, task.paths
    if run.parent is None or paths.run_file(run.digest).exists():
        return
    parent, num_rounds = run.parent
    experiment = task.manifest.experiment(run.digest)
    fork(paths.run(parent), num_rounds, paths.run(run.digest), experiment)


def _in_process(task: Task, channel: IO[str]) -> RunEnd:
    experiment = task.manifest.experiment(task.run.digest)
    said = {"channel": 0.0, "log": 0.0}

    def progress(report: Any) -> None:  # Any: the recorder's RoundReport
        now = time.monotonic()
        if now - said["channel"] > _REPORT_S:
            said["channel"] = now
            _say(channel, {"round": report.round})
        if now - said["log"] > _LOG_S or report.round == report.num_rounds:
            said["log"] = now
            _log(f"round {report.round}/{report.num_rounds}: {describe(report)}")

    request = Request(
        load=lambda: experiment,
        out=task.paths.run(task.run.digest),
        resume=True,
        notify=_log,
        progress=progress,
        stop_requested=lambda: task.stop.requested,
        load_data=task.load_data,
        claimed=True,
    )
    return RunEnd(federate(request).status)


def _launched(task: Task) -> RunEnd:
    """Run on several ranks; success is judged by the run file."""
    resources, site = task.manifest.resources, task.manifest.site
    program = [*interpreter(), "-m", "hpcfed", "sweep", "one", "--out", str(task.paths.out),
               "--run", task.run.digest]  # fmt: skip

    def start(place: Ranks, variables: Mapping[str, str]) -> JobEnd:
        if task.stop.requested:  # after a job has died, before it is started again
            return JobEnd(STOPPED, asked=True, failed=False)
        if site.launcher != "srun" or "SLURM_JOB_ID" not in os.environ:
            return run_job(program, place, variables)
        where = [f"--nodelist={','.join(place.hosts)}"] if place.hosts else []
        return _srun(
            ["srun", f"--mpi={site.mpi}", f"--ntasks={place.num_ranks}", *where,
             f"--cpus-per-task={resources.threads}", "--exact", "--unbuffered", *program],
            variables,
        )  # fmt: skip

    experiment = task.manifest.experiment(task.run.digest)
    aim = policy(experiment, task.paths.run(task.run.digest), resources.ranks_per_run)
    code = see_through(start, aim, reachable)
    if code == 0:
        return RunEnd("finished")
    if code == STOPPED or task.stop.requested:
        return RunEnd("stopped")
    state = glance(task.paths.run_file(task.run.digest))
    return RunEnd("failed", (state.error if state else "") or f"the ranks left with code {code}")


def _srun(command: list[str], variables: Mapping[str, str]) -> JobEnd:
    """Run a job step; the first signal asks its ranks to stop, the second kills them."""
    with requests_from_signals() as requests:
        process = subprocess.Popen(
            command, env={**os.environ, **variables}, stdin=subprocess.DEVNULL
        )
        asked = 0
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(timeout=0.2)
                # a rank that was killed makes it 128 and the signal
                return JobEnd(code, asked > 0, failed=code == 1)
            while not requests.empty():
                requests.get()
                asked += 1
                process.send_signal(signal.SIGUSR1 if asked == 1 else signal.SIGTERM)


def set_aside_unreadable(path: Path) -> None:
    """Rename a run file that opens and is damaged, so that the run begins anew.

    One that cannot be opened now is left alone: who continues it says so.
    """
    if path.exists() and is_damaged(path):
        aside = path.with_name(f"unreadable-{time.time_ns()}.h5")
        path.rename(aside)
        _log(f"{path.name} cannot be read; it is {aside.name} now, and the run begins anew")


@contextlib.contextmanager
def _logging(path: Path) -> Iterator[None]:
    """Append stdout and stderr of this process, C libraries included, to ``path`` meanwhile."""
    sys.stdout.flush()
    sys.stderr.flush()
    target = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    kept = os.dup(1), os.dup(2)
    try:
        for number in (1, 2):
            os.dup2(target, number)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):  # a full disk takes no last words
                stream.flush()
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)
        os.close(target)


def _log(text: str) -> None:
    with contextlib.suppress(OSError):  # a run does not fail because its log does
        os.write(1, f"{text.rstrip()}\n".encode(errors="replace"))


def _say(channel: IO[str], message: dict[str, Any]) -> None:
    channel.write(json.dumps(message) + "\n")
    channel.flush()


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
