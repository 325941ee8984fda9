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
from hpcfed.errors import InputError
from hpcfed.networks.contract import Layer

I64 = NDArray[np.int64]

COUNTS = ("samples", "silent", "saturated")


def limits(experiment: Experiment, layers: Sequence[Layer]) -> I64:
    """Return (L, 2) int64: spikes below which a sample is silent, from which it is saturated.

    Raises InputError for another number of limits than of layers.
    """
    stop, bins = experiment.stop or StopConfig(), experiment.data.num_bins
    alphas = stop.silent.alpha
    if isinstance(alphas, int):
        alphas = (alphas,) * len(layers)
    if len(alphas) != len(layers):
        raise InputError(
            f"stop.silent.alpha has {len(alphas)} numbers, and there are {len(layers)} hidden "
            f"layers: {', '.join(layer.name for layer in layers)}"
        )
    rows = [
        (alpha, math.ceil(stop.saturated * bins * layer.neurons))
        for alpha, layer in zip(alphas, layers, strict=True)
    ]
    return np.array(rows, np.int64).reshape(len(layers), 2)
