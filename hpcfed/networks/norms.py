"""Norms of what flows into neurons, over time.

T time bins, B batch, C channels. With x (T, B, C, ...) and the mean and variance over everything
but what is named, eps = 1e-4::

    bntt    over B and pixels, a norm for each bin, (T, C)   (Kim and Panda 2021, arXiv 2010.01729)
    batch   over T, B and pixels, (C,)                       (Zheng et al. 2021, arXiv 2011.05280)
    tebn    as batch, then times a trained factor (T,)       (Duan et al. 2022)
    group   over the channels of each of two groups and pixels, for each sample and bin; it has no
            statistics                                       (Wu and He 2018, arXiv 1803.08494)

    y = scale (x - mean) / sqrt(variance + eps) + shift

A pass that learns uses the batch's mean and variance and moves the running ones a tenth of the way
(the variance unbiased, as torch does); others use the running ones. Scale, shift and factor are
sent whole, statistics averaged.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import group_norm

from hpcfed.config import ModelConfig

EPSILON, MOMENTUM = 1e-4, 0.1
_GROUPS = 2
_BY_BIN = 3  # axes of (T, B, C) before pixels

Normed = tuple[Tensor, dict[str, Tensor]]


def normed(
    model: ModelConfig, name: str, weights: Mapping[str, Tensor], x: Tensor, learn: bool
) -> Normed:
    """Return x (T, B, C, ...) normed, and the new statistics of layer ``name`` by part."""
    if model.norm in (None, "none"):
        return x, {}
    scale, shift = weights[f"{name}.scale"], weights.get(f"{name}.shift")
    if model.norm == "group":
        groups = _GROUPS if x.shape[2] % _GROUPS == 0 else 1
        return group_norm(x.flatten(0, 1), groups, scale, shift, EPSILON).view_as(x), {}
    axes = [axis for axis in range(x.dim()) if axis != 2 and (axis or model.norm != "bntt")]
    statistics = {}
    if learn:
        mean, variance = x.mean(axes), x.var(axes, correction=0)
        count = x.numel() // mean.numel()
        fair = variance * (count / max(1, count - 1))
        statistics = {
            f"{name}.{what}": torch.lerp(weights[f"{name}.{what}"], new.detach(), MOMENTUM)
            for what, new in (("mean", mean), ("variance", fair))
        }
    else:
        mean, variance = weights[f"{name}.mean"], weights[f"{name}.variance"]
    gain = scale * torch.rsqrt(variance + EPSILON)
    offset = -mean * gain if shift is None else shift - mean * gain
    y = torch.addcmul(_spread(offset, x), x, _spread(gain, x))
    if model.norm == "tebn":
        y = y * weights[f"{name}.factor"].view(-1, *(1,) * (x.dim() - 1))
    return y, statistics


def _spread(values: Tensor, x: Tensor) -> Tensor:
    """Return (T, C) or (C,) as (T or 1, 1, C, 1, ...) beside x."""
    ones = (1,) * (x.dim() - _BY_BIN)
    by_bin = values.shape[0] if values.dim() > 1 else 1
    return values.reshape(by_bin, 1, x.shape[2], *ones)
