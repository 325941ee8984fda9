"""How a network does on the data that are held back, also with other numbers of iterations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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


def scores(
    results: Mapping[str, SplitResult], names: Sequence[str] = ("accuracy", "loss")
) -> dict[str, float]:
    """Return these figures of validation and test, NaN of a set that there is not."""
    return {
        f"{split}_{name}": float(getattr(results[split], name)) if split in results else math.nan
        for split in ("validation", "test")
        for name in names
    }


def columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    """Return rows of the same names as a column each; none of no rows."""
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}


def over_depths(job: Job, params: F32, transport: Transport) -> dict[str, Array]:
    """Return how ``params`` (P,) do with each depth of ``model.repeat.curve``, at the root.

    A column each of ``schema.DEPTH_FIELDS``; none where nobody asks.
    """
    rows = [
        {"depth": depth, "operations": operations_of(job.trainer, depth)}
        | scores(evaluations(job, at_depth(job.trainer, depth), params, transport))
        for depth in job.experiment.model.repetition.curve or ()
    ]
    return columns(rows)
