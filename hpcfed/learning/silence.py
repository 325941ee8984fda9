"""Which samples a hidden layer is silent for, or saturated: what every engine counts the same way.

L hidden layers, T time bins, H neurons. A sample is silent in a layer that sends fewer than alpha
spikes in all its bins (Firmin, Boulet and Talbi 2024, arXiv 2403.00450), saturated where at least a
part of all neurons and bins spikes. Counts are whole numbers, and can be added in any order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.networks.contract import Layer

I64 = NDArray[np.int64]

ALPHA, SATURATED = 1, 0.95  # where a run has no [stop]
COUNTS = ("samples", "silent", "saturated")


def limits(experiment: Experiment, layers: Sequence[Layer]) -> I64:
    """Return (L, 2) int64: spikes below which a sample is silent, from which it is saturated."""
    stop, bins = experiment.stop, experiment.data.num_bins
    alpha = ALPHA if stop is None else stop.silent.alpha
    share = SATURATED if stop is None else stop.saturated
    rows = [(alpha, math.ceil(share * bins * layer.neurons)) for layer in layers]
    return np.array(rows, np.int64).reshape(len(layers), 2)


def counted(spikes: I64, bounds: I64) -> I64:
    """Return (L, 3) int64, COUNTS of samples whose layers sent ``spikes`` (L, B)."""
    silent, saturated = spikes < bounds[:, :1], spikes >= bounds[:, 1:]
    samples = np.full(len(spikes), spikes.shape[1])
    return np.stack([samples, silent.sum(1), saturated.sum(1)], 1).astype(np.int64)
