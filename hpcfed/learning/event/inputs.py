"""Samples of an event set as the kernels' tables have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any  # Any: an array of one of several dtypes

import numpy as np
from numpy.typing import NDArray

from hpcfed.learning.augment import Changes
from hpcfed.learning.event.tables import Inputs
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import as_given, side_by_side

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


def most_spikes(inputs: Inputs) -> int:
    """Return the most input spikes of any of the samples."""
    starts, stops = (inputs.sample_offsets[inputs.samples + more] for more in (0, 1))
    if not len(inputs.counts):
        return int((stops - starts).max())
    return max(int(inputs.counts[a:b].sum()) for a, b in zip(starts, stops, strict=True))


def inputs_of(events: EventSet, samples: I64, teacher: F32, changes: Sequence[Changes]) -> Inputs:
    """Return the samples (n,) for a kernel; ``changes`` are those of all steps, if any."""

    def joined(parts: list[NDArray[np.generic]], kind: type) -> NDArray[Any]:
        return np.concatenate([np.empty(0, kind), *parts])

    lengths = events.num_events[samples]
    return Inputs(
        channels=as_given(events.channels),
        counts=as_given(np.empty(0, np.uint16) if events.counts is None else events.counts),
        bin_offsets=as_given(events.bin_offsets),
        sample_offsets=as_given(events.sample_offsets),
        samples=side_by_side(samples),
        labels=events.labels[samples],
        teacher=teacher,
        time_shifts=joined([change.bins for change in changes], np.int64),
        channel_shifts=joined([change.channels for change in changes], np.int64),
        kept=joined([change.kept for change in changes], np.bool_),
        kept_offsets=np.cumsum(lengths) - lengths,
    )
