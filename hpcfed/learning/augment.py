"""Augmentation of training events: shift samples in time and across channels, leave events out.

T time bins, B batch, C channels, e events of the batch. It acts on events, so that every engine
sees the same ones. Both shifts move a whole sample; what leaves the window is lost, and no two
events can meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.seeds import Stream, threshold
from hpcfed.config import DataConfig
from hpcfed.samples.events import EventSet

I64 = NDArray[np.int64]
BatchEvents = tuple[I64, I64, I64, NDArray[np.float32]]


def is_augmented(data: DataConfig) -> bool:
    """Tell whether ``augment`` would change anything."""
    return data.time_jitter > 0 or data.channel_jitter > 0 or data.drop > 0


@dataclass(frozen=True)
class Changes:
    """What augmentation does to n samples and their e events.

    Attributes:
        bins, channels: (n,) int64 by how much each sample is shifted.
        kept: (e,) flag of each event, in the samples' order; empty if all are kept.
    """

    bins: I64
    channels: I64
    kept: NDArray[np.bool_]


def num_words(batch_size: int, num_events: int) -> int:
    """Return how many words ``draw`` owns for a batch: where the next batch's words start.

    Two for each sample and one for each event, whatever the settings, so that one setting does not
    move the words of another.
    """
    return 2 * batch_size + num_events


def draw(batch_size: int, num_events: int, data: DataConfig, stream: Stream, start: int) -> Changes:
    """Return what augmentation does to a batch.

    The words are those of ``stream`` from ``start``: B for time, B for channels, e for drops. Time
    shifts are uniform in seconds and rounded to whole bins; channel shifts are uniform integers.
    """
    time, channel = stream.uniforms(2 * batch_size, start).reshape(2, batch_size)
    bins_per_second = data.num_bins / data.duration
    width = 2 * data.channel_jitter + 1
    kept = np.empty(0, np.bool_)
    if data.drop > 0:
        kept = stream.words(num_events, start + 2 * batch_size) >= threshold(data.drop)
    return Changes(
        bins=np.rint((2.0 * time - 1.0) * data.time_jitter * bins_per_second).astype(np.int64),
        channels=np.floor(channel * width).astype(np.int64) - data.channel_jitter,
        kept=kept,
    )


def draw_steps(
    steps: Sequence[I64], events: EventSet, data: DataConfig, stream: Stream
) -> list[Changes]:
    """Return what augmentation does to the samples (B,) of each step of a round."""
    drawn, start = [], 0
    for samples in steps:
        num_events = int(events.num_events[samples].sum())
        drawn.append(draw(len(samples), num_events, data, stream, start))
        start += num_words(len(samples), num_events)
    return drawn


def augment(batch: BatchEvents, shape: tuple[int, int, int], changes: Changes) -> BatchEvents:
    """Return the events of a batch after time jitter, channel jitter and drop.

    ``batch`` is row in batch, bin, channel, value, (e,) each; ``shape`` is (T, B, C).
    """
    rows, bins, channels, values = batch
    num_bins, _, num_channels = shape
    bins, channels = bins + changes.bins[rows], channels + changes.channels[rows]
    keep = (bins >= 0) & (bins < num_bins) & (channels >= 0) & (channels < num_channels)
    if len(changes.kept):
        keep &= changes.kept
    return rows[keep], bins[keep], channels[keep], values[keep]
