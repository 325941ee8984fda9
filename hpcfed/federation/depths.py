"""How a network does on the data that are held back, also with other numbers of iterations."""

from __future__ import annotations

from typing import Any  # Any: arrays of several dtypes

import numpy as np
from numpy.typing import NDArray

from hpcfed.federation.evaluation import SplitResult, evaluate
from hpcfed.federation.job import Job
from hpcfed.federation.mpi.transport import Transport
from hpcfed.learning.trainer import Trainer, at_depth, operations_of

F32 = NDArray[np.float32]
Array = NDArray[Any]


def evaluations(
    job: Job, trainer: Trainer, params: F32, transport: Transport
) -> dict[str, SplitResult]:
    """Return how ``params`` (P,) do on validation and test, where there are; at the root."""
    data, found = job.data, {}
    sets = {
        "validation": (data.train, data.validation_ids),
        "test": (data.test, data.test_ids),
    }
    for name, (events, samples) in sets.items():
        if events is not None and len(samples):
            result = evaluate(transport, trainer, params, events, samples)
            if result is not None:
                found[name] = result
    return found


def over_depths(job: Job, params: F32, transport: Transport) -> dict[str, Array]:
    """Return how ``params`` (P,) do with each depth of ``model.repeat.curve``, at the root.

    A column each of ``schema.DEPTH_FIELDS``; none where nobody asks.
    """
    curve = job.experiment.model.repetition.curve
    if curve is None:
        return {}
    columns: dict[str, list[float]] = {}
    for depth in curve:
        results = evaluations(job, at_depth(job.trainer, depth), params, transport)
        values: dict[str, float] = {"depth": depth, "operations": operations_of(job.trainer, depth)}
        for name in ("validation", "test"):
            result = results.get(name)
            values[f"{name}_accuracy"] = result.accuracy if result else float("nan")
            values[f"{name}_loss"] = result.loss if result else float("nan")
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    found = {name: np.array(column) for name, column in columns.items()}
    return found | {"depth": np.array(curve, np.int64)}
