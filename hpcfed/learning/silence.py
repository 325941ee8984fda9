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
from hpcfed.config.stop import StopConfig
from hpcfed.networks.contract import Layer

I64 = NDArray[np.int64]

COUNTS = ("samples", "silent", "saturated")


def limits(experiment: Experiment, layers: Sequence[Layer]) -> I64:
    """Return (L, 2) int64: spikes below which a sample is silent, from which it is saturated."""
    stop, bins = experiment.stop or StopConfig(), experiment.data.num_bins
    rows = [
        (stop.silent.alpha, math.ceil(stop.saturated * bins * layer.neurons)) for layer in layers
    ]
    return np.array(rows, np.int64).reshape(len(layers), 2)
