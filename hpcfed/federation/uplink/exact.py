"""Sums of weighted updates that have the same bits in any order: integers on a fixed grid.

With a = ceil(log2(sum of all clients' n_k)) and w_k = n_k / 2**a, an entry d becomes
rint(w_k * d * 2**50) as int64. The w_k sum to at most 1 and |d| < 2**12, so a sum stays below
2**62: nothing overflows, no scale has to be agreed, and integer addition is associative.
P parameters, N clients, s sent entries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.federation.uplink.entries import Drawn, Entries

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

GRID_BITS = 50
LIMIT = 2.0**12


@dataclass(frozen=True)
class Grid:
    """The grid of one experiment: ``shift`` is a."""

    shift: int

    def integers(self, values: NDArray[np.floating], weight: int, factor: float = 1.0) -> I64:
        """Return weight / 2**a * factor * values on the grid: same shape, int64."""
        return np.rint(values.astype(np.float64) * self.scale(weight, factor)).astype(np.int64)

    def scale(self, weight: int, factor: float = 1.0) -> float:
        """Return what a value is multiplied by before it is rounded to an integer."""
        return weight * 2.0 ** (GRID_BITS - self.shift) * factor

    def reals(self, sums: I64) -> F64:
        """Return sum of weight * value, float64, from a sum on the grid."""
        return sums.astype(np.float64) * 2.0 ** (self.shift - GRID_BITS)


def grid(weights: I64) -> Grid:
    """Return the grid for clients with integer weights n_k >= 1, (N,)."""
    return Grid((int(weights.sum()) - 1).bit_length())


def admissible(values: F32, factor: float = 1.0) -> bool:
    """Say whether every |value| * factor lies below 2**12; False for anything not finite."""
    return not values.size or within_limit(max(values.max(), -values.min()), factor)


def within_limit(magnitude: float, factor: float) -> bool:
    """Say whether values of at most this ``magnitude`` are admissible; NaN is not."""
    return bool(magnitude * np.float64(factor) < LIMIT)


@dataclass
class Totals:
    """What the root needs of a round; adding is exact, in place, in any order.

    Attributes:
        sums: (P,) int64 on the grid.
        arrived: (P,) int64 weight that arrived per entry, or None when nobody asks.
    """

    sums: I64
    arrived: I64 | None

    @classmethod
    def zeros(cls, size: int, per_entry: bool) -> Totals:
        """Return the totals of nothing."""
        return cls(np.zeros(size, np.int64), np.zeros(size, np.int64) if per_entry else None)

    def part(self, place: slice) -> Totals:
        """Return the totals of some entries: views, so that what is added to them is added here."""
        return Totals(self.sums[place], None if self.arrived is None else self.arrived[place])

    def add(self, entries: Entries, values: F32, scale: float, weight: int) -> None:
        """Add one client's admissible ``values`` (s,), times ``scale``, to its ``entries``."""
        from hpcfed.federation.uplink import fused

        arrived = np.empty(0, np.int64) if self.arrived is None else self.arrived
        term = fused.Term(values, scale, weight)
        if isinstance(entries, Drawn):
            fused.add_drawn(self.sums, arrived, term, entries.mask)
        elif isinstance(entries, slice):
            fused.add_all(self.sums, arrived, term)
        else:
            fused.add_listed(self.sums, arrived, term, entries)
