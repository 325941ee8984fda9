"""What events must be like before anything is trained on them: numbers in range, offsets that fit.

S samples, T time bins, E events. Files of ours are checked where they are read; a user's function
may give anything.
"""

from __future__ import annotations

from math import prod

import numpy as np

from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import Samples

_MOST_CUT = 0.9  # of the spikes: a deliberate cut keeps more, or begins with short samples
_FAR = 50  # durations: no sample of seconds is so much longer than the part that is used
_UNITS = {1e3: "milliseconds", 1e6: "microseconds", 1e9: "nanoseconds"}
POINTS = ("targets", "coordinates")  # what samples that encode points bring besides
_DIMENSIONS = {"channels": 1, "bin_offsets": 2, "sample_offsets": 1, "labels": 1, "groups": 1}


def numbered_classes(num_classes: int) -> tuple[str, ...]:
    """Return what classes are called whose names nobody gave."""
    return tuple(f"label {label}" for label in range(num_classes))


def check_events(events: EventSet, binning: Binning, name: str) -> None:
    """Check a user's events against ``binning``. Raises InputError that begins with ``name``."""
    if problem := find_problem(events):
        raise InputError(f"{name}: {problem}")
    check_duration(events, name)
    found, expected = (events.num_bins, events.duration), (binning.num_bins, binning.duration)
    if found != expected:
        raise InputError(
            f"{name}: {found[0]} bins over {found[1]:g} s; "
            f"data.num_bins and data.duration are {expected[0]} and {expected[1]:g} s"
        )


def find_problem(events: EventSet) -> str | None:
    """Return what would lead a kernel astray, which checks no bounds; None for sound events."""
    looks = (_array_problem, _size_problem, _range_problem, _offset_problem, _point_problem)
    for look in (*looks, _plane_problem):
        if problem := look(events):
            return problem
    return None


def check_duration(events: EventSet, name: str) -> None:
    """Raise InputError where ``data.duration`` cuts so much that times have another unit."""
    num_kept = int(events.num_events.sum())
    ratio = events.latest / events.duration
    if events.num_cut <= _MOST_CUT * (num_kept + events.num_cut) or ratio < _FAR:
        return
    unit = min(_UNITS, key=lambda unit: abs(np.log(ratio / unit)))
    raise InputError(
        f"{name}: {events.num_cut} of some {num_kept + events.num_cut} spikes lie at or after "
        f"data.duration = {events.duration:g} s, the last at {events.latest:g}: the times are "
        f"probably {_UNITS[unit]}, not seconds; write them in seconds"
    )


def check_same_kind(train: EventSet, test: EventSet, names: tuple[str, str]) -> None:
    """Check that a network for ``train`` can be tested on ``test``. Raises InputError if not.

    The test set may have fewer classes or channels.
    """
    if test.num_channels > train.num_channels:
        raise InputError(
            f"{names[1]}: {test.num_channels} channels, the network expects {train.num_channels} "
            f"as in {names[0]}; set data.test to a file of the same channels"
        )
    if test.plane != train.plane:
        raise InputError(
            f"{names[1]}: {_sensor(test)}, the network expects {_sensor(train)} as in {names[0]}"
        )
    if (train.targets is None) != (test.targets is None):
        without = names[0] if train.targets is None else names[1]
        raise InputError(f"{without}: no targets, but the other split has some; give both or none")
    _check_same_classes(train, test, names)


def _sensor(events: EventSet) -> str:
    return f"a sensor of {events.plane}" if events.plane else "channels without a sensor"


def check_same_shape(train: Samples, test: Samples, names: tuple[str, str]) -> None:
    """Check that a network for images can be tested on others. Raises InputError if not."""
    if type(train) is not type(test) or test.shape != train.shape:
        raise InputError(
            f"{names[1]}: {type(test).__name__} of {test.shape}, the network expects "
            f"{type(train).__name__} of {train.shape} as in {names[0]}"
        )
    _check_same_classes(train, test, names)


def _check_same_classes(train: Samples, test: Samples, names: tuple[str, str]) -> None:
    """Labels that both have must be called the same in both, unless one names none."""
    if test.labels.max() >= len(train.class_names):
        raise InputError(
            f"{names[1]}: label {test.labels.max()}, the network knows {len(train.class_names)} "
            f"classes as in {names[0]}; set data.test to a file of the same classes"
        )
    if not (_names_classes(train) and _names_classes(test)):
        return
    for ours, theirs in zip(train.class_names, test.class_names, strict=False):
        if ours != theirs:
            raise InputError(
                f'{names[1]}: class "{theirs}" stands where {names[0]} has "{ours}"; set data.test '
                "to a file of the same classes (hpcfed data encode numbers the classes it finds: "
                "encode both from recordings of the same classes)"
            )


def _names_classes(samples: Samples) -> bool:
    return samples.class_names != numbered_classes(len(samples.class_names))


def _array_problem(events: EventSet) -> str | None:
    arrays = {name: (getattr(events, name), ndim) for name, ndim in _DIMENSIONS.items()}
    if events.counts is not None:
        arrays["counts"] = (events.counts, 1)
    for name, (array, ndim) in arrays.items():
        if not isinstance(array, np.ndarray):
            return f"{name} is {type(array).__name__}; expected a NumPy array"
        if array.ndim != ndim or array.dtype.kind not in "iu":
            return f"{name} is {array.ndim}-d {array.dtype}; expected {ndim}-d whole numbers"
    return None


def _size_problem(events: EventSet) -> str | None:
    sizes = {
        "labels": len(events.labels),
        "groups": len(events.groups),
        "bin_offsets": len(events.bin_offsets),
        "sample_offsets": len(events.sample_offsets) - 1,
    }
    if len(set(sizes.values())) > 1 or not len(events.labels):
        found = ", ".join(f"{name} {size}" for name, size in sizes.items())
        return f"labels, groups and offsets disagree, or are empty (samples by {found})"
    if events.counts is not None and len(events.counts) != len(events.channels):
        return f"{len(events.counts)} counts; expected {len(events.channels)}, one per channel"
    return None


def _range_problem(events: EventSet) -> str | None:
    for name, lowest, end, end_name in (
        ("channels", 0, events.num_channels, "num_channels"),
        ("labels", -1, len(events.class_names), "the number of class_names"),
        ("groups", 0, len(events.group_names), "the number of group_names"),
    ):
        values = getattr(events, name)
        if values.size and (values.min() < lowest or values.max() >= end):
            return (
                f"{name} from {values.min()} to {values.max()}; expected {lowest} to {end - 1} "
                f"({end_name} is {end})"
            )
    return None


def _offset_problem(events: EventSet) -> str | None:
    starts, num_events = events.sample_offsets, len(events.channels)
    if starts[0] != 0 or starts[-1] != num_events or (starts[1:] < starts[:-1]).any():
        return (
            f"sample_offsets from {starts[0]} to {starts[-1]}; expected them to rise from 0 to "
            f"{num_events}, the number of channels"
        )
    bins, lengths = events.bin_offsets, events.num_events
    falls = (bins[:, 1:] < bins[:, :-1]).any(axis=1)
    wrong = np.flatnonzero((bins[:, 0] != 0) | (bins[:, -1] != lengths) | falls)
    if len(wrong):
        sample = wrong[0]
        return (
            f"bin_offsets of sample {sample} from {bins[sample, 0]} to {bins[sample, -1]}; "
            f"expected them to rise from 0 to {lengths[sample]}, the sample's number of channels"
        )
    return None


def _point_problem(events: EventSet) -> str | None:
    for name, ndim in zip(POINTS, (1, 2), strict=True):
        values = getattr(events, name)
        if values is None:
            continue
        if not isinstance(values, np.ndarray):
            return f"{name} is {type(values).__name__}; expected a NumPy array"
        if values.ndim != ndim or values.dtype != np.float32:
            return f"{name} is {values.ndim}-d {values.dtype}; expected {ndim}-d float32"
        if len(values) != len(events.labels) or not values.size:
            return f"{name} of shape {values.shape}; expected {len(events.labels)} samples"
        if not ((values >= 0) & (values <= 1)).all():  # which NaN is not either
            return f"{name} from {values.min()} to {values.max()}; expected 0 to 1, all finite"
    if events.targets is not None and len(events.class_names) != 2:
        return (
            f"targets, which stand in for labels of two classes, and {len(events.class_names)} "
            "class_names; expected 2"
        )
    return None


def _plane_problem(events: EventSet) -> str | None:
    if not events.plane or (len(events.plane) == 3 and prod(events.plane) == events.num_channels):
        return None
    return (
        f"plane {events.plane} and {events.num_channels} channels; expected polarity, height and "
        "width, whose product is num_channels"
    )
