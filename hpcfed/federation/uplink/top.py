"""The largest entries of an update, and how a message names them: a bitmask or coordinates.

P parameters, s sent entries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.federation.uplink.entries import Entries
from hpcfed.learning.trainer import DeviceVector

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]

COORDINATE_BYTES = 4


@dataclass(frozen=True)
class TopK:
    """The ``count`` of P = ``size`` entries of largest magnitude; a ``selection.Selection``."""

    size: int
    count: int
    redrawn, deviation, arrival = False, 0.0, None

    @property
    def expected(self) -> float:
        """The count."""
        return self.count

    @property
    def named_bytes(self) -> int:
        """Bytes of coordinates or of a bitmask, whichever are fewer."""
        return min(self.count * COORDINATE_BYTES, bitmask_bytes(self.size))

    def choose(
        self,
        update: F32 | DeviceVector,
        round_index: int,
        client: int,
        importance: object = None,
    ) -> Entries:
        """Return the largest entries of ``update`` (P,)."""
        return top_entries(update, self.count)

    def name(self, entries: Entries) -> Bytes:
        """Return coordinates or a bitmask."""
        return pack_entries(np.asarray(entries), self.size)

    def read(self, named: Bytes, round_index: int, client: int) -> Entries:
        """Return the entries that are named."""
        return unpack_entries(named, self.size, self.count)


def top_entries(update: F32 | DeviceVector, count: int) -> I64:
    """Return the ``count`` entries of largest magnitude, ties to the lower index: (s,) int64.

    Magnitudes compare as bit patterns, so anything not finite counts as largest (it is sent, and
    rejected on arrival).
    """
    if not isinstance(update, np.ndarray):
        return update.largest(count)
    magnitude = np.abs(update).view(np.uint32)
    return smallest(~magnitude, count)


def pack_entries(entries: I64, size: int) -> Bytes:
    """Return ascending ``entries`` of P as uint32 coordinates or a bitmask, the smaller one."""
    if len(entries) * COORDINATE_BYTES < bitmask_bytes(size):
        return entries.astype(np.uint32).view(np.uint8)
    chosen = np.zeros(size, bool)
    chosen[entries] = True
    return np.packbits(chosen)


def unpack_entries(packed: Bytes, size: int, count: int) -> I64:
    """Return what ``pack_entries`` packed, given how many entries it holds."""
    if count * COORDINATE_BYTES < bitmask_bytes(size):
        return packed.view(np.uint32).astype(np.int64)
    return np.flatnonzero(np.unpackbits(packed, count=size))


def bitmask_bytes(size: int) -> int:
    """Return the bytes of one bit per entry."""
    return -(-size // 8)


def smallest(keys: NDArray[np.uint32], count: int) -> I64:
    """Return the ``count`` places of the smallest of ``keys`` (P,), ties to the lower, ascending.

    (key, place) as one uint64 is unique, so the set does not depend on the selection algorithm.
    """
    if count == 0:
        return np.empty(0, np.int64)
    unique = (keys.astype(np.uint64) << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64)
    chosen = np.partition(unique, count - 1)[:count] & np.uint64(0xFFFFFFFF)
    return np.sort(chosen.astype(np.int64))
