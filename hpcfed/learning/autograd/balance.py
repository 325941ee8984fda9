"""Which activation of an ANN a rate of 1 stands for: a percentile of each layer's, on some samples.

B batch. The highest activations are few and far; a rate for each of them would leave the others few
spikes (Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682: the 99.9th percentile of those above
zero, there too).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.learning.autograd.training import matrices
from hpcfed.learning.feed import feed
from hpcfed.networks.ann import AnnNetwork
from hpcfed.samples.images import ImageSet

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

_BATCH = 64
_MOST_SAMPLES = 1000  # of a layer of 64 x 32 x 32 neurons 262 MB


def balanced_scales(
    experiment: Experiment,
    network: AnnNetwork,
    params: F32,
    images: ImageSet,
    ids: I64,
    percentile: float,
) -> list[float]:
    """Return the percentile of each layer's activations above zero, on up to 1000 of ``ids``.

    Raises InputError for a layer that is never active.
    """
    torch.set_num_threads(1)  # as for training: the same bits on any machine of a kind
    chosen = ids[np.unique(np.linspace(0, len(ids) - 1, min(len(ids), _MOST_SAMPLES)).astype(int))]
    weights, found = matrices(network.layout, torch.from_numpy(params)), list[list[F32]]()
    for start in range(0, len(chosen), _BATCH):
        pixels = feed(experiment, images).batch(chosen[start : start + _BATCH])
        with torch.no_grad():
            sent = network.activations(weights, torch.from_numpy(pixels))
        found.append([layer[layer > 0].numpy() for layer in sent])
    layers = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    for layer, active in zip(network.layers, layers, strict=True):
        if not len(active):
            raise InputError(
                f"{layer.name}: none of its neurons is active on {len(chosen)} training samples, "
                "and no rate can stand for it"
            )
    return [float(np.percentile(active, percentile)) for active in layers]
