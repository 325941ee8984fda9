"""Which time bin a spike falls into: a spike on a bin's edge belongs to the bin that begins there.

T bins over D seconds, dt = D / T. Whole numbers count ticks of a clock, and a tick's bin is exact.
Seconds as floating-point numbers hold k dt only to rounding, and how a file's numbers were rounded
is not known: a time within a few units in the last place (of the file's own type) of an edge counts
as the edge. Where such units are coarse beside a bin, as those of float16 are, that is half a unit:
the times that the type holds for the edge itself. Where bins are finer than units it cannot tell
edges apart, and the time is taken as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any  # Any: integers and floats of any width

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

_UNITS = 4  # of the last place: a product or a quotient of rounded numbers is off by fewer
_BINS = 1e-3  # ... as long as this is a small part of a bin


@dataclass(frozen=True)
class Binning:
    """How seconds become bins: ``num_bins`` equal bins over ``duration`` seconds."""

    duration: float
    num_bins: int
    counts: bool = False

    @property
    def exact_duration(self) -> Fraction:
        """The duration as the decimal number that it is written as."""
        return Fraction(repr(float(self.duration)))


def bin_numbers(times: NDArray[Any], binning: Binning, ticks: int = 1) -> I64:
    """Return the bin (n,) int64 of each of ``times`` (n,), T or more at or after the duration.

    ``times`` are seconds, or whole numbers of ticks, ``ticks`` a second. Raises ValueError for
    times that are not finite or negative.
    """
    if times.size and times.min() < 0:
        seconds = float(times.min()) / (ticks if times.dtype.kind in "iu" else 1)
        raise ValueError(f"a negative spike time ({seconds:g} s)")
    if times.dtype.kind in "iu":
        return _of_ticks(times, binning, ticks)
    if not np.isfinite(times).all():
        raise ValueError("spike times that are not finite")
    return _of_seconds(times, binning)


def _of_ticks(times: NDArray[Any], binning: Binning, ticks: int) -> I64:
    ratio = binning.num_bins / (binning.exact_duration * ticks)
    limit = 2 * binning.num_bins  # far enough after the end
    latest = int(limit / ratio) + 1
    clipped = np.minimum(times, min(latest, np.iinfo(times.dtype).max)).astype(np.int64)
    if latest * ratio.numerator < 1 << 63:
        return np.asarray(clipped * ratio.numerator // ratio.denominator, np.int64)
    exact = [tick * ratio.numerator // ratio.denominator for tick in clipped.tolist()]
    return np.array(exact, np.int64)


def _of_seconds(times: NDArray[Any], binning: Binning) -> I64:
    # upcast first: seconds of float16 overflow when they are scaled
    seconds = np.minimum(times.astype(np.float64), 2 * binning.duration)
    position = seconds * (binning.num_bins / binning.duration)
    unit = np.spacing(times).astype(np.float64) * (binning.num_bins / binning.duration)
    tolerance = np.maximum(np.where(unit < 1, unit / 2, 0), np.minimum(_UNITS * unit, _BINS))
    return np.asarray(np.floor(position + tolerance), np.int64)
