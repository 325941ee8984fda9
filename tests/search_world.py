"""A search in memory: a function instead of runs, in the same order as one worker would work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hpcfed.config import Experiment
from hpcfed.config.file import build_experiment
from hpcfed.config.search import Search, SearchConfig
from hpcfed.records.results import Result
from hpcfed.records.searched import Item, Seen
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.search.data import Data, data_of
from hpcfed.sweep.search.propose import Draft, Proposer

Function = Callable[[Mapping[str, Any]], Mapping[str, float]]
# numbers of an experiment that take any value of a range, for a space of a function's arguments
KEYS = (
    *("client.learning_rate", "client.momentum", "model.tau_mem", "model.tau_syn"),
    *("model.threshold", "model.surrogate_slope", "model.init_scale", "client.weight_decay"),
    *("server.learning_rate", "server.momentum", "data.duration", "client.rate_lower"),
)


def search_of(space: Mapping[str, Any], **settings: Any) -> Search:
    """Return a search for the least "train_loss", its constraints figures that end at 0."""
    given = {"minimise": "train_loss", "evaluations": 100, **settings}
    base = {"server": {"rounds": 9}}
    return Search("world", SearchConfig.model_validate({"space": dict(space), **given}), base)


def box(num_keys: int) -> dict[str, Any]:
    """Return the space [0, 1]^D."""
    return {key: {"float": [0.0, 1.0]} for key in KEYS[:num_keys]}


def run_of(point: Mapping[str, Any]) -> PlannedRun:
    """Return a run that nobody trains, named by its point."""
    digest = hashlib.sha256(json.dumps(point, sort_keys=True).encode()).hexdigest()[:16]
    found = PlannedRun(digest, digest, True, digest, dict(point), {"server": {"rounds": 9}})
    found.__dict__["experiment"] = EXPERIMENT
    return found


EXPERIMENT: Experiment = build_experiment({}, "world")


def item_of(
    draft: Draft, number: int, pending: tuple[int, ...] = (), step: int = 0, member: int = 0
) -> Item:
    """Return the proposal of a draft."""
    run = draft.run
    return Item(
        number, draft.kind, draft.of, draft.rounds, draft.why, run.digest, "", run.point, pending,
        (), step, member,
    )  # fmt: skip


def searched(search: Search, function: Function, count: int, workers: int = 1) -> Seen:
    """Search with ``workers`` that all take as long; return what was seen."""
    proposer, items, results = Proposer(search, run_of), [], {}
    for number in range(count):
        ready = {n: results[n] for n in range(max(0, number - workers + 1))}
        seen = Seen(tuple(items), ready)
        draft = proposer.next(seen, may_add=True)
        assert draft is not None
        items.append(item_of(draft, number, seen.pending))
        results[number] = Result(function(draft.run.point))
    return Seen(tuple(items), results)


def best(search: Search, seen: Seen) -> list[float]:
    """Return the best feasible value after each proposal; infinite before the first."""
    found, least = [], np.inf
    for item in seen.items:
        figures = seen.results[item.number].figures
        if all(figures[name] <= limit for name, limit in search.config.constraints.items()):
            least = min(least, figures["train_loss"])
        found.append(float(least))
    return found


def botorch_function(problem: Any, scale: float = 1.0) -> Function:
    """Return a test function of BoTorch over [0, 1]^D, its constraints as figures, at most 0."""
    import torch

    low, high = problem.bounds.numpy()

    def figures(point: Mapping[str, Any]) -> dict[str, float]:
        unit = np.array([point[key] for key in KEYS[: len(low)]])
        x = torch.from_numpy((low + unit * (high - low))[None])
        found = {"train_loss": float(problem._evaluate_true(x)) * scale}
        slack = problem.evaluate_slack(x, noise=False)[0].numpy()
        return found | {name: -float(s) for name, s in zip(CONSTRAINTS, slack, strict=False)}

    return figures


CONSTRAINTS = (
    *("hidden_rate", "silent_samples", "saturated_samples", "num_late", "num_rejected"),
    *("num_participants", "mpi_bytes", "uplink_bytes", "downlink_bytes", "uplink_values"),
    "learning_rate",
)


def limits(count: int) -> dict[str, float]:
    """Return constraints of ``count`` figures that are at most 0."""
    return dict.fromkeys(CONSTRAINTS[:count], 0.0)


def learned(search: Search, seen: Seen) -> Data:
    """Return what a model would learn from."""
    return data_of(search, seen)
