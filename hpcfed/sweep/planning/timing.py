"""How long will it take? A few points are run for two rounds each, with all their clients.

With s_p seconds of training per participant, s_r the rest of a round, s_e an evaluation and s_o the
start and end of a run, a run of n participants a round takes, on m ranks::

    rounds (s_p n / m + s_r) + evaluations s_e / m + s_o

The first round warms up and is not counted. Core-hours are of the processor, so that others on this
machine do not count; with GPUs, those of the clock. Points that differ in data, partition, model,
local training or masks cost differently; of many such kinds a few are timed, by a process of its
own whose memory is looked at in the end.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcfed import datasets
from hpcfed.base.machine import peak_memory_bytes
from hpcfed.config import DataConfig, Experiment
from hpcfed.errors import InputError
from hpcfed.federation.run import Request
from hpcfed.federation.run import run as federate
from hpcfed.records.runfile import read_record
from hpcfed.sweep.planning.checks import grouped
from hpcfed.sweep.planning.manifest import Manifest
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.planning.prediction import Prediction
from hpcfed.sweep.planning.resources import Resources
from hpcfed.sweep.planning.traffic import participants, traffic

F64 = NDArray[np.float64]

_MOST_KINDS = 6
_PHASES = ("seconds_train", "seconds_communicate", "seconds_wait", "seconds_evaluate")
_COSTLY = ("data", "partition", "model", "client", "uplink")


@dataclass(frozen=True)
class Costs:
    """Seconds by the clock: of a participant, the rest of a round, an evaluation, a run.

    Attributes:
        share: of these seconds that count as a core's: what the processor was busy, on a GPU all.
    """

    participant: float
    round: float
    evaluation: float
    run: float
    num_clients: int
    share: float
    on_gpu: bool

    def seconds(self, experiment: Experiment, num_ranks: int) -> float:
        """Return the seconds of a run on so many ranks, each with a core of its own."""
        rounds = experiment.server.rounds
        evaluations = -(-rounds // experiment.run.eval_every)
        shared = rounds * self.participant * participants(experiment, self.num_clients)
        shared += evaluations * self.evaluation
        return shared / num_ranks + rounds * self.round + self.run


@dataclass(frozen=True)
class Measured:
    """What a process of its own has found: its start, the costs of some kinds, its memory.

    The start is in seconds by the clock, and of a core.
    """

    start: float
    start_busy: float
    costs: list[Costs]
    memory_bytes: int


def predict(manifest: Manifest, runs: Sequence[PlannedRun]) -> Prediction:
    """Time a few of ``runs`` and predict all. Raises InputError for what cannot be run here."""
    begin = time.perf_counter()
    kinds = list(grouped(runs, _COSTLY))
    chosen = np.unique(np.linspace(0, len(kinds) - 1, _MOST_KINDS).round().astype(int))
    resources = manifest.resources
    timed = [_short(kinds[index][0].experiment, resources.threads) for index in chosen]
    _elsewhere(_measured, timed[:1])  # a machine compiles once
    found = _elsewhere(_measured, timed)
    sent = traffic(runs, lru_cache(2)(datasets.load))
    costs = {
        run.digest: found.costs[int(np.abs(chosen - index).argmin())]
        for index, kind in enumerate(kinds)
        for run in kind
    }
    ranks = resources.ranks_per_run
    clock = np.array([costs[run.digest].seconds(run.experiment, ranks) for run in runs])
    return Prediction(
        core_hours=_core_seconds(runs, costs, found.start_busy, resources) / 3600,
        gpu_hours=_gpu_hours(clock, found, resources),
        run_seconds=(float(clock.mean()), float(clock.max())),
        start_seconds=found.start,
        memory_bytes=found.memory_bytes,
        uplink_bytes=sum(sent[run.digest].up for run in runs),
        downlink_bytes=sum(sent[run.digest].down for run in runs),
        num_timed=len(chosen),
        seconds=time.perf_counter() - begin,
    )


def _core_seconds(
    runs: Sequence[PlannedRun], costs: dict[str, Costs], start: float, resources: Resources
) -> float:
    """Return the seconds that cores work for all runs, and for the processes to start."""
    mine = [(costs[run.digest], run.experiment) for run in runs]
    total = sum(cost.share * cost.seconds(experiment, 1) for cost, experiment in mine)
    starts = len(runs) / resources.runs_per_task * resources.concurrent_runs
    return total + start * min(starts, len(runs)) * resources.ranks_per_run


def _gpu_hours(clock: F64, found: Measured, resources: Resources) -> float | None:
    if not resources.gpus or not any(cost.on_gpu for cost in found.costs):
        return None
    return resources.gpus * float(clock.sum()) / 3600


def _elsewhere(
    function: Callable[[list[Experiment]], Measured], experiments: list[Experiment]
) -> Measured:
    """Call ``function`` in a process of its own, whose start and memory are not this one's."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        try:
            return process.submit(function, experiments).result()
        except BrokenProcessPool:
            raise InputError(
                "timing runs: their process was killed, as where memory is short; time them on a "
                "machine with more, or leave --time out"
            ) from None


def _measured(experiments: list[Experiment]) -> Measured:
    """Time short experiments in this process, whose start is its imports and the first one's."""
    imports = time.process_time()
    load_data = lru_cache(2)(datasets.load)
    first = _timed(experiments[0], load_data)
    costs = [_timed(experiment, load_data) for experiment in experiments]
    start = imports + max(first.run - costs[0].run, 0.0)
    busy = imports + max(first.share * first.run - costs[0].share * costs[0].run, 0.0)
    return Measured(start, busy, costs, peak_memory_bytes())


def _short(experiment: Experiment, threads: int) -> Experiment:
    """Return two rounds of an experiment in which nobody is late or left out, and none stops."""
    alone = {"drop_probability": 0.0, "straggler_probability": None, "first_is_on_time": None}
    return experiment.model_copy(
        update={
            "server": experiment.server.model_copy(update={"rounds": 2}),
            "run": experiment.run.model_copy(update={"eval_every": 1, "checkpoint_seconds": 1e9}),
            "participation": experiment.participation.model_copy(update=alone),
            "client": experiment.client.model_copy(update={"threads": threads}),
            "stop": None,
        }
    )


def _timed(experiment: Experiment, load_data: Callable[[DataConfig], datasets.Data]) -> Costs:
    with tempfile.TemporaryDirectory(prefix="hpcfed-") as folder:
        begin = time.perf_counter(), time.process_time()
        federate(Request(lambda: experiment, Path(folder) / "run", load_data=load_data))
        wall, busy = time.perf_counter() - begin[0], time.process_time() - begin[1]
        record = read_record(Path(folder) / "run")
    last = {name: np.array(record.log.rounds[name], np.float64) for name in _PHASES}
    on_gpu = record.attributes["device"] != "cpu"
    rest = last["seconds_communicate"] + last["seconds_wait"]
    return Costs(
        participant=float(last["seconds_train"][1] / record.log.rounds["num_participants"][1]),
        round=float(rest[1]),
        evaluation=float(last["seconds_evaluate"][1]),
        run=wall - sum(float(column.sum()) for column in last.values()),
        num_clients=len(record.clients["num_samples"]),
        share=1.0 if on_gpu else busy / wall,
        on_gpu=on_gpu,
    )
