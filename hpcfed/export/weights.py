"""A layer's weights as NIR has them: with its norm in them, and without groups.

C channels, T time bins. A norm that uses averaged statistics is y = gain x + offset, with gain and
offset for each channel: the weights become gain W and the offset a bias. Norms with another gain in
each bin have no such weights. NIR counts a convolution's input channels by its weights, so that
one in groups is written as a whole one whose other weights are zero.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.model import NORM_EPSILON, ModelConfig
from hpcfed.errors import InputError
from hpcfed.networks.stack import Stage, has_norm

F64 = NDArray[np.float64]
Arrays = Mapping[str, NDArray[np.floating]]


def folded(
    model: ModelConfig, stage: Stage, arrays: Arrays, factor: float
) -> tuple[list[F64], F64 | None]:
    """Return the weights of each product of ``stage``, of ``factor`` times its input, and a bias.

    Those of the last are (C, ...) with the norm in them, and the bias is (C,); None without a norm.
    Raises InputError for a norm that differs from bin to bin.
    """
    weights = [np.asarray(arrays[one.name], np.float64) for one in stage.factors]
    weights[0] = weights[0] * factor
    if not has_norm(model, stage):
        return weights, None
    gain, offset = _norm(model, stage.name, arrays)
    last = weights[-1]
    weights[-1] = gain.reshape(-1, *(1,) * (last.ndim - 1)) * last
    return weights, offset


def whole(weight: F64, channels: int) -> F64:
    """Return the weights (out, channels, ...) of a convolution in groups as those of one in none.

    In groups they are (out, channels / groups, ...).
    """
    groups = channels // weight.shape[1]
    if groups == 1:
        return weight
    found = np.zeros((len(weight), channels, *weight.shape[2:]))
    for number, part in enumerate(np.split(weight, groups)):
        rows = slice(number * len(part), (number + 1) * len(part))
        found[rows, number * weight.shape[1] : (number + 1) * weight.shape[1]] = part
    return found


def _norm(model: ModelConfig, name: str, arrays: Arrays) -> tuple[F64, F64]:
    """Return gain and offset (C,) of the norm of the layer ``name``."""

    def part(what: str) -> F64:
        return np.atleast_2d(np.asarray(arrays[f"{name}.{what}"], np.float64))

    gain = part("scale") / np.sqrt(part("variance") + NORM_EPSILON)
    offset = -part("mean") * gain
    if f"{name}.shift" in arrays:
        offset = offset + part("shift")
    if f"{name}.factor" in arrays:
        gain, offset = gain * part("factor").T, offset * part("factor").T
    if (gain != gain[0]).any() or (offset != offset[0]).any():
        raise InputError(
            f'model.norm = "{model.norm}" is another one in each bin, and weights of NIR are '
            'constant; train with model.norm = "batch"'
        )
    return gain[0], offset[0]
