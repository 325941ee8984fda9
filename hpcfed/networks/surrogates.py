"""Derivatives that stand in for a spike's."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

with warnings.catch_warnings():  # importing norse compiles with torch.jit, which torch deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from norse.torch.functional.threshold import heavi_circ_fn, heavi_erfc_fn, heavi_tanh_fn


def surrogate(name: str, slope: float, scale: float | None = None) -> Callable[[Tensor], Tensor]:
    """Return the step function [x > 0] of a distance x, with the derivative of that name.

    With s the slope:

    - ``superspike``  1 / (1 + s |x|)^2  (Zenke and Ganguli 2018, doi:10.1162/neco_a_01086)
    - ``triangle``    max(0, 1 - s |x|)  (Esser et al. 2016, doi:10.1073/pnas.1604850113; norse's
      is s max(0, 1 - |x|): its parameter is a height, not a slope)
    - ``tanh``        1 - tanh(s x)^2
    - ``circ``        (1 + (s x)^2)^(-3/2): norse's with a width of 1/s
    - ``heavi_erfc``  (2 / sqrt(pi)) exp(-(s x)^2): its peak is 1.128, the others' 1

    and times ``scale``, where it is given.
    """
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "superspike": lambda x: _spike(_SuperSpike, x, slope),
        "triangle": lambda x: _spike(_Triangle, x, slope),
        "tanh": lambda x: heavi_tanh_fn(x, slope),
        "circ": lambda x: heavi_circ_fn(x, 1 / slope),
        "heavi_erfc": lambda x: heavi_erfc_fn(x, slope),
    }
    step = functions[name]
    return step if scale is None else lambda x: step(_scaled(x, scale))


def _scaled(x: Tensor, scale: float) -> Tensor:
    scaled: Tensor = _Scaled.apply(x, scale)  # type: ignore[no-untyped-call]
    return scaled


def _spike(kind: type[torch.autograd.Function], distance: Tensor, slope: float) -> Tensor:
    spikes: Tensor = kind.apply(distance, slope)  # type: ignore[no-untyped-call]
    return spikes


# torch gives the contexts no type that knows our attributes: Any.
class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, distance: Tensor, slope: float) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.slope = slope
        return (distance > 0).to(distance.dtype)


class _SuperSpike(_Spike):
    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return gradients[0] / (1 + ctx.slope * distance.abs()).square(), None


class _Triangle(_Spike):
    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return gradients[0] * torch.relu(1 - ctx.slope * distance.abs()), None


class _Scaled(torch.autograd.Function):
    """x, whose gradient is multiplied."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.scale * gradients[0], None
