"""Samples from arrays that a program has: spike times, or pixels, with their labels and groups.

S samples, n spikes of one of them. Spike times stay as they are until an experiment says how they
are binned, so that arrays give what a file of the same numbers gives, bit for bit. Their place in
an experiment's ``data.dataset`` is taken by a name made of their digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any  # Any: what a user gives, checked

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpcfed.datasets.checks import check_duration, numbered_classes
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples
from hpcfed.samples.images import ImageSet

I64 = NDArray[np.int64]

_ONE_GROUP = ("all",)  # as of a file that knows no speakers
_UNKNOWN = -1  # label of a sample of which nobody says what it is


@dataclass(frozen=True)
class SpikeTimes:
    """S samples as lists of spikes, not binned yet; ``events`` makes them.

    Attributes:
        times: of each sample (n,), seconds or whole numbers of ticks, in any order.
        units: of each sample (n,) whole numbers: the channel of each spike.
        labels: (S,) int64, index into ``class_names``; -1 where nobody has said it.
        groups: (S,) int64, index into ``group_names``.
        num_channels: C; None: one more than the largest unit.
        plane: shape of a sensor, as (polarity, height, width), whose C-order ravel the units are.
        ticks: ticks a second, of times that are whole numbers.
    """

    times: tuple[NDArray[Any], ...]
    units: tuple[NDArray[Any], ...]
    labels: I64
    groups: I64
    class_names: tuple[str, ...]
    group_names: tuple[str, ...]
    num_channels: int | None = None
    plane: tuple[int, ...] = ()
    ticks: int = 1

    @property
    def num_samples(self) -> int:
        """S."""
        return len(self.times)

    @property
    def width(self) -> int:
        """C as it was given, else one more than the largest unit."""
        return self.num_channels or 1 + max((int(u.max()) for u in self.units if len(u)), default=0)

    def binned(self, binning: Binning, num_channels: int, name: str = "spike times") -> EventSet:
        """Return them in bins, on so many channels.

        Raises InputError that begins with ``name`` for times or units that cannot be used.
        """
        try:
            found = bin_samples(
                zip(self.times, self.units, strict=True),
                self.labels,
                self.groups,
                binning=binning,
                num_channels=num_channels,
                names=(self.class_names, self.group_names),
                ticks=self.ticks,
            )
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        check_duration(found, name)
        if found.num_cut and not len(found.channels):
            raise InputError(
                f"{name}: no spike lies before {binning.duration:g} s; are the times in seconds? "
                "Else raise data.duration"
            )
        return replace(found, plane=self.plane)

    def digest(self) -> str:
        """Return SHA-256 (hex) of all that training can see."""
        names = (self.class_names, self.group_names)
        total = hashlib.sha256(repr((names, self.num_channels, self.plane, self.ticks)).encode())
        for array in (*self.times, *self.units, self.labels, self.groups):
            total.update(f"{array.dtype.str}{array.shape}".encode())
            total.update(array.tobytes())
        return total.hexdigest()


def events(
    times: Sequence[ArrayLike],
    units: Sequence[ArrayLike],
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    *,
    class_names: Sequence[str] | None = None,
    group_names: Sequence[str] | None = None,
    num_channels: int | None = None,
    plane: tuple[int, int, int] | None = None,
    ticks: int = 1,
) -> SpikeTimes:
    """Return S samples from their spikes.

    ``times`` holds a row (n,) for each sample, in seconds, or in whole numbers of ticks, ``ticks``
    a second; ``units`` a row (n,) of channels from 0. ``labels`` (S,) are classes and ``groups``
    (S,) who a sample is from: numbers from 0, or names. Without labels samples can be asked about,
    and not be trained on; without groups all are of one. ``class_names`` and ``group_names`` are
    what numbers mean, or the order of names; ``num_channels`` is C, else one more than the largest
    unit; ``plane`` the (polarity, height, width) of a sensor whose C-order ravel the units are.

    Raises InputError for rows that do not fit together.
    """
    rows = _rows("times", times, "iuf", "numbers"), _rows("units", units, "iu", "whole numbers")
    if len(rows[0]) != len(rows[1]) or not rows[0]:
        raise InputError(
            f"spike times of {len(rows[0])} samples and units of {len(rows[1])}; expected a row of "
            "each for every sample"
        )
    sensor = () if plane is None else tuple(_count("plane", size) for size in plane)
    if sensor and len(sensor) != 3:
        raise InputError(f"plane {sensor}: expected (polarity, height, width)")
    if sensor and num_channels not in (None, prod(sensor)):
        raise InputError(f"{num_channels} channels, and a plane {sensor} of {prod(sensor)}")
    width = prod(sensor) if sensor else num_channels
    numbers, names = _labelled(labels, class_names, len(rows[0]))
    owners, owner_names = _grouped(groups, group_names, len(rows[0]))
    channels = None if width is None else _count("num_channels", width)
    ticks = _count("ticks", ticks)
    return SpikeTimes(*rows, numbers, owners, names, owner_names, channels, sensor, ticks)


def images(
    pixels: ArrayLike,
    labels: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    *,
    class_names: Sequence[str] | None = None,
    group_names: Sequence[str] | None = None,
) -> ImageSet:
    """Return S images from ``pixels``, (S, H, W) or (S, C, H, W) uint8.

    Labels, groups and their names are as for ``events``. Raises InputError for arrays that do not
    fit together, and for pixels of another type or shape.
    """
    found = _array("pixels", pixels)
    if found.ndim == 3:
        found = found[:, None]
    if found.ndim != 4 or found.dtype != np.uint8 or not found.size:
        raise InputError(
            f"images of shape {found.shape}, {found.dtype}; expected (samples, height, width) or "
            "(samples, channels, height, width), uint8 from 0 to 255"
        )
    classes = _labelled(labels, class_names, len(found))
    owners = _grouped(groups, group_names, len(found))
    numbers, names = (classes[0], owners[0]), (classes[1], owners[1])
    return ImageSet(np.ascontiguousarray(found), *numbers, *names)


_Named = tuple[I64, tuple[str, ...]]


def _rows(
    what: str, rows: Sequence[ArrayLike], kinds: str, expected: str
) -> tuple[NDArray[Any], ...]:
    """Return a row for each sample, of numbers of such ``kinds``."""
    found = tuple(_array(f"{what} of sample {index}", row) for index, row in enumerate(rows))
    for index, row in enumerate(found):
        if row.ndim != 1 or (row.dtype.kind not in kinds and row.size):
            raise InputError(
                f"{what} of sample {index} are {row.ndim}-d {row.dtype}; expected a row of "
                f"{expected}"
            )
    return found


def _array(what: str, value: ArrayLike) -> NDArray[Any]:
    try:
        return np.asarray(value)
    except ValueError:  # rows of several lengths
        raise InputError(f"{what}: expected an array, found rows of several lengths") from None


def _count(what: str, value: Any) -> int:
    if not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"{what} = {value!r}: expected a whole number of at least 1")
    return int(value)


def _labelled(labels: ArrayLike | None, names: Sequence[str] | None, size: int) -> _Named:
    known = _known("class_names", names)
    if labels is None:
        return np.full(size, _UNKNOWN, np.int64), known or ()
    found, seen = _numbers("labels", labels, known, size)
    if seen is not None:
        return found, seen
    return found, known or numbered_classes(int(found.max()) + 1)


def _grouped(groups: ArrayLike | None, names: Sequence[str] | None, size: int) -> _Named:
    known = _known("group_names", names)
    if groups is None:
        return np.zeros(size, np.int64), known or _ONE_GROUP
    found, seen = _numbers("groups", groups, known, size)
    if seen is not None:
        return found, seen
    if known is not None:
        return found, known
    numbers, found = np.unique(found, return_inverse=True)  # as of a file: those that occur
    return found.astype(np.int64), tuple(f"speaker {number}" for number in numbers)


def _known(what: str, names: Sequence[str] | None) -> tuple[str, ...] | None:
    known = None if names is None else tuple(map(str, names))
    if twice := sorted({name for name in known or () if (known or ()).count(name) > 1}):
        raise InputError(f"{what}: {', '.join(twice)} more than once; expected each once")
    return known


def _numbers(
    what: str, values: ArrayLike, known: tuple[str, ...] | None, size: int
) -> tuple[I64, tuple[str, ...] | None]:
    """Return ``values`` (S,) as numbers, and, where they were names, what these are called."""
    found = _array(what, values)
    if found.shape != (size,):
        raise InputError(f"{size} samples but {what} of shape {found.shape}; expected ({size},)")
    if found.dtype.kind in "iu":
        numbers = found.astype(np.int64)
        if size and (numbers.min() < 0 or (known is not None and numbers.max() >= len(known))):
            most = "" if known is None else f" to {len(known) - 1}"
            raise InputError(
                f"{what} from {numbers.min()} to {numbers.max()}; expected them from 0{most}"
            )
        return numbers, None
    given: Any = values  # a list as it was: of names and NaN NumPy makes names
    texts: list[Any] = found.tolist() if hasattr(given, "dtype") else list(given)
    strangers = [value for value in texts if not isinstance(value, str)]
    if strangers:  # None and NaN, too, which say that nobody knows
        kind = type(strangers[0]).__name__ if found.dtype.kind in "UTO" else found.dtype
        raise InputError(f"{what} are {kind}; expected whole numbers from 0, or names")
    order = known or tuple(sorted(set(texts)))
    place = {name: number for number, name in enumerate(order)}
    if strange := sorted(set(texts) - place.keys()):
        raise InputError(f"{what} {', '.join(strange)} are none of {', '.join(order)}")
    return np.array([place[text] for text in texts], np.int64), order
