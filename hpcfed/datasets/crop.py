"""A centred window of a sensor: what lies around it is left out.

P polarities, H x W pixels of the sensor, h x w of the window, S samples, T time bins, C channels, E
events. Of an odd number of rows or columns around the window, the one more is at the end.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.samples.events import EventSet

I64 = NDArray[np.int64]


def cropped(events: EventSet, window: tuple[int, int], name: str) -> EventSet:
    """Return the events within ``window`` (h, w), on a plane (P, h, w).

    A sample may be left without any; ``num_cut`` and ``latest`` are still of the whole sensor.
    Raises InputError that names the set, ``name``, if it has no sensor or a smaller one.
    """
    numbers = _numbers(events, window, name)
    plane = (*events.plane[:-2], *window)
    dtype = np.uint16 if prod(plane) <= 1 << 16 else np.uint32
    channels, counts = [np.empty(0, dtype)], [np.empty(0, np.uint16)]
    bin_offsets = np.empty_like(events.bin_offsets)
    # one sample at a time: the events of all may be most of a machine's memory
    for sample, (first, last) in enumerate(zip(*_bounds(events), strict=True)):
        found = numbers[events.channels[first:last]]
        kept = found >= 0
        channels.append(found[kept].astype(dtype))
        if events.counts is not None:
            counts.append(events.counts[first:last][kept])
        bin_offsets[sample] = np.concatenate([[0], np.cumsum(kept)])[events.bin_offsets[sample]]
    return replace(
        events,
        channels=np.concatenate(channels),
        counts=None if events.counts is None else np.concatenate(counts),
        bin_offsets=bin_offsets,
        sample_offsets=np.concatenate([[0], np.cumsum(bin_offsets[:, -1], dtype=np.int64)]),
        num_channels=prod(plane),
        plane=plane,
    )


def _numbers(events: EventSet, window: tuple[int, int], name: str) -> I64:
    """Return what each channel is called within ``window``, (C,); -1 for those outside."""
    if not events.plane:
        raise InputError(
            f"data.crop = {list(window)}: {name} has {events.num_channels} channels without rows "
            "and columns; leave data.crop out"
        )
    height, width = events.plane[-2:]
    if window[0] > height or window[1] > width:
        raise InputError(
            f"data.crop = {list(window)}: the sensor of {name} has {height} rows and {width} "
            f"columns; give at most [{height}, {width}]"
        )
    top, left = (height - window[0]) // 2, (width - window[1]) // 2
    inside = np.arange(events.num_channels).reshape(events.plane)
    inside = inside[..., top : top + window[0], left : left + window[1]]
    numbers = np.full(events.num_channels, -1, np.int64)
    numbers[inside.ravel()] = np.arange(inside.size)
    return numbers


def _bounds(events: EventSet) -> tuple[list[int], list[int]]:
    return events.sample_offsets[:-1].tolist(), events.sample_offsets[1:].tolist()
