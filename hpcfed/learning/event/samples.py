"""A sample's events as a kernel takes them: as they are, or augmented, bin by bin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import inner
from hpcfed.learning.event.tables import Inputs

I64 = NDArray[np.int64]


@inner
def copy_events(
    inputs: Inputs, number: int, events: NDArray[np.int32], end: int, bounds: I64
) -> int:
    """Append a sample's events to ``events`` from ``end`` on; return the new end."""
    sample = inputs.samples[number]
    start, stop = inputs.sample_offsets[sample], inputs.sample_offsets[sample + 1]
    for k in range(stop - start):
        events[end + k] = inputs.channels[start + k]
    for t in range(len(bounds)):
        bounds[t] = end + np.int64(inputs.bin_offsets[sample, t])
    return end + int(stop - start)


@inner
def change_events(
    num_bins: int, num_channels: int, inputs: Inputs, number: int, events: NDArray[np.int32],
    end: int, bounds: I64,
) -> int:  # fmt: skip
    """Append a sample's augmented events, each as often as it is counted; return the new end."""
    sample, augmented = inputs.samples[number], len(inputs.time_shifts) > 0
    start, offsets = inputs.sample_offsets[sample], inputs.bin_offsets[sample]
    later = inputs.time_shifts[number] if augmented else 0
    higher = inputs.channel_shifts[number] if augmented else 0
    for t in range(num_bins):
        bounds[t] = end
        if not 0 <= t - later < num_bins:
            continue
        for k in range(np.int64(offsets[t - later]), np.int64(offsets[t - later + 1])):
            if len(inputs.kept) > 0 and not inputs.kept[inputs.kept_offsets[number] + k]:
                continue
            channel = np.int64(inputs.channels[start + k]) + higher
            if not 0 <= channel < num_channels:
                continue
            for _ in range(inputs.counts[start + k] if len(inputs.counts) > 0 else 1):
                events[end] = channel
                end += 1
    bounds[num_bins] = end
    return end
