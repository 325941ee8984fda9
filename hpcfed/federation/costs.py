"""What the network of a run spends on a sample, by its evaluation: spikes, and what they reach.

A spike costs one accumulate for each neuron that it reaches; so does an event of the input. A layer
that pixels enter as they are counts each of its products.
"""

from __future__ import annotations

import math

import numpy as np

from hpcfed.config.stop import StopConfig
from hpcfed.federation.evaluation import SplitResult
from hpcfed.federation.job import Job
from hpcfed.learning.trainer import products_of


def costs(job: Job, found: SplitResult | None) -> dict[str, float]:
    """Return the columns of a round; NaN where it was not evaluated or nothing is counted."""
    names = ("silent_neurons", "saturated_neurons", "spikes_per_sample", "accumulates_per_sample")
    if found is None or job.experiment.model.kind == "ann" or not len(job.trainer.layers):
        return dict.fromkeys(names, math.nan)
    values = (*_neurons(job, found), found.spikes_per_sample, _accumulates(job, found))
    return dict(zip(names, values, strict=True))


def _neurons(job: Job, found: SplitResult) -> tuple[float, float]:
    """Return the largest parts of any layer that are silent, and saturated."""
    if not len(found.neurons):
        return math.nan, math.nan
    stop, bins = job.experiment.stop or StopConfig(), job.experiment.data.num_bins
    least = stop.saturated * found.num_samples * bins
    ends = np.cumsum([layer.neurons for layer in job.trainer.layers])[:-1]
    layers = np.split(found.neurons, ends)
    return (
        max(float((layer == 0).mean()) for layer in layers),
        max(float((layer >= least).mean()) for layer in layers),
    )


def _accumulates(job: Job, found: SplitResult) -> float:
    """Return the accumulates of a sample in all matrices; NaN for a network of one's own."""
    counted, num_samples = products_of(job.trainer), found.num_samples
    bins = job.experiment.data.num_bins
    if counted:
        reached = [product.operations * bins / product.inputs for product in counted]
        return float((found.entering[:, 0] * np.array(reached)).sum() / num_samples)
    return _of_dense(job, found, bins)


def _of_dense(job: Job, found: SplitResult, bins: int) -> float:
    """Return the accumulates of dense layers: of the engines that count spikes alone."""
    layout, spikes = job.trainer.layout, found.spikes / found.num_samples
    total = 0.0
    for name, shape in zip(layout.names, layout.shapes, strict=True):
        layer, _, kind = name.partition(".")
        if len(shape) != 2 or not (layer == "readout" or layer.removeprefix("hidden").isdigit()):
            return math.nan
        index = len(spikes) if layer == "readout" else int(layer.removeprefix("hidden"))
        first = found.input_rate * shape[1] * bins
        entering = spikes[index] if kind == "recurrent" else spikes[index - 1] if index else first
        total += float(entering) * shape[0]
    return total
