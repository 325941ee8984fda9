"""The entries of an update that a client sends: all, those listed, or those that a mask draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpcfed.base.seeds import Stream
from hpcfed.learning.trainer import DeviceVector

if TYPE_CHECKING:
    from hpcfed.federation.uplink.fused import Mask

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """The entries of P = ``size`` whose word of ``stream`` reaches ``limit``.

    They are drawn again wherever they are used, which is faster than a list of them is read. NumPy
    may index by it as by the ascending (s,) int64 entries.
    """

    stream: Stream
    limit: int
    size: int

    @property
    def mask(self) -> Mask:
        """The mask as compiled code knows it."""
        from hpcfed.federation.uplink.fused import Mask

        return Mask(self.stream.address, np.uint64(self.limit))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> I64:
        """List the entries."""
        return np.flatnonzero(self.stream.words(self.size) >= np.uint64(self.limit))


Entries = slice | I64 | Drawn  # the slice is that of all entries; a list is ascending


def taken(update: F32, entries: Entries) -> F32:
    """Return the ``entries`` of ``update`` (P,): (s,) float32."""
    if isinstance(entries, Drawn):
        from hpcfed.federation.uplink.fused import take_drawn

        return take_drawn(update, entries.mask)
    return update[entries]


def taken_there(update: DeviceVector, entries: Entries) -> DeviceVector:
    """Return the ``entries`` of ``update`` (P,), which stay on its device: (s,)."""
    if isinstance(entries, Drawn):
        return update.drawn(entries.stream, entries.limit)
    return update if isinstance(entries, slice) else update.listed(entries)


def norm(update: F32 | DeviceVector) -> float:
    """Return the Euclidean norm of ``update`` (P,), added in float64 where it lies."""
    if not isinstance(update, np.ndarray):
        return update.norm()
    from hpcfed.federation.uplink import fused

    return fused.norm(update)


def on_host(update: F32 | DeviceVector, entries: Entries) -> F32:
    """Return the ``entries`` of ``update`` (P,): (s,) float32, taken where it lies."""
    if isinstance(update, np.ndarray):
        return taken(update, entries)
    return np.asarray(taken_there(update, entries))
