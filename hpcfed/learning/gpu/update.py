"""A vector that stays on the device, an update or a part of it: what leaves it is what is sent.

P entries, s of which are sent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # Any: arrays of several dtypes

import numpy as np
import torch
import triton
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from hpcfed.base.seeds import Stream
from hpcfed.learning.gpu.device import using
from hpcfed.learning.gpu.launch import Launch
from hpcfed.learning.gpu.optimiser import TILE, squares
from hpcfed.learning.gpu.philox import CHUNK, count_let_through, take_let_through

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class GpuUpdate:
    """A vector (P,) float32 on a device; implements ``trainer.Update``."""

    values: Tensor

    @property
    def size(self) -> int:
        """P, the number of entries."""
        return self.values.numel()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> F32:
        """Copy all entries to the host."""
        return np.asarray(self._to_host(self.values), dtype)

    def drawn(self, stream: Stream, limit: int) -> GpuUpdate:
        """Return the entries whose word of ``stream`` reaches ``limit``: (s,), drawn here."""
        device = self.values.device
        address = torch.tensor(stream.address.astype(np.int64), device=device)
        least = torch.tensor([limit], device=device)
        grid = (triton.cdiv(self.size, CHUNK.value),)
        found = torch.empty(grid, dtype=torch.int64, device=device)
        with using(device):
            Launch(count_let_through, grid, (found, address, least, self.size), {}, warps=4).run()
            ends = found.cumsum(0)
            taken = torch.empty(int(ends[-1]), device=device)
            arguments = (taken, self.values, ends, address, least, self.size)
            Launch(take_let_through, grid, arguments, {}, warps=4).run()
        return GpuUpdate(taken)

    def listed(self, entries: I64) -> GpuUpdate:
        """Return the ``entries`` (s,)."""
        with using(self.values.device):
            places = torch.tensor(entries, device=self.values.device)
            return GpuUpdate(self.values[places])

    def largest(self, count: int) -> I64:
        """Return the ``count`` entries of largest magnitude, ties to the lower index: (s,)."""
        with using(self.values.device):
            magnitude = self.values.abs().view(torch.int32).long()
            order = torch.arange(self.size, device=self.values.device)
            unique = ((2**31 - 1 - magnitude) << 32) | order  # so no order of equals matters
            chosen = torch.sort(unique).values[:count] & 0xFFFFFFFF
            return self._to_host(torch.sort(chosen).values)

    def norm(self) -> float:
        """Return the Euclidean norm, added in float64."""
        tiles = triton.cdiv(self.size, TILE.value)
        sums = torch.empty(tiles, dtype=torch.float64, device=self.values.device)
        with using(self.values.device):
            arguments = (sums, self.values, self.values, self.values, self.size, 0.0)
            Launch(squares, (tiles, 1), arguments, {"PROXIMAL": False}, warps=4).run()
        return math.sqrt(self._to_host(sums).sum())

    def reach(self) -> float:
        """Return the largest magnitude of any entry, NaN if one is no number; of none 0."""
        with using(self.values.device):
            return float(self.values.abs().max()) if self.size else 0.0

    def joined(self, head: NDArray[np.uint8], others: Sequence[GpuUpdate]) -> Tensor:
        """Return the bytes of ``head`` (n,), of this vector and of the ``others`` on the device."""
        parts = [vector.values.view(torch.uint8) for vector in (self, *others)]
        with using(self.values.device):
            whole = torch.cat([torch.from_numpy(head).to(self.values.device), *parts])
            if whole.device.type != "cpu":  # MPI reads it at any time from now on
                torch.cuda.current_stream().synchronize()
        return whole

    def _to_host(self, values: Tensor) -> NDArray[Any]:
        """Copy to the host through pinned memory, which the GPU writes by itself."""
        if values.device.type == "cpu":
            return values.numpy()
        with using(values.device):
            pinned = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            pinned.copy_(values, non_blocking=True)
            torch.cuda.current_stream(values.device).synchronize()
        return pinned.numpy()
