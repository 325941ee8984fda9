"""Spikes as events: which channels fired in which time bin of which sample, never a dense array.

T time bins, C channels, S samples, E events, B batch. An :class:`EventSet` is immutable; a batch is
an array of sample ids. By default a bin is binary (two spikes of one channel in one bin are one
event); with counts the number is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any  # Any: times of any type

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning, bin_numbers
from hpcfed.samples.samples import Samples

I64 = NDArray[np.int64]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Channels = NDArray[np.uint16] | NDArray[np.uint32]


@dataclass(frozen=True)
class EventSet:
    """The binned events of S samples, sorted by (sample, bin, channel).

    Attributes:
        channels: (E,) uint16, or uint32 beyond 65536 channels: the channel of each event.
        counts: (E,) uint16 spikes of each event, or None for binary bins.
        bin_offsets: (S, T+1) uint32: where each bin starts, within its sample.
        sample_offsets: (S+1,) int64: where each sample starts in ``channels``.
        labels: (S,) int64, index into ``class_names``; -1 marks a sample outside the chosen subset.
        groups: (S,) int64, index into ``group_names`` (speakers).
        num_cut: spikes at or after ``duration``, left out.
        latest: time of the last spike of all, s, left out or not; 0 where nobody noted it.
        plane: shape of a sensor, as (polarity, height, width), whose C-order ravel the channels
            are; () where they have none.
        targets: (S,) float32 from 0 to 1 that stands in for labels of two classes, how much of the
            second there is; None where labels say all.
        coordinates: (S, D) float32 from 0 to 1, the scaled point that a sample encodes; None where
            there is none.
        teacher: (S, K) float32 logits of a teacher, of samples that are trained on; None without.
    """

    channels: Channels
    counts: NDArray[np.uint16] | None
    bin_offsets: NDArray[np.uint32]
    sample_offsets: I64
    labels: I64
    groups: I64
    num_channels: int
    duration: float
    class_names: tuple[str, ...]
    group_names: tuple[str, ...]
    num_cut: int = 0
    latest: float = 0.0
    plane: tuple[int, ...] = ()
    targets: F32 | None = None
    coordinates: F32 | None = None
    teacher: F32 | None = None

    @property
    def num_samples(self) -> int:
        """S, the number of samples in the store."""
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the input at one time: (C,), or that of the sensor whose ravel channels are."""
        return self.plane or (self.num_channels,)

    @property
    def num_bins(self) -> int:
        """T, the number of time bins."""
        return int(self.bin_offsets.shape[1]) - 1

    @property
    def num_events(self) -> I64:
        """(S,) int64: events of each sample after binning."""
        return self.sample_offsets[1:] - self.sample_offsets[:-1]

    @property
    def num_spikes(self) -> I64:
        """(S,) int64: spikes of each sample, the events times their counts."""
        if self.counts is None:
            return self.num_events
        running = np.concatenate([[0], np.cumsum(self.counts, dtype=np.int64)])
        return np.diff(running[self.sample_offsets])

    def batch_events(self, samples: I64) -> tuple[I64, I64, I64, F32]:
        """Return the events of ``samples`` (B,) as four (e,) arrays: row, bin, channel, value."""
        starts, lengths = self.sample_offsets[samples], self.num_events[samples]
        rows = np.repeat(np.arange(len(samples)), lengths)
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        index = within + np.repeat(starts, lengths)
        edges = self.bin_offsets[samples].astype(np.int64)
        per_bin = (edges[:, 1:] - edges[:, :-1]).ravel()
        bins = np.repeat(np.tile(np.arange(self.num_bins), len(samples)), per_bin)
        value = np.ones(len(index), np.float32) if self.counts is None else self.counts[index]
        return rows, bins, self.channels[index].astype(np.int64), value.astype(np.float32)

    def input_rate(self, samples: I64) -> float:
        """Return the mean spikes per channel and bin of ``samples`` (B,), each of a count one."""
        cells = len(samples) * self.num_bins * self.num_channels
        return float(int(self.num_spikes[samples].sum()) / cells)

    def examples(self, samples: I64) -> NDArray[np.uint16]:
        """Return the spikes of ``samples`` (B,): (B, T, C) uint16."""
        return self.dense(samples).transpose(1, 0, 2).astype(np.uint16)

    def dense(self, samples: I64) -> F32:
        """Return one batch as (T, B, C) float32, for engines that need it dense."""
        rows, bins, channels, values = self.batch_events(samples)
        out = np.zeros((self.num_bins, len(samples), self.num_channels), np.float32)
        out[bins, rows, channels] = values
        return out


OTHER_DATA = "choose another data.dataset, or a rule that learns otherwise"


def events_of(samples: Samples, who: str, otherwise: str, *, targets: bool = False) -> EventSet:
    """Return ``samples`` as events, with labels unless ``targets`` between classes will do.

    Raises InputError, saying ``who`` needs them and what to do ``otherwise``.
    """
    if not isinstance(samples, EventSet):
        kind = type(samples).__name__
        raise InputError(f"{who} works on events, the data are a {kind}; {otherwise}")
    if samples.targets is not None and not targets:
        raise InputError(
            f"{who} learns labels, and the data have targets between two classes; {otherwise}"
        )
    return samples


def bin_sample(
    times: NDArray[Any], units: NDArray[np.integer], binning: Binning, ticks: int = 1
) -> tuple[NDArray[np.uint32], I64, NDArray[np.uint16], int]:
    """Bin one sample; ``times`` (n,) and ``units`` (n,) channels in any order.

    ``times`` are seconds, or whole numbers of ticks, ``ticks`` a second. Returns bin offsets (T+1,)
    uint32, channels (e,) int64 sorted within bins, counts (e,) uint16 and the number of spikes cut
    off at ``duration``. Raises ValueError for times that are not finite or negative.
    """
    bins = bin_numbers(np.asarray(times), binning, ticks)
    keep = bins < binning.num_bins
    bins = bins[keep]
    width = int(units.max()) + 1 if units.size else 1
    keys, counts = np.unique(bins * width + units[keep].astype(np.int64), return_counts=True)
    offsets = np.searchsorted(keys, np.arange(binning.num_bins + 1) * width).astype(np.uint32)
    limit = np.iinfo(np.uint16).max
    return offsets, keys % width, np.minimum(counts, limit).astype(np.uint16), int((~keep).sum())


def bin_samples(
    samples: Iterable[tuple[NDArray[Any], NDArray[np.integer]]],
    labels: Sequence[int] | I64,
    groups: Sequence[int] | I64,
    *,
    binning: Binning,
    num_channels: int,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    ticks: int = 1,
) -> EventSet:
    """Build an EventSet from raw samples (times, units), one after the other.

    ``times`` are seconds, or whole numbers of ticks, ``ticks`` a second; ``names`` are the class
    names and the group names. Raises InputError naming the sample for
    times or units that cannot be used and for a sample without a single spike.
    """
    dtype = np.dtype(np.uint16 if num_channels <= 1 << 16 else np.uint32)
    channels, counts, offsets, num_cut = [np.empty(0, dtype)], [], [], 0
    latest = 0.0
    for index, (times, units) in enumerate(samples):
        try:
            _check(times, units, num_channels)
            sample = bin_sample(times, units, binning, ticks)
        except ValueError as error:
            raise InputError(f"sample {index} has {error}") from None
        offsets.append(sample[0])
        channels.append(sample[1].astype(dtype))
        if binning.counts:
            counts.append(sample[2])
        num_cut += sample[3]
        latest = max(latest, float(times.max()))
    lengths = [len(c) for c in channels[1:]]
    return EventSet(
        channels=np.concatenate(channels),
        counts=np.concatenate(counts) if counts else None,
        bin_offsets=np.array(offsets, np.uint32).reshape(-1, binning.num_bins + 1),
        sample_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        labels=np.asarray(labels, np.int64),
        groups=np.asarray(groups, np.int64),
        num_channels=num_channels,
        duration=binning.duration,
        class_names=names[0],
        group_names=names[1],
        num_cut=num_cut,
        latest=latest / ticks,
    )


def _check(times: NDArray[Any], units: NDArray[np.integer], num_channels: int) -> None:
    if len(times) != len(units):
        raise ValueError(f"{len(times)} spike times but {len(units)} channels")
    if not len(times):
        raise ValueError("no spikes at all; remove it from the file")
    lowest, highest = int(units.min()), int(units.max())
    if lowest < 0 or highest >= num_channels:
        found = lowest if lowest < 0 else highest
        raise ValueError(f"channel {found}, the data set has channels 0 to {num_channels - 1}")
