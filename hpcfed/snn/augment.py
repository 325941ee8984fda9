"""Augmentation of training events: shift samples in time and across channels, leave events out.

T time bins, B batch, C channels, e events of the batch. It acts on events, so that every engine
sees the same ones. Both shifts move a whole sample; what leaves the window is lost, and no two
events can meet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import DataConfig
from hpcfed.seeds import Stream, threshold

I64 = NDArray[np.int64]
BatchEvents = tuple[I64, I64, I64, NDArray[np.float32]]


def is_augmented(data: DataConfig) -> bool:
    """Tell whether ``augment`` would change anything."""
    return data.time_jitter > 0 or data.channel_jitter > 0 or data.drop > 0


def num_words(batch: BatchEvents, batch_size: int) -> int:
    """Return how many words ``augment`` owns for a batch: where the next batch's words start.

    Two for each sample and one for each event, whatever the settings, so that one setting does not
    move the words of another.
    """
    return 2 * batch_size + len(batch[0])


def augment(
    batch: BatchEvents, shape: tuple[int, int, int], data: DataConfig, stream: Stream, start: int
) -> BatchEvents:
    """Return the events of a batch after time jitter, channel jitter and drop.

    ``batch`` is row in batch, bin, channel, value, (e,) each; ``shape`` is (T, B, C). The words are
    those of ``stream`` from ``start``: B for time, B for channels, e for drops. Time shifts are
    uniform in seconds and rounded to whole bins; channel shifts are uniform integers.
    """
    rows, bins, channels, values = batch
    num_bins, size, num_channels = shape
    time = 2.0 * stream.uniforms(size, start) - 1.0
    bins_per_second = data.num_bins / data.duration
    bins = bins + np.rint(time * data.time_jitter * bins_per_second).astype(np.int64)[rows]
    width = 2 * data.channel_jitter + 1
    shift = np.floor(stream.uniforms(size, start + size) * width).astype(np.int64)
    channels = channels + (shift - data.channel_jitter)[rows]
    keep = (bins >= 0) & (bins < num_bins) & (channels >= 0) & (channels < num_channels)
    if data.drop > 0:
        keep &= stream.words(len(rows), start + 2 * size) >= threshold(data.drop)
    return rows[keep], bins[keep], channels[keep], values[keep]
