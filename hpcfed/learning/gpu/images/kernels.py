"""The kernels of one network's layers as ``contract.Kernels``: tensors in, launches, tensors out.

T time bins, B batch, C channels. Pictures lie with their channels last in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf, prod
from typing import Any  # Any: what a kernel is told

import numpy as np
import torch
from torch import Tensor

from hpcfed.config import Experiment, ModelConfig
from hpcfed.learning.gpu.images import moments, neurons
from hpcfed.learning.gpu.launch import Launch
from hpcfed.networks.firing import constants
from hpcfed.networks.leaky import Leaky

_TILE, _MEASURED = 2048, 4096  # values of a program: 8, 16 for each of 256 threads
_MOST_CHANNELS = 64
_PARTS, _COLUMNS = 64, 32  # a program that joins
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class LayerKernels:
    """Norms and leaky neurons of a network; implements ``contract.Kernels``.

    Attributes:
        signals: type of what is sent from layer to layer and of its gradient.
        potentials: type in which potentials are kept for the way back.
        start: runs a launch.
    """

    model: ModelConfig
    signals: torch.dtype
    potentials: torch.dtype
    start: Callable[[Launch], None] = Launch.run

    @classmethod
    def of(cls, experiment: Experiment) -> LayerKernels:
        """Return the kernels that an experiment asks for."""
        client = experiment.client
        signals = torch.bfloat16 if client.precision == "bf16" else torch.float32
        return cls(experiment.model, signals, _DTYPES[client.potentials or "float32"])

    def moments(self, x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
        """Return mean and variance of x (T, B, C, ...), as ``contract.Kernels`` says."""
        rows = _rows_first(x)
        num_bins, batch, channels = len(x), x.shape[1], x.shape[2]
        segments = num_bins * batch if groups else num_bins
        length = prod(rows.shape[:-1]) // segments
        block, tile = _block(channels, _MEASURED)
        tiles = -(-length // tile)
        parts = x.new_empty((2, tiles, segments, channels), dtype=torch.float32)
        self.start(
            Launch(
                moments.measure,
                (tiles, segments, -(-channels // block)),
                (rows, parts[0], parts[1], length, channels),
                {"ROWS": tile, "CHANNELS": block},
            )
        )
        if groups:
            parts = parts.view(*parts.shape[:-1], groups, -1).movedim(-1, 2).contiguous()
        shape = (num_bins, batch, groups) if groups else (num_bins, 1, channels)
        return self._joined(parts, shape, length, tile)

    def _joined(
        self, parts: Tensor, shape: tuple[int, int, int], length: int, tile: int
    ) -> tuple[Tensor, Tensor]:
        """Return mean and variance of parts (2, tiles, [channels of a group,] ...)."""
        columns, tiles = prod(shape), parts.shape[1]
        num_parts = parts[0].numel() // columns
        mean, variance = parts.new_empty(2, *shape)
        told = (parts[0], parts[1], mean, variance, num_parts, length, columns, num_parts // tiles)
        blocks = {"ROWS": tile, "PARTS": _PARTS, "COLUMNS": _COLUMNS}
        self.start(Launch(moments.join, (-(-columns // _COLUMNS),), told, blocks, warps=4))
        return mean, variance

    def fire(self, x: Tensor, gain: Tensor, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return spikes, the same as booleans, and the potentials (T, B, C, ...)."""
        rows = _rows_first(x)
        spikes, flags, potentials = (
            torch.empty_like(rows, dtype=dtype)
            for dtype in (self.signals, torch.bool, self.potentials)
        )
        neuron, gains = self._neuron, _by_bin(gain, offset, len(x))
        tensors = (rows, *gains, potentials, spikes, flags)
        told = (neuron.leak, neuron.threshold, *self._beside_threshold)
        shape = self._reset | {"DELAY": neuron.delay}
        self._start(neurons.fire, tensors, _extent(rows, gain), told, shape)
        return _channels_second(spikes), _channels_second(flags), _channels_second(potentials)

    def fire_back(
        self, potentials: Tensor, gain: Tensor, offset: Tensor, received: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of x (T, B, C, ...), gain and offset."""
        kept, neuron = _rows_first(potentials), self._neuron
        returned = torch.empty_like(kept, dtype=self.signals)
        extent = _extent(kept, gain)
        tiles = -(-extent.rows // extent.tile)
        sums = kept.new_empty(
            (2, tiles, len(kept), extent.norms, extent.channels), dtype=torch.float32
        )
        gains = _by_bin(gain, offset, len(kept))
        tensors = (kept, *gains, _rows_first(received), returned, sums[0], sums[1])
        told = neuron.leak, neuron.threshold, neuron.slope, neuron.scale
        shape = {"FULL": bool(neuron.full), "TRIANGLE": neuron.triangle, "DELAY": neuron.delay}
        self._start(neurons.fire_back, tensors, extent, told, self._reset | shape)
        of_gain, of_offset = (part.sum_to_size(gain.shape) for part in sums.sum(1))
        return _channels_second(returned), of_gain, of_offset

    def add_inflow(
        self, returned: Tensor, kept: tuple[Tensor, Tensor, Tensor], slope: Tensor, rest: Tensor
    ) -> None:
        """Add slope x + rest to ``returned`` (T, B, C, ...), in place."""
        potentials, gain, offset = kept
        rows, neuron, num_bins = _rows_first(potentials), self._neuron, len(potentials)
        norms = gain.shape[1]
        slope, rest = (_of_channels(part, rows.shape[-1], norms) for part in (slope, rest))
        gains, terms = _by_bin(gain, offset, num_bins), _by_bin(slope, rest, num_bins)
        tensors = (_rows_first(returned), rows, *gains, *terms)
        told = neuron.leak, neuron.threshold
        self._start(neurons.add_inflow, tensors, _extent(rows, gain), told, self._reset)

    def _start(
        self,
        kernel: Any,
        tensors: tuple[Tensor, ...],
        extent: _Extent,
        told: tuple[Any, ...],
        shape: dict[str, Any],
    ) -> None:
        sizes = (extent.bins, extent.rows, extent.channels)
        tile = {"ROWS": extent.tile, "CHANNELS": extent.block}
        self.start(Launch(kernel, extent.grid, (*tensors, *sizes, *map(float, told)), shape | tile))

    @cached_property
    def _neuron(self) -> Leaky:
        return constants(self.model, torch.float32)

    @property
    def _reset(self) -> dict[str, bool]:
        return {"SUBTRACT": bool(self._neuron.subtract), "TO_ZERO": bool(self._neuron.to_zero)}

    @cached_property
    def _beside_threshold(self) -> tuple[float, float]:
        """The least number above the threshold and the greatest that is not, as they are kept."""
        threshold = float(self._neuron.threshold)
        if self.potentials == torch.float32:
            return float(np.nextafter(np.float32(threshold), np.float32(inf))), threshold
        bits = int(np.float32(threshold).view(np.uint32)) >> 16  # it is positive: cut off
        below, above = (np.uint32(one << 16).view(np.float32) for one in (bits, bits + 1))
        return float(above), float(below)


@dataclass(frozen=True)
class _Extent:
    """How a layer is cut into programs: ``rows`` for each of the ``norms``."""

    bins: int
    rows: int
    norms: int
    channels: int
    tile: int
    block: int

    @property
    def grid(self) -> tuple[int, int, int]:
        return -(-self.rows // self.tile), self.norms, -(-self.channels // self.block)


def _extent(rows: Tensor, gain: Tensor) -> _Extent:
    """Return the extent of (T, B, ..., C) with gains (T or 1, S, C)."""
    bins, *within, channels = rows.shape
    norms = gain.shape[1]
    block, tile = _block(channels, _TILE)
    return _Extent(bins, prod(within) // norms, norms, channels, tile, block)


def _block(channels: int, size: int) -> tuple[int, int]:
    """Return how many channels and rows a program of ``size`` values has, powers of two."""
    block = min(1 << (channels - 1).bit_length(), _MOST_CHANNELS)
    return block, size // block


def _rows_first(x: Tensor) -> Tensor:
    """Return (T, B, C, ...) as contiguous (T, B, ..., C); pictures lie so already."""
    return x.detach().movedim(2, -1).contiguous()


def _channels_second(x: Tensor) -> Tensor:
    return x.movedim(-1, 2)


def _by_bin(first: Tensor, second: Tensor, num_bins: int) -> tuple[Tensor, Tensor]:
    """Return (T or 1, B or 1, C) as contiguous (T, B or 1, C)."""
    one, other = (
        part.detach().expand(num_bins, *part.shape[1:]).contiguous() for part in (first, second)
    )
    return one, other


def _of_channels(values: Tensor, channels: int, norms: int) -> Tensor:
    """Return (T, B or 1, C or groups) as (T, S, C)."""
    found = values.repeat_interleave(channels // values.shape[2], 2)
    return found.expand(len(found), norms, channels)
