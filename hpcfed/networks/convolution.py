"""Convolutions of many samples and bins, in pieces that stay in the processor's cache.

N samples times bins, C channels. On a CPU all of them at once take twice as long: what one layer
writes has left the cache when the next reads it, and half a step goes into fresh pages. Pictures
lie with their channels last in memory (torch.channels_last), as the convolutions of CPUs and GPUs
want them. What is kept for the backward pass are the inputs, spikes as one byte each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from hpcfed.config.stack import Convolution

CHANNELS_LAST = torch.channels_last
PIECE_BYTES = 16 << 20  # inputs and outputs of one piece


def convolve(signal: Tensor, weight: Tensor, spec: Convolution, kept: Tensor) -> Tensor:
    """Return the convolution of ``signal`` (N, C, H, W): (N, channels, H', W'), of its dtype.

    ``kept``, the signal itself or the same as booleans, is what is kept for the way back.
    """
    found: Tensor = _Convolved.apply(signal, weight, spec, kept)  # type: ignore[no-untyped-call]
    return found


# torch gives the contexts no type that knows our attributes: Any.
class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, signal: Tensor, weight: Tensor, spec: Convolution, kept: Tensor
    ) -> Tensor:
        weight = weight.to(signal.dtype).contiguous(memory_format=CHANNELS_LAST)
        ctx.save_for_backward(kept, weight)
        ctx.spec, ctx.dtype = spec, signal.dtype
        if signal.device.type != "cpu":
            return _convolution(signal, weight, spec)
        place = [(side + 2 * spec.padding - spec.kernel) // spec.stride + 1
                 for side in signal.shape[2:]]  # fmt: skip
        found = _empty((len(signal), spec.channels, *place), signal)
        for piece in _pieces(signal, found):
            found[piece] = _convolution(signal[piece], weight, spec)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        signal, weight = ctx.saved_tensors
        spec, needed, (gradient,) = ctx.spec, ctx.needs_input_grad[0], gradients
        gradient = gradient.contiguous(memory_format=CHANNELS_LAST)

        def back(piece: slice) -> Sequence[Tensor]:
            found: Sequence[Tensor] = torch.ops.aten.convolution_backward(
                gradient[piece], signal[piece].to(ctx.dtype), weight, None,
                [spec.stride] * 2, [spec.padding] * 2, [1, 1], False, [0, 0], spec.groups,
                [needed, True, False],
            )  # fmt: skip
            return found

        if signal.device.type != "cpu":
            inner, outer, _ = back(slice(None))
            return inner, outer, None, None
        before = _empty(signal.shape, gradient) if needed else None
        total = torch.zeros_like(weight)
        for piece in _pieces(signal, gradient):
            inner, outer, _ = back(piece)
            total += outer
            if before is not None:
                before[piece] = inner
        return before, total, None, None


def _convolution(signal: Tensor, weight: Tensor, spec: Convolution) -> Tensor:
    found: Tensor = conv2d(
        signal, weight, stride=spec.stride, padding=spec.padding, groups=spec.groups
    )
    return found


def _empty(shape: Sequence[int], like: Tensor) -> Tensor:
    """Return a tensor of ``shape`` (N, C, H, W), channels last."""
    number, *sides = shape
    return like.new_empty((number, *sides[1:], sides[0])).movedim(-1, 1)


def _pieces(signal: Tensor, found: Tensor) -> list[slice]:
    each = (signal[:1].numel() + found[:1].numel()) * found.element_size()
    length = max(1, PIECE_BYTES // max(1, each))
    return [slice(start, start + length) for start in range(0, len(signal), length)]
