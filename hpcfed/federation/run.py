"""One run from start to end: plan, job, rounds, record; the same on every rank."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any  # Any: an mpi4py communicator

import numpy as np

from hpcfed import datasets
from hpcfed.clients.memory import Memory
from hpcfed.config import DataConfig, Experiment
from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError, StoppedRunError
from hpcfed.federation import memory as memories
from hpcfed.federation.decision import Decision, decide
from hpcfed.federation.footprint import check_memory
from hpcfed.federation.job import Job, build_job
from hpcfed.federation.mpi import transport as mpi
from hpcfed.federation.mpi.survivors import Past, Survivors
from hpcfed.federation.mpi.transport import AgreedError, Transport
from hpcfed.federation.origins import check_same, origins
from hpcfed.federation.recorder import Hooks, RoundReport, RunRecorder
from hpcfed.federation.remarks import remarks
from hpcfed.federation.rounds import run_rounds
from hpcfed.federation.server import ServerState
from hpcfed.federation.start import Start, begin
from hpcfed.federation.teacher import with_answers
from hpcfed.federation.tracked import track_with, tracking
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.state import Holder


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
    return run_on(Survivors(mpi.world() if comm is None else comm), request)


def run_on(ranks: Survivors, request: Request) -> RunResult:
    """Run as ``run`` does; where MPI tolerates it, go on with the others when a rank dies."""
    plan: Decision | None = None

    def attempt() -> RunResult:
        nonlocal plan
        transport = ranks.transport()
        plan = _plan(request, transport, plan, bool(ranks.lost))
        status = "finished" if plan.finished else _work(request, plan, transport, ranks.past)
        transport.close()
        return RunResult(status, Path(plan.folder) / RUN_FILE)

    with ranks.ending_together():
        return ranks.see_through(attempt)


def _work(request: Request, plan: Decision, transport: Transport, past: Past) -> str:
    experiment, folder = parse_experiment(plan.config), Path(plan.folder)
    transport.watch(experiment.run.watchdog_min)
    job = transport.together(
        "loading data",
        lambda: build_job(experiment, transport.size, transport.local_rank, request.load_data),
    )
    _check_devices(job, transport)
    _check_same(job, transport)
    job = replace(job, data=with_answers(job.teacher, experiment, job.data, transport))
    local_ranks = transport.hosts.count(transport.hosts[transport.rank])
    transport.together("predicting memory", lambda: check_memory(job, local_ranks))
    start = transport.together("starting", lambda: begin(job, plan, transport, past))
    # who still works on the run may have written another round since the plan was made
    start = replace(start, state=_of_same_round(start.state, transport))
    memory = _memory(job, folder, start, transport)
    _announce(request, job, start, transport)
    if past.lost and transport.rank == 0:
        request.notify(f"lost {past.lost}")
    is_root = transport.rank == 0
    with tracking(job, start.record, folder, is_root, request.notify) as tracked:
        hooks = Hooks(request.stop_requested, request.progress, request.notify, track_with(tracked))
        recorder = RunRecorder(job, transport, plan, start.record, hooks)
        if past.lost and experiment.run.on_rank_failure == "stop":
            recorder.write(start.state, memory, "stopped")
            tracked.status = "stopped"
        else:
            tracked.status = _train(request, job, start.state, memory, transport, recorder)
    return tracked.status


def _check_devices(job: Job, transport: Transport) -> None:
    """Raise InputError on every rank if some ranks have a GPU and others have none."""
    on_cpu = job.device == "cpu"
    if all(transport.any(on_cpu, not on_cpu)):
        raise InputError(
            "some ranks see a GPU and others none, whose results differ in the last bits; hide the "
            "GPUs (CUDA_VISIBLE_DEVICES=) or use hosts of one kind"
        )


def _check_same(job: Job, transport: Transport) -> None:
    """Raise InputError on every rank if one has other data or clients than the root."""
    ours = transport.together("looking at data and clients", lambda: origins(job))
    roots = json.loads(transport.broadcast_text(json.dumps(ours)))
    whose = f"rank {transport.rank}"
    transport.together("comparing ranks", lambda: check_same(ours, roots, whose))


def _plan(request: Request, transport: Transport, before: Decision | None, again: bool) -> Decision:
    """Decide at the root what is run and where; return the decision on every rank.

    ``again`` is whether ranks were lost; ``before`` is the plan until then, if there was one.
    """

    def decision() -> str:
        if transport.rank != 0:
            return ""
        resume = request.resume or again
        return json.dumps(asdict(decide(request.load(), request.out, resume, before)))

    text = transport.together("reading the configuration", decision)
    found = json.loads(transport.broadcast_text(text))
    base, holder = Holder(*found.pop("base")), Holder(*found.pop("holder"))
    return Decision(**found, base=base, holder=holder)


def _memory(job: Job, folder: Path, start: Start, transport: Transport) -> Memory:
    found = job.memory
    name = transport.broadcast_text(str(start.record.checkpoint.get("memory", "")))
    if job.owners is not None and name:
        try:
            memories.check_name(name, start.state.round)
        except InputError as error:
            raise InputError(f"{folder}: {error}") from None
        mine = set(np.flatnonzero(job.owners == transport.rank).tolist())
        memories.load(transport, folder / name, mine, found)
    return found


def _of_same_round(state: ServerState, transport: Transport) -> ServerState:
    """Return the state with the root's round."""
    return replace(state, round=int(transport.broadcast(np.array([state.round]))[0]))


def _announce(request: Request, job: Job, start: Start, transport: Transport) -> None:
    if transport.rank != 0:
        return
    num_clients = job.population.num_clients
    work = f"{num_clients} clients on {transport.size} ranks, {job.uplink.size} parameters"
    data = f"{len(job.data.train_ids)} training samples of {job.data.source}"
    begin = f", from round {start.state.round}" if start.state.round else ""
    request.notify(f"{job.experiment.name}: {work}, {data}{begin}")
    for remark in remarks(job):
        request.notify(remark)
    if job.owners is not None:
        size_mib = num_clients * job.memory.size * 4 / 2**20
        request.notify(
            f"clients keep up to {size_mib:.0f} MiB beside the run file, twice that while writing"
        )


def _train(
    request: Request,
    job: Job,
    state: ServerState,
    memory: Memory,
    transport: Transport,
    recorder: RunRecorder,
) -> str:
    try:
        if not request.claimed:
            recorder.write(state, memory, "running")
        return run_rounds(job, state, memory, transport, recorder)
    except (InputError, StoppedRunError, AgreedError) as error:
        # a disk too full for the checkpoint is too full for the reason as well, and who has taken
        # the run over does not want it
        with contextlib.suppress(OSError, InputError):
            recorder.write_failure(str(error))
        raise
