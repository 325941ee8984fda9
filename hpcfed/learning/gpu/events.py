"""An event set on the device, packed: a bit a cell, or a byte where bins hold counts.

S samples, T time bins, C channels. It is packed once and stays for the whole job; a batch is a list
of sample numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpcfed.errors import InputError
from hpcfed.learning.gpu.plan import WORD
from hpcfed.learning.teaching import NOBODY
from hpcfed.samples.events import EventSet

F32 = NDArray[np.float32]

_LARGEST_COUNT = 255
_CHUNK_BYTES = 64 << 20  # of cells that are unpacked at once on the host


@dataclass(frozen=True)
class Packed:
    """Samples on the device.

    Attributes:
        cells: (S, T, words) int64, WORD channels each, the lowest bit first; or (S, T, C) uint8.
        labels: (S,) int32.
        bin_offsets: (S, T + 1) int32, the events before each bin of a sample.
        teacher: (S, K) float32 a teacher's logits; (0, 0) without one.
    """

    cells: Tensor
    labels: Tensor
    bin_offsets: Tensor
    teacher: Tensor

    @property
    def bits(self) -> bool:
        """Whether a cell is a bit, else a byte."""
        return self.cells.dtype == torch.int64


def pack(events: EventSet, device: torch.device, teacher: F32 = NOBODY) -> Packed:
    """Return ``events`` packed on ``device``, with a teacher's logits (S, K) if there is one.

    Raises InputError for counts beyond a byte.
    """
    if events.counts is not None and len(events.counts) and events.counts.max() > _LARGEST_COUNT:
        raise InputError(
            f"a bin holds {events.counts.max()} spikes of one channel, the GPU engine takes up to "
            f'{_LARGEST_COUNT}; raise data.num_bins, or set client.engine = "event"'
        )
    bits = events.counts is None
    width = -(-events.num_channels // WORD) if bits else events.num_channels
    cells = torch.empty(
        (events.num_samples, events.num_bins, width),
        dtype=torch.int64 if bits else torch.uint8,
        device=device,
    )
    step = max(1, _CHUNK_BYTES // (events.num_bins * events.num_channels))
    for start in range(0, events.num_samples, step):
        samples = np.arange(start, min(start + step, events.num_samples))
        cells[start : start + len(samples)].copy_(torch.from_numpy(_cells(events, samples)))
    return Packed(
        cells,
        torch.tensor(events.labels, dtype=torch.int32, device=device),
        torch.tensor(events.bin_offsets.astype(np.int32), device=device),
        torch.tensor(teacher, device=device),
    )


def _cells(events: EventSet, samples: NDArray[np.int64]) -> NDArray[np.int64] | NDArray[np.uint8]:
    rows, bins, channels, values = events.batch_events(samples)
    bits = events.counts is None
    width = -(-events.num_channels // WORD) * WORD if bits else events.num_channels
    cells = np.zeros((len(samples), events.num_bins, width), np.uint8)
    cells[rows, bins, channels] = values
    return np.packbits(cells, axis=2, bitorder="little").view(np.int64) if bits else cells
