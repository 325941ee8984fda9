"""Norms of what flows into neurons, over time.

T time bins, B batch, C channels. With x (T, B, C, ...) and the mean and variance over everything
but what is named, eps = 1e-4::

    bntt    over B and pixels, a norm for each bin, (T, C)   (Kim and Panda 2021, arXiv 2010.01729)
    batch   over T, B and pixels, (C,)                       (Zheng et al. 2021, arXiv 2011.05280)
    tebn    as batch, then times a trained factor (T,)       (Duan et al. 2022)
    group   over the channels of each of two groups and pixels, for each sample and bin; it has no
            statistics                                       (Wu and He 2018, arXiv 1803.08494)

    y = scale (x - mean) / sqrt(variance + eps) + shift = gain x + offset

A pass that learns uses the batch's mean and variance and moves the running ones a tenth of the way
(the variance unbiased, as torch does); others, and those whose norms are frozen, use the running
ones. Scale, shift and factor are sent whole, statistics averaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hpcfed.config import ModelConfig
from hpcfed.config.model import NORM_EPSILON, NORM_MOMENTUM
from hpcfed.networks.contract import Kernels, Pass

_GROUPS = 2
_BY_BIN = 3  # axes of (T, B, C) before pixels


@dataclass(frozen=True)
class Norm:
    """A norm of one batch.

    Attributes:
        gain, offset: (T or 1, B or 1, C).
        statistics: new ones by part.
        moments: mean and variance (T, B or 1, C) of ``count`` values each, that gain and offset
            follow from; None where they follow from weights alone.
    """

    gain: Tensor
    offset: Tensor
    statistics: Mapping[str, Tensor] = field(default_factory=dict)
    moments: tuple[Tensor, Tensor] | None = None
    count: int = 1


def norm(
    model: ModelConfig, name: str, weights: Mapping[str, Tensor], x: Tensor, call: Pass
) -> Norm:
    """Return the norm of layer ``name`` for what flows into it, x (T, B, C, ...)."""
    statistics: dict[str, Tensor] = {}
    moments, count = None, 1
    if model.norm == "group" or (call.learn and not call.frozen):
        moments, count = _moments(x, _groups(model, x), call.kernels)
        mean, variance = _spread(moments, x) if model.norm == "group" else moments
        if model.norm in ("batch", "tebn"):  # all bins are equally many
            overall = mean.mean(0, keepdim=True)
            variance = (variance + (mean - overall).square()).mean(0, keepdim=True)
            mean = overall
        if model.norm != "group":
            statistics = _moved(name, weights, mean, variance, x.numel() // mean.numel())
    else:
        mean, variance = (_by_bin(weights[f"{name}.{what}"]) for what in ("mean", "variance"))
    gain = _by_bin(weights[f"{name}.scale"]) * torch.rsqrt(variance + NORM_EPSILON)
    offset = -mean * gain
    if f"{name}.shift" in weights:
        offset = offset + _by_bin(weights[f"{name}.shift"])
    if model.norm == "tebn":
        factor = weights[f"{name}.factor"].view(-1, 1, 1)
        gain, offset = gain * factor, offset * factor
    return Norm(gain, offset, statistics, moments, count)


def applied(x: Tensor, found: Norm | None) -> Tensor:
    """Return x (T, B, C, ...) normed."""
    if found is None:
        return x
    normed: Tensor = _Applied.apply(x, found.gain, found.offset, found)  # type: ignore[no-untyped-call]
    return normed


def affine(x: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """Return gain x + offset for x (T, B, C, ...)."""
    return torch.addcmul(beside(offset, x), x, beside(gain, x))


def through_moments(found: Norm, x: Tensor, change: Tensor, of_norm: tuple[Tensor, Tensor]) -> None:
    """Add to ``change``, the gradient of x (T, B, C, ...), what comes through mean and variance.

    ``of_norm`` are the gradients of gain and offset. Done in place: a gradient of its own would be
    as large as x, and so would be the sum.
    """
    if found.moments is None:
        return
    slope, rest = of_moments(found, of_norm)
    x, change = (_parted(values, slope.shape[2]) for values in (x, change))
    change.addcmul_(x, _over(slope, x)).add_(_over(rest, x))


def of_moments(found: Norm, of_norm: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return slope and rest of what comes through mean and variance, slope x + rest.

    Both (T, B or 1, C or groups), from the gradients of gain and offset.
    """
    assert found.moments is not None
    of_mean, of_variance = torch.autograd.grad(
        (found.gain, found.offset), found.moments, of_norm, retain_graph=True
    )
    slope = 2 / found.count * of_variance
    return slope, of_mean / found.count - slope * found.moments[0].detach()


def beside(values: Tensor, x: Tensor) -> Tensor:
    """Return (T or 1, B or 1, C) with an axis for each of x (T, B, C, ...)."""
    return values.reshape(*values.shape, *(1,) * (x.dim() - _BY_BIN))


def _by_bin(values: Tensor) -> Tensor:
    """Return (T, C) or (C,) as (T or 1, 1, C)."""
    return values.reshape(-1, 1, values.shape[-1])


def _groups(model: ModelConfig, x: Tensor) -> int:
    """Return how many groups of channels have moments of their own; 0: each channel, no sample."""
    if model.norm != "group":
        return 0
    return _GROUPS if x.shape[2] % _GROUPS == 0 else 1


def _parted(x: Tensor, groups: int) -> Tensor:
    """Return x (T, B, C, ...) as (T, B, groups, C / groups, ...)."""
    return x.unflatten(2, (groups, x.shape[2] // groups))  # type: ignore[no-untyped-call, no-any-return]


def _over(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(*values.shape, *(1,) * (x.dim() - values.dim()))


def _spread(moments: tuple[Tensor, Tensor], x: Tensor) -> list[Tensor]:
    """Return moments (T, B, groups) for each channel: (T, B, C)."""
    return [one.repeat_interleave(x.shape[2] // one.shape[2], 2) for one in moments]


def _moved(
    name: str, weights: Mapping[str, Tensor], mean: Tensor, variance: Tensor, count: int
) -> dict[str, Tensor]:
    fair = variance.detach() * (count / max(1, count - 1))
    found = {}
    for what, new in (("mean", mean.detach()), ("variance", fair)):
        old = weights[f"{name}.{what}"].detach()
        found[f"{name}.{what}"] = torch.lerp(old, new.view_as(old), NORM_MOMENTUM)
    return found


def _moments(x: Tensor, groups: int, kernels: Kernels | None) -> tuple[tuple[Tensor, Tensor], int]:
    """Return mean and variance for each bin, and of how many values each is.

    They are of each channel, (T, 1, C), or, with ``groups``, of each sample and group,
    (T, B, groups); gradients are asked of them.
    """
    mean, variance = (_mean_and_variance if kernels is None else kernels.moments)(
        x.detach(), groups
    )
    count = x.numel() // mean.numel()
    return (mean.requires_grad_(), variance.requires_grad_()), count


def _mean_and_variance(x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    if groups:
        x = _parted(x, groups)
    axes = list(range(_BY_BIN, x.dim())) if groups else [1, *range(_BY_BIN, x.dim())]
    shape = (*x.shape[:2], groups) if groups else (len(x), 1, x.shape[2])
    mean, bins = x.mean(axes, keepdim=True), [axis - 1 for axis in axes]
    # bin by bin: the differences stay in the cache
    variances = [(one - middle).square_().mean(bins) for one, middle in zip(x, mean, strict=True)]
    return mean.view(shape), torch.stack(variances).view(shape)


# torch gives the contexts no type that knows our attributes: Any.
class _Applied(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, offset: Tensor, found: Norm) -> Tensor:
        ctx.save_for_backward(x)
        ctx.found = found
        return affine(x, gain, offset)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (x,), found = ctx.saved_tensors, ctx.found
        of_norm = of_gain_and_offset(x, gradients[0], found.gain)
        change = gradients[0] * beside(found.gain.detach(), x)
        through_moments(found, x, change, of_norm)
        return change, *of_norm, None


def of_gain_and_offset(x: Tensor, change: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of gain and offset, from that of gain x + offset (T, B, C, ...)."""
    pixels = list(range(_BY_BIN, x.dim()))
    axes = pixels if gain.shape[1] > 1 else [1, *pixels]
    of_gain, of_offset = (
        (values.sum(axes) if axes else values.clone()).reshape(len(x), -1, x.shape[2])
        for values in (change * x, change)
    )
    return of_gain.sum_to_size(gain.shape), of_offset.sum_to_size(gain.shape)
