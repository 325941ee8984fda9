"""From what flows into a layer to its spikes, keeping as little as possible for the way back.

T time bins, B batch, C channels. Of a layer only what flows in, x (T, B, C, ...), is kept; norm and
neurons are run again on the way back, in pieces that stay in the cache. Leaky neurons on a CPU have
compiled code (``leaky``); all others are differentiated by torch, piece by piece. The order of
operations in a piece is that of ``neurons``, so that what is computed again is the same. A device
may have kernels of its own (``contract.Kernels``): they keep potentials in the place of x.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hpcfed.config import ModelConfig
from hpcfed.config.model import LEAK
from hpcfed.networks.contract import Kernels
from hpcfed.networks.neurons import Neurons
from hpcfed.networks.norms import (
    Norm,
    affine,
    beside,
    of_gain_and_offset,
    of_moments,
    through_moments,
)

if TYPE_CHECKING:
    from hpcfed.networks.leaky import Leaky


_PIECE_BYTES = 1 << 20  # of one bin
_FLOATS: dict[torch.dtype, type[np.floating[Any]]] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
}


def fired(
    neurons: Neurons, x: Tensor, found: Norm | None, kernels: Kernels | None = None
) -> tuple[Tensor, Tensor]:
    """Return the spikes (T, B, C, ...) of neurons that x (T, B, C, ...), normed, flows into.

    And the same as booleans. ``kernels`` are those of the device, if it has some.
    """
    if found is None:
        shape = (1, 1, x.shape[2])
        dtype = torch.promote_types(x.dtype, torch.float32)
        found = Norm(x.new_ones(shape, dtype=dtype), x.new_zeros(shape, dtype=dtype))
    if kernels is not None:
        sent: tuple[Tensor, Tensor] = _OnDevice.apply(x, found.gain, found.offset, found, kernels)  # type: ignore[no-untyped-call]
        return sent
    kind, how = (_Leaky, neurons.model) if _has_kernel(neurons.model, x) else (_Remade, neurons)
    spikes, flags = kind.apply(x, found.gain, found.offset, found, how)  # type: ignore[no-untyped-call]
    return spikes, flags


def _has_kernel(model: ModelConfig, x: Tensor) -> bool:
    known = model.neuron == "leaky" and model.surrogate in ("superspike", "triangle")
    return known and not x.is_cuda


# torch gives the contexts no type that knows our attributes: Any.
class _Remade(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, offset: Tensor, found: Norm, neurons: Neurons
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, gain, offset)
        ctx.neurons, ctx.found, spikes = neurons, found, torch.empty_like(x)
        for piece in _pieces(x):
            spikes[:, piece] = neurons.spikes(_normed(x, gain, offset, piece), None)
        flags = spikes.bool()
        ctx.mark_non_differentiable(flags)
        return spikes, flags

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        x, gain, offset = ctx.saved_tensors
        change = torch.empty_like(x)
        for piece in _pieces(x):
            normed = _normed(x, gain, offset, piece).requires_grad_()
            with torch.enable_grad():
                spikes = ctx.neurons.spikes(normed, None)
            (change[:, piece],) = torch.autograd.grad(spikes, normed, gradients[0][:, piece])
        of_norm = of_gain_and_offset(x, change, gain)
        change.mul_(beside(gain, x))
        through_moments(ctx.found, x, change, of_norm)
        return change, *of_norm, None, None


class _Leaky(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, offset: Tensor, found: Norm, model: ModelConfig
    ) -> tuple[Tensor, Tensor]:
        from hpcfed.networks import leaky

        ctx.save_for_backward(x, gain, offset)
        ctx.model, ctx.found = model, found
        spikes = torch.empty_like(_rows_first(x))
        gains, offsets = _by_bin(gain, len(x)), _by_bin(offset, len(x))
        neuron = constants(model, x.dtype)
        flags = torch.empty_like(spikes, dtype=torch.bool)
        leaky.fire(_flat(_rows_first(x)), gains, offsets, neuron, _flat(spikes), _flat(flags))
        ctx.mark_non_differentiable(flags)
        return _channels_second(spikes), _channels_second(flags)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        from hpcfed.networks import leaky

        x, gain, offset = ctx.saved_tensors
        change = torch.empty_like(_rows_first(x))
        gains, offsets = _by_bin(gain, len(x)), _by_bin(offset, len(x))
        sums = np.zeros((2, *gains.shape), gains.dtype)
        leaky.fire_back(
            _flat(_rows_first(x)),
            gains,
            offsets,
            constants(ctx.model, x.dtype),
            _flat(_rows_first(gradients[0])), _flat(change), sums,
        )  # fmt: skip
        of_gain, of_offset = (torch.from_numpy(part).sum_to_size(gain.shape) for part in sums)
        returned = _channels_second(change)
        through_moments(ctx.found, x, returned, (of_gain, of_offset))
        return returned, of_gain, of_offset, None, None


class _OnDevice(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, gain: Tensor, offset: Tensor, found: Norm, kernels: Kernels
    ) -> tuple[Tensor, Tensor]:
        spikes, flags, potentials = kernels.fire(x, gain, offset)
        ctx.save_for_backward(potentials, gain, offset)
        ctx.kernels, ctx.found = kernels, found
        ctx.mark_non_differentiable(flags)
        return spikes, flags

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        kept = ctx.saved_tensors
        returned, of_gain, of_offset = ctx.kernels.fire_back(*kept, gradients[0])
        if ctx.found.moments is not None:
            ctx.kernels.add_inflow(returned, kept, *of_moments(ctx.found, (of_gain, of_offset)))
        return returned, of_gain, of_offset, None, None


def _pieces(x: Tensor) -> list[slice]:
    each = x[0, :1].numel() * x.element_size()
    length = x.shape[1] if x.is_cuda else max(1, _PIECE_BYTES // max(1, each))
    return [slice(start, start + length) for start in range(0, x.shape[1], length)]


def _normed(x: Tensor, gain: Tensor, offset: Tensor, piece: slice) -> Tensor:
    own = piece if gain.shape[1] > 1 else slice(None)
    return affine(x[:, piece], gain[:, own], offset[:, own])


def _rows_first(x: Tensor) -> Tensor:
    """Return (T, B, C, ...) as contiguous (T, B, ..., C); pictures lie so already."""
    return x.movedim(2, -1).contiguous()


def _channels_second(x: Tensor) -> Tensor:
    return x.movedim(-1, 2)


def _flat(x: Tensor) -> np.ndarray[Any, Any]:
    """Return contiguous (T, B, ..., C) as (T, N, C), of the same memory."""
    return x.detach().view(len(x), prod(x.shape[1:-1]), x.shape[-1]).numpy()


def _by_bin(values: Tensor, num_bins: int) -> np.ndarray[Any, Any]:
    """Return (T or 1, B or 1, C) as contiguous (T, B or 1, C)."""
    return values.detach().expand(num_bins, *values.shape[1:]).contiguous().numpy()


def constants(model: ModelConfig, dtype: torch.dtype) -> Leaky:
    """Return the constants of leaky neurons, for kernels of a dtype."""
    from hpcfed.networks.leaky import Leaky

    real = _FLOATS[dtype]
    reset = model.reset or "subtract"
    return Leaky(
        leak=real(LEAK if model.leak is None else model.leak),
        threshold=real(model.threshold),
        subtract=real(reset == "subtract"),
        to_zero=real(reset == "zero"),
        full=real(model.reset_gradient == "full"),
        slope=real(model.surrogate_slope),
        scale=real(1.0 if model.surrogate_scale is None else model.surrogate_scale),
        one=real(1.0),
        zero=real(0.0),
        triangle=model.surrogate == "triangle",
        delay=int(bool(model.fire_first)),
    )
