"""How a network that learns by rates does by spikes, also over other windows of time."""

from __future__ import annotations

from typing import Any  # Any: arrays of several dtypes

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.soft_lif import at_window
from hpcfed.federation.depths import columns, evaluations, scores
from hpcfed.federation.job import Job
from hpcfed.federation.mpi.transport import Transport
from hpcfed.learning.rule import rule_of
from hpcfed.samples.samples import shape_of

F32 = NDArray[np.float32]
Array = NDArray[Any]

_FIGURES = ("accuracy", "loss", "rate_accuracy", "spikes_per_sample")


def over_windows(job: Job, params: F32, transport: Transport) -> dict[str, Array]:
    """Return how ``params`` (P,) do with each of ``model.soft_lif.windows``, at the root.

    A column each of ``schema.WINDOW_FIELDS``; none where nobody asks.
    """
    rows = []
    for window in job.experiment.model.rates.windows or ():
        changed, shape = at_window(job.experiment, window), shape_of(job.data.train)
        trainer = rule_of(changed).trainer(changed, shape, job.device)
        results = evaluations(job, trainer, params, transport)
        rows.append({"window": window} | scores(results, _FIGURES))
    return columns(rows)
