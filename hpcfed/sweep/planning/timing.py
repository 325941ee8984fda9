"""How long will it take? A few points are run for two rounds each, with all their clients.

With s_p seconds of training per participant, s_r the rest of a round, s_e an evaluation and s_o the
start and end of a run, a run takes::

    rounds (s_p sum_k (1 - q_k) + s_r) + evaluations s_e + s_o

The first round warms up and is not counted. Seconds are those of the processor, so that others on
this machine do not count; with GPUs, those of the clock. Points that differ in data, partition,
model, local training or masks cost differently; of many such kinds a few are timed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from hpcfed import datasets
from hpcfed.config import DataConfig, Experiment
from hpcfed.federation.run import Request
from hpcfed.federation.run import run as federate
from hpcfed.records.runfile import read_record
from hpcfed.sweep.planning.checks import grouped
from hpcfed.sweep.planning.manifest import Manifest
from hpcfed.sweep.planning.planned_run import PlannedRun

_MOST_KINDS = 6
_PHASES = ("seconds_train", "seconds_communicate", "seconds_wait", "seconds_evaluate")
_COSTLY = ("data", "partition", "model", "client", "uplink")


@dataclass(frozen=True)
class Costs:
    """Seconds on one core: of a participant, the rest of a round, an evaluation, a run."""

    participant: float
    round: float
    evaluation: float
    run: float
    num_clients: int


@dataclass(frozen=True)
class Prediction:
    """Core-hours of all runs, and what they rest on."""

    core_hours: float
    num_timed: int
    seconds: float


def predict(manifest: Manifest, runs: Sequence[PlannedRun]) -> Prediction:
    """Time a few of ``runs`` and predict all. Raises InputError for what cannot be run here."""
    begin = time.perf_counter()
    kinds = list(grouped(runs, _COSTLY))
    chosen = np.unique(np.linspace(0, len(kinds) - 1, _MOST_KINDS).round().astype(int))
    load_data = lru_cache(2)(datasets.load)
    with ProcessPoolExecutor(1, get_context("spawn")) as elsewhere:
        # a machine compiles once; what every process spends again is importing and loading
        elsewhere.submit(_timed, kinds[0][0].experiment, datasets.load).result()
    start = _timed(kinds[0][0].experiment, load_data).run
    costs = [_timed(kinds[index][0].experiment, load_data) for index in chosen]
    total = 0.0
    for index, kind in enumerate(kinds):
        nearest = costs[int(np.abs(chosen - index).argmin())]
        total += sum(_seconds(run.experiment, nearest) for run in kind)
    resources = manifest.resources
    starts = len(runs) / resources.runs_per_task * resources.concurrent_runs
    total += max(start - costs[0].run, 0.0) * min(starts, len(runs)) * resources.ranks_per_run
    return Prediction(total / 3600, len(chosen), time.perf_counter() - begin)


def _seconds(experiment: Experiment, costs: Costs) -> float:
    """Return the seconds of one run on one core."""
    drop = np.broadcast_to(experiment.participation.drop_probability, costs.num_clients)
    rounds = experiment.server.rounds
    evaluations = -(-rounds // experiment.run.eval_every)
    a_round = costs.participant * float((1 - drop).sum()) + costs.round
    return rounds * a_round + evaluations * costs.evaluation + costs.run


def _timed(experiment: Experiment, load_data: Callable[[DataConfig], datasets.Data]) -> Costs:
    short = experiment.model_copy(
        update={
            "server": experiment.server.model_copy(update={"rounds": 2}),
            "run": experiment.run.model_copy(update={"eval_every": 1, "checkpoint_seconds": 1e9}),
            "participation": experiment.participation.model_copy(update={"drop_probability": 0.0}),
        }
    )
    with tempfile.TemporaryDirectory(prefix="hpcfed-") as folder:
        begin = time.perf_counter(), time.process_time()
        federate(Request(lambda: short, Path(folder) / "run", load_data=load_data))
        wall, busy = time.perf_counter() - begin[0], time.process_time() - begin[1]
        record = read_record(Path(folder) / "run")
    last = {name: np.array(record.log.rounds[name], np.float64) for name in _PHASES}
    num_clients = len(record.clients["num_samples"])
    share = busy / wall if record.attributes["device"] == "cpu" else 1.0
    rest = last["seconds_communicate"] + last["seconds_wait"]
    return Costs(
        participant=share * float(last["seconds_train"][1]) / num_clients,
        round=share * float(rest[1]),
        evaluation=share * float(last["seconds_evaluate"][1]),
        run=share * (wall - sum(float(column.sum()) for column in last.values())),
        num_clients=num_clients,
    )
