"""The optimisers of local training on the kernels' flat vectors; the numbers of ``optimisers``."""

from __future__ import annotations

import math

import numpy as np

from hpcfed.base.compiled import inner
from hpcfed.learning.constants import Optimiser, Reals

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Kingma and Ba 2015, arXiv 1412.6980


@inner
def adjust(optimiser: Optimiser, weights: Reals, received: Reals, gradient: Reals) -> None:
    """Add the proximal term, clip the norm, add the weight decay: in this order, in place."""
    if optimiser.proximal > 0:
        for k in range(len(weights)):
            gradient[k] += optimiser.proximal * (weights[k] - received[k])
    if optimiser.clip_norm > 0:
        squares = 0.0
        for k in range(len(weights)):
            squares += np.float64(gradient[k]) * np.float64(gradient[k])
        factor = gradient.dtype.type(min(1.0, float(optimiser.clip_norm) / math.sqrt(squares)))
        for k in range(len(weights)):
            gradient[k] *= factor
    if optimiser.weight_decay > 0:
        for k in range(len(weights)):
            gradient[k] += optimiser.weight_decay * weights[k]


@inner
def optimise(
    optimiser: Optimiser,
    step: int,
    weights: Reals,
    gradient: Reals,
    first: Reals,
    second: Reals,
) -> None:
    """Take step number ``step``, from 1, with the gradient; leaves it zero.

    Before the first step the moments are zero whatever ``first`` and ``second`` hold: with as many
    weights as these, each pass over memory counts.
    """
    real, zero, fresh = weights.dtype.type, weights.dtype.type(0), step == 1
    if not optimiser.adam:
        for k in range(len(weights)):
            old = zero if fresh else first[k]
            first[k] = optimiser.momentum * old + gradient[k]
            weights[k] -= optimiser.rate * first[k]
            gradient[k] = zero
        return
    rate = real(optimiser.rate / (1 - _BETA1**step))
    correction = real(1 / math.sqrt(1 - _BETA2**step))
    new1, old2, new2, epsilon = real(1 - _BETA1), real(_BETA2), real(1 - _BETA2), real(_EPSILON)
    for k in range(len(weights)):
        slope = gradient[k]
        mean, square = (zero, zero) if fresh else (first[k], second[k])
        mean += new1 * (slope - mean)
        square = old2 * square + new2 * slope * slope
        weights[k] -= rate * mean / (np.sqrt(square) * correction + epsilon)
        first[k], second[k] = mean, square
        gradient[k] = zero
