"""A signal's way through the layers of a network, all time bins at once.

T time bins, B batch, C channels, H neurons. What differs between a spiking network and an ANN is
what a layer does with what flows in: ``Fire``.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import product
from typing import Any  # Any: a state of neurons is theirs

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, pad

from hpcfed.base.seeds import threshold
from hpcfed.config import ModelConfig
from hpcfed.config.stack import (
    Convolution,
    Dense,
    Dropout,
    Pool,
    Repeated,
    Residual,
    Separable,
)
from hpcfed.networks.contract import Activity, Pass
from hpcfed.networks.convolution import CHANNELS_LAST, convolve
from hpcfed.networks.norms import Norm, applied, norm
from hpcfed.networks.stack import Stage, has_norm

# what flows in (T, B, ...), its norm, and the recurrent weights (H, H) if there are any: what is
# sent, and the same as booleans where it is spikes
Fire = Callable[[Tensor, Norm | None, Tensor | None], tuple[Tensor, Tensor | None]]
# the same of neurons that go on from a state, or begin (None): what is sent, and their state
GoOn = Callable[[Tensor, Norm | None, Any], tuple[Tensor, Any]]

_SMALL = 4  # up to this size a GPU adds parts of pictures faster than torch averages squares


@dataclass
class Passage:
    """One forward pass through the layers, and what it has left so far.

    Attributes:
        last: the newest spikes, and the same as booleans.
    """

    model: ModelConfig
    weights: Mapping[str, Tensor]
    call: Pass
    fire: Fire
    go_on: GoOn | None = None
    spikes: list[Tensor] = field(default_factory=list)
    statistics: dict[str, Tensor] = field(default_factory=dict)
    entering: dict[str, Tensor] = field(default_factory=dict)
    last: tuple[Tensor, Tensor] | None = None

    def through(self, stages: Sequence[Stage], signal: Tensor) -> Tensor:
        """Return what comes out of ``stages`` for ``signal`` (T, B, ...)."""
        for stage in stages:
            match stage.spec:
                case Pool():
                    signal = pooled(stage.spec, signal)
                case Dropout(probability):
                    signal = self._dropped(signal, probability)
                case Residual():
                    signal = self._block(stage, signal)
                case Repeated():
                    signal = self._repeated(stage, signal)
                case _:
                    signal = self._layer(stage, signal)
        return signal

    def readout(self, signal: Tensor) -> Tensor:
        """Return ``signal`` (T, B, ...) as (T, B, H), which enters the readout."""
        self._enter("readout", signal)
        return signal.flatten(2).to(self.weights["readout"].dtype)

    def activity(self, logits: Tensor) -> Activity:
        """Return what the pass gives, with its ``logits`` (B, K)."""
        return Activity(logits, self.spikes, self.statistics, self.entering)

    def _block(self, stage: Stage, signal: Tensor) -> Tensor:
        *before, last = stage.body
        inner = self.through(before, signal)
        if self.model.residual == "spike-add":
            sent, short = self._layer(last, inner), stage.shortcut
            return sent + (signal if short is None else self._layer(short, signal))
        drive = applied(*self._driven(last, inner))
        if stage.shortcut is not None:
            signal = applied(*self._driven(stage.shortcut, signal))
        return self._fired(last, drive + signal, None)

    def _repeated(self, stage: Stage, signal: Tensor) -> Tensor:
        """Return what neurons send after the last iteration: Euler's steps of z' = f(s, t).

        z = z + h f(s, k / C), s = fire(z) for k = 0 .. C - 1, with z and s what comes in at first.
        """
        config = self.model.repetition
        depth = self.call.depth or config.evaluated_depth
        step, stream, states = config.step_of(depth), signal, dict[str, Any]()
        *before, last = stage.body
        for k in range(depth):
            time = k / depth if config.has_time else None
            kept, self.spikes = self.spikes, []
            for layer in before:
                signal = self._fired_on(layer, *self._driven(layer, signal, time), states)
            drive = applied(*self._driven(last, signal, time))
            stream = stream + (drive if step == 1 else step * drive)
            signal = self._fired_on(last, stream, None, states)
            self.spikes = kept + (self.spikes if k + 1 == depth else [])
        return signal

    def _layer(self, stage: Stage, signal: Tensor) -> Tensor:
        return self._fired(stage, *self._driven(stage, signal))

    def _driven(
        self, stage: Stage, signal: Tensor, time: float | None = None
    ) -> tuple[Tensor, Norm | None]:
        """Return what flows into the neurons of ``stage``, (T, B, *stage.output), and its norm.

        With a ``time`` the last of its input's channels is that everywhere.
        """
        drive = self._multiplied(stage, signal, time)
        if not has_norm(self.model, stage):
            return drive, None
        newest = ChainMap(self.statistics, dict(self.weights))
        found = norm(self.model, stage.name, newest, drive, self.call)
        self.statistics |= found.statistics
        return drive, found

    def _multiplied(self, stage: Stage, signal: Tensor, time: float | None) -> Tensor:
        if isinstance(stage.spec, Dense):
            (name,) = (factor.name for factor in stage.factors)
            instant = None if time is None else signal.new_full((1,), time)
            self._enter(name, signal, instant)
            weight = self.weights[name]
            if time is None:
                return project(signal.flatten(2), weight)
            weight, late = weight[..., :-1], weight[..., None, :, -1]
            return project(signal.flatten(2), weight) + time * late
        instant = None if time is None else signal.new_full((1, 1, 1, *signal.shape[3:]), time)
        for factor, spec in zip(stage.factors, _convolutions(stage), strict=True):
            self._enter(factor.name, signal, instant)
            signal, instant = self._convolved(factor.name, spec, signal, instant)
        return signal if instant is None else signal + instant

    def _convolved(
        self, name: str, spec: Convolution, signal: Tensor, instant: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the convolutions of a signal, and of the time that is its last channel.

        That is the same in all bins and samples, (1, 1, ...), and has no cost.
        """
        weight, own = self.weights[name], spec
        if instant is not None and spec.groups == 1:
            weight, late = weight[:, :-1], weight[:, -1:]
        elif instant is not None:
            weight, late = weight[:-1], weight[-1:]
            own = spec._replace(groups=spec.groups - 1, channels=spec.channels - 1)
        compact = self.last[1] if self.last is not None and self.last[0] is signal else signal
        found = convolve(signal.flatten(0, 1), weight, own, compact.flatten(0, 1))
        if instant is not None:
            instant = conv2d(instant[0], late, stride=spec.stride, padding=spec.padding)[None]
        return _over_bins(found, signal), instant

    def _fired(self, stage: Stage, drive: Tensor, found: Norm | None) -> Tensor:
        name = f"{stage.name}.recurrent"
        signal, flags = self.fire(drive, found, self.weights.get(name))
        if name in self.weights:
            self._enter(name, signal)
        if flags is not None:
            self._sent(signal, flags)
        return signal

    def _fired_on(
        self, stage: Stage, drive: Tensor, found: Norm | None, states: dict[str, Any]
    ) -> Tensor:
        """Do the same with neurons that may go on from where ``states`` has them."""
        if self.go_on is None:
            return self._fired(stage, drive, found)
        signal, states[stage.name] = self.go_on(drive, found, states.get(stage.name))
        self._sent(signal, signal.detach().bool())
        return signal

    def _sent(self, signal: Tensor, flags: Tensor) -> None:
        self.last = signal, flags
        self.spikes.append(signal if self.call.rates else flags)

    def _dropped(self, signal: Tensor, probability: float) -> Tensor:
        """Leave values out (Srivastava et al. 2014), by a word each."""
        if not self.call.learn or self.call.words is None:
            return signal
        words = self.call.words(signal.numel()) >= np.uint64(threshold(probability))
        kept = torch.from_numpy(words).view(signal.shape).to(signal.device)
        return signal * kept / (1 - probability)

    def _enter(self, name: str, signal: Tensor, instant: Tensor | None = None) -> None:
        """Count what enters weights, and a channel that is ``instant`` in each bin and sample."""
        if self.call.learn:
            return
        if self.last is not None and self.last[0] is signal:  # spikes: each counts as one
            number = num_spikes(self.last[1]).sum().double()
            found = torch.stack([number, number])
        else:
            total = signal.abs().sum(dtype=torch.float64)
            found = torch.stack([signal.count_nonzero().double(), total])
        if instant is not None:
            values = instant.double().abs()
            once = torch.stack([values.count_nonzero().double(), values.sum()])
            found = found + signal.shape[0] * signal.shape[1] * once
        self.entering[name] = self.entering[name] + found if name in self.entering else found


def _convolutions(stage: Stage) -> tuple[Convolution, ...]:
    """Return the convolutions that a stage is, one after the other."""
    spec = stage.spec
    if isinstance(spec, Separable):
        seen = stage.input[0]
        within = Convolution(seen, spec.kernel, spec.stride, spec.padding, seen)
        return within, Convolution(spec.channels, 1, 1, 0, 1)
    assert isinstance(spec, Convolution)
    return (spec,)


def pooled(pool: Pool, signal: Tensor) -> Tensor:
    """Return ``signal`` (T, B, C, H, W) pooled."""
    if pool.size == 0:
        return signal.mean((-2, -1), keepdim=True)
    folded = signal.flatten(0, 1)
    maxima = max_pool2d if signal.device.type == "cpu" else highest
    pooling = maxima if pool.maximum else _Averaged.apply
    found: Tensor = pooling(folded, pool.size)
    return _over_bins(found, signal)


def highest(signal: Tensor, size: int) -> Tensor:
    """Return the maxima of ``signal`` (N, C, H, W) over squares, as ``max_pool2d``.

    On GPUs the gradient of torch's own has no fixed order of additions.
    """
    found: Tensor = _Highest.apply(signal, size)  # type: ignore[no-untyped-call]
    return found


def mean_of_parts(signal: Tensor, size: int) -> Tensor:
    """Return the means of ``signal`` (N, C, H, W) over squares, as ``avg_pool2d``.

    It adds in the signal's dtype: in bfloat16 spikes are exact, other values are rounded each time.
    """
    height, width = (length // size * size for length in signal.shape[2:])
    places = product(range(size), repeat=2)
    parts = [signal[:, :, row:height:size, column:width:size] for row, column in places]
    return reduce(torch.add, parts) / size**2


def spikes_of_neurons(layers: Sequence[Tensor]) -> NDArray[np.int64] | None:
    """Return how many spikes each neuron of all layers (T, B, ...) has: (N,); None of no layer."""
    if not layers:
        return None
    fired = [layer.detach().bool().sum((0, 1)).flatten().cpu().numpy() for layer in layers]
    return np.concatenate(fired).astype(np.int64)


def num_spikes(spikes: Tensor) -> Tensor:
    """Return how many spikes each sample of (T, B, ...) has: (B,) int64, on the same device."""
    flat = spikes.detach().bool().movedim(2, -1).flatten(2)  # as pictures lie in memory
    if flat.shape[2] % 8:
        flat = pad(flat, (0, -flat.shape[2] % 8))
    elif not flat.is_contiguous() or flat.storage_offset() % 8:
        flat = flat.clone(memory_format=torch.contiguous_format)
    # eight flags are one number, and the bytes of 255 such numbers add up one by one: torch would
    # make each flag a number first
    eights = torch.split(flat.view(torch.int64), 255)
    return torch.stack([part.sum(0).view(torch.uint8).sum(1) for part in eights]).sum(0)


def project(signal: Tensor, weight: Tensor) -> Tensor:
    """Return ``signal`` (T, B, C) times ``weight`` (H, C) transposed: (T, B, H), one product.

    The weights may be others in each bin, (T, H, C). The product has the signal's dtype.
    """
    weight = weight.to(signal.dtype)
    if weight.dim() == signal.dim():
        return torch.bmm(signal, weight.transpose(1, 2))
    num_bins, batch, channels = signal.shape
    return (signal.reshape(num_bins * batch, channels) @ weight.t()).view(num_bins, batch, -1)


def _over_bins(found: Tensor, signal: Tensor) -> Tensor:
    """Return ``found`` (T B, ...) as (T, B, ...), as ``signal`` has them; a view."""
    return found.view(*signal.shape[:2], *found.shape[1:])


def _spread(values: Tensor, size: int, shape: torch.Size) -> Tensor:
    """Return squares' values (N, C, H', W', size, size) as (N, C, H, W), zero beyond them."""
    number, channels, height, width = values.shape[:4]
    whole = values.permute(0, 2, 4, 3, 5, 1)
    whole = whole.reshape(number, height * size, width * size, channels).movedim(-1, 1)
    rest = [shape[axis] - whole.shape[axis] for axis in (3, 2)]
    return pad(whole, (0, rest[0], 0, rest[1])) if any(rest) else whole


# torch gives the contexts no type that knows our attributes: Any.
class _Highest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, signal: Tensor, size: int) -> Tensor:
        squares = signal.unfold(2, size, size).unfold(3, size, size)
        found, place = squares.flatten(4).max(-1)
        ctx.save_for_backward(place.to(torch.int16))
        ctx.shape, ctx.size = signal.shape, size
        return found.contiguous(memory_format=CHANNELS_LAST)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (place,), size = ctx.saved_tensors, ctx.size
        each = torch.arange(size**2, dtype=place.dtype, device=place.device)
        values = gradients[0][..., None] * (place[..., None] == each)
        return _spread(values.unflatten(-1, (size, size)), size, ctx.shape), None


class _Averaged(torch.autograd.Function):
    """Averages over squares; unlike torch's it keeps nothing of its input (N, C, H, W)."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, size: int) -> Tensor:
        ctx.shape, ctx.size = signal.shape, size
        if signal.device.type == "cpu" or size > _SMALL:
            return avg_pool2d(signal, size)
        return mean_of_parts(signal, size)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        size, part = ctx.size, gradients[0] / ctx.size**2
        squares = part[..., None, None].expand(*part.shape, size, size)
        return _spread(squares, size, ctx.shape), None
