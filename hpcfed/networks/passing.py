"""A signal's way through the layers of a network, all time bins at once.

T time bins, B batch, C channels, H neurons. What differs between a spiking network and an ANN is
what a layer does with what flows in: ``Fire``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, pad

from hpcfed.base.seeds import threshold
from hpcfed.config import ModelConfig
from hpcfed.config.stack import Convolution, Dropout, Pool
from hpcfed.networks.contract import Activity, Pass
from hpcfed.networks.convolution import convolve
from hpcfed.networks.norms import Norm, applied, norm
from hpcfed.networks.stack import Stage, has_norm

# what flows in (T, B, ...), its norm, and the recurrent weights (H, H) if there are any: what is
# sent, and the same as booleans where it is spikes
Fire = Callable[[Tensor, Norm | None, Tensor | None], tuple[Tensor, Tensor | None]]


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
                case _:
                    signal = (
                        self._block(stage, signal) if stage.body else self._layer(stage, signal)
                    )
        return signal

    def readout(self, signal: Tensor) -> Tensor:
        """Return ``signal`` (T, B, ...) as (T, B, H), which enters the readout."""
        self._enter("readout", signal)
        return signal.flatten(2)

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

    def _layer(self, stage: Stage, signal: Tensor) -> Tensor:
        return self._fired(stage, *self._driven(stage, signal))

    def _driven(self, stage: Stage, signal: Tensor) -> tuple[Tensor, Norm | None]:
        """Return what flows into the neurons of ``stage``, (T, B, *stage.output), and its norm."""
        name = f"{stage.name}.input"
        weight, spec = self.weights[name], stage.spec
        self._enter(name, signal)
        if isinstance(spec, Convolution):
            compact = self.last[1] if self.last is not None and self.last[0] is signal else signal
            convolved = convolve(signal.flatten(0, 1), weight, spec, compact.flatten(0, 1))
            drive = _over_bins(convolved, signal)
        else:
            drive = project(signal.flatten(2), weight)
        if not has_norm(self.model, stage):
            return drive, None
        found = norm(self.model, stage.name, self.weights, drive, self.call)
        self.statistics |= found.statistics
        return drive, found

    def _fired(self, stage: Stage, drive: Tensor, found: Norm | None) -> Tensor:
        name = f"{stage.name}.recurrent"
        signal, flags = self.fire(drive, found, self.weights.get(name))
        if name in self.weights:
            self._enter(name, signal)
        if flags is not None:
            self.last = signal, flags
            self.spikes.append(signal if self.call.rates else flags)
        return signal

    def _dropped(self, signal: Tensor, probability: float) -> Tensor:
        """Leave values out (Srivastava et al. 2014), by a word each."""
        if not self.call.learn or self.call.words is None:
            return signal
        words = self.call.words(signal.numel()) >= np.uint64(threshold(probability))
        kept = torch.from_numpy(words).view(signal.shape).to(signal.device)
        return signal * kept / (1 - probability)

    def _enter(self, name: str, signal: Tensor) -> None:
        if self.call.learn:
            return
        if self.last is not None and self.last[0] is signal:  # spikes: each counts as one
            number = num_spikes(self.last[1]).sum().double()
            self.entering[name] = torch.stack([number, number])
            return
        total = signal.abs().sum(dtype=torch.float64)
        self.entering[name] = torch.stack([signal.count_nonzero().double(), total])


def pooled(pool: Pool, signal: Tensor) -> Tensor:
    """Return ``signal`` (T, B, C, H, W) pooled."""
    if pool.size == 0:
        return signal.mean((-2, -1), keepdim=True)
    folded = signal.flatten(0, 1)
    pooling = max_pool2d if pool.maximum else _Averaged.apply
    found: Tensor = pooling(folded, pool.size)
    return _over_bins(found, signal)


def spikes_of_neurons(layers: Sequence[Tensor]) -> NDArray[np.int64] | None:
    """Return how many spikes each neuron of all layers (T, B, ...) has: (N,); None of no layer."""
    if not layers:
        return None
    fired = [layer.detach().bool().sum((0, 1)).flatten().cpu().numpy() for layer in layers]
    return np.concatenate(fired).astype(np.int64)


def num_spikes(spikes: Tensor) -> Tensor:
    """Return how many spikes each sample of (T, B, ...) has: (B,) int64, on the same device."""
    flat = spikes.detach().bool().movedim(2, -1).flatten(2)  # as pictures lie in memory
    if flat.is_cuda:
        return flat.sum((0, 2))
    # a tenth of the time that torch takes for it
    return torch.from_numpy(np.add.reduce(flat.view(torch.uint8).numpy(), 2, np.int32).sum(0))


def project(signal: Tensor, weight: Tensor) -> Tensor:
    """Return ``signal`` (T, B, C) times ``weight`` (H, C) transposed: (T, B, H), one product.

    The weights may be others in each bin, (T, H, C).
    """
    if weight.dim() == signal.dim():
        return torch.bmm(signal, weight.transpose(1, 2))
    num_bins, batch, channels = signal.shape
    return (signal.reshape(num_bins * batch, channels) @ weight.t()).view(num_bins, batch, -1)


def _over_bins(found: Tensor, signal: Tensor) -> Tensor:
    """Return ``found`` (T B, ...) as (T, B, ...), as ``signal`` has them; a view."""
    return found.view(*signal.shape[:2], *found.shape[1:])


# torch gives the contexts no type that knows our attributes: Any.
class _Averaged(torch.autograd.Function):
    """Averages over squares; unlike torch's it keeps nothing of its input (N, C, H, W)."""

    @staticmethod
    def forward(ctx: Any, signal: Tensor, size: int) -> Tensor:
        ctx.shape, ctx.size = signal.shape, size
        return avg_pool2d(signal, size)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        size, part = ctx.size, gradients[0] / ctx.size**2
        number, channels, height, width = part.shape
        spread = part.movedim(1, -1)[:, :, None, :, None].expand(
            number, height, size, width, size, channels
        )
        whole = spread.reshape(number, height * size, width * size, channels).movedim(-1, 1)
        rest = [ctx.shape[axis] - whole.shape[axis] for axis in (3, 2)]
        return (pad(whole, (0, rest[0], 0, rest[1])) if any(rest) else whole), None
