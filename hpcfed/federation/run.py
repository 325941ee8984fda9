"""One run from start to end: plan, job, rounds, record; the same on every rank."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any  # Any: an mpi4py communicator

import numpy as np

from hpcfed import datasets, records
from hpcfed.config import DataConfig, Experiment
from hpcfed.errors import InputError, StoppedRunError
from hpcfed.experiment_file import parse_experiment
from hpcfed.federation import residuals as residual_files
from hpcfed.federation import transport as mpi
from hpcfed.federation.job import Job, build_job
from hpcfed.federation.plan import Plan, decide
from hpcfed.federation.recorder import Hooks, RoundReport, RunRecorder
from hpcfed.federation.residuals import Residuals
from hpcfed.federation.rounds import run_rounds
from hpcfed.federation.server import ServerState
from hpcfed.federation.start import Start, begin
from hpcfed.federation.transport import AgreedError, Transport


@dataclass(frozen=True)
class RunResult:
    """How a run ended: status "finished" or "stopped", and where its file lies."""

    status: str
    path: Path


@dataclass(frozen=True)
class Request:
    """What to run: ``load`` is called at the root only and may raise InputError.

    ``load_data`` gives the data: several runs of one process may share what they load. With
    ``claimed`` others know already that the run is under way, and no run file says so before the
    first checkpoint is due: a short run is written once.
    """

    load: Callable[[], Experiment]
    out: Path | None = None
    resume: bool = False
    notify: Callable[[str], None] = lambda message: None
    progress: Callable[[RoundReport], None] = lambda report: None
    stop_requested: Callable[[], bool] = lambda: False
    load_data: Callable[[DataConfig], datasets.Data] = datasets.load
    claimed: bool = False


def run(request: Request, comm: Any = None) -> RunResult:
    """Run an experiment on all ranks of ``comm`` (default: the world).

    Raises, on every rank: InputError for what cannot be run (nothing has been written),
    StoppedRunError or AgreedError for a run that failed (the run file says so). Any other
    exception of a single rank ends the job.
    """
    comm = mpi.world() if comm is None else comm
    try:
        return _run(request, comm)
    except (InputError, StoppedRunError, AgreedError):
        raise
    except BaseException as error:
        if comm.Get_size() > 1:
            mpi.abort_all(comm, error)
        raise


def _run(request: Request, comm: Any) -> RunResult:
    transport = Transport(comm)
    plan = _plan(request, transport)
    status = "finished" if plan.finished else _work(request, plan, transport)
    transport.close()
    return RunResult(status, Path(plan.folder) / records.RUN_FILE)


def _work(request: Request, plan: Plan, transport: Transport) -> str:
    experiment, folder = parse_experiment(plan.config), Path(plan.folder)
    transport.watch(experiment.run.watchdog_min)
    job = transport.together(
        "loading data",
        lambda: build_job(experiment, transport.size, transport.local_rank, request.load_data),
    )
    _check_devices(job, transport)
    start = transport.together("starting", lambda: begin(job, plan, transport))
    residuals = _residuals(job, folder, start, transport)
    _announce(request, job, start, transport)
    hooks = Hooks(request.stop_requested, request.progress)
    recorder = RunRecorder(job, transport, folder, start.record, hooks)
    return _train(request, job, start.state, residuals, transport, recorder)


def _check_devices(job: Job, transport: Transport) -> None:
    """Raise InputError on every rank if some ranks have a GPU and others have none."""
    on_cpu = job.device == "cpu"
    if all(transport.any(on_cpu, not on_cpu)):
        raise InputError(
            "some ranks see a GPU and others none, whose results differ in the last bits; hide the "
            "GPUs (CUDA_VISIBLE_DEVICES=) or use hosts of one kind"
        )


def _plan(request: Request, transport: Transport) -> Plan:
    """Decide at the root what is run and where; return the decision on every rank."""

    def decision() -> str:
        if transport.rank != 0:
            return ""
        return json.dumps(asdict(decide(request.load(), request.out, request.resume)))

    text = transport.together("reading the configuration", decision)
    return Plan(**json.loads(transport.broadcast_text(text)))


def _residuals(job: Job, folder: Path, start: Start, transport: Transport) -> Residuals | None:
    if job.owners is None:
        return None
    name = str(start.record.checkpoint.get("residuals", ""))
    name = transport.broadcast_text(name)
    if not name:
        return {}
    mine = set(np.flatnonzero(job.owners == transport.rank).tolist())
    shape = (len(job.clients), job.uplink.size)
    return residual_files.load(transport, folder / name, mine, shape)


def _announce(request: Request, job: Job, start: Start, transport: Transport) -> None:
    if transport.rank != 0:
        return
    work = f"{len(job.clients)} clients on {transport.size} ranks, {job.uplink.size} parameters"
    data = f"{len(job.data.train_ids)} training samples of {job.data.source}"
    begin = f", from round {start.state.round}" if start.state.round else ""
    request.notify(f"{job.experiment.name}: {work}, {data}{begin}")
    if job.owners is not None:
        size_mib = len(job.clients) * job.uplink.size * 4 / 2**20
        request.notify(
            f"error feedback keeps {size_mib:.0f} MiB beside the run file, twice that while writing"
        )


def _train(
    request: Request,
    job: Job,
    state: ServerState,
    residuals: Residuals | None,
    transport: Transport,
    recorder: RunRecorder,
) -> str:
    try:
        if not request.claimed:
            recorder.write(state, residuals, "running")
        return run_rounds(job, state, residuals, transport, recorder)
    except (InputError, StoppedRunError, AgreedError) as error:
        # a disk too full for the checkpoint is too full for the reason as well
        with contextlib.suppress(OSError):
            recorder.write_failure(str(error))
        raise
