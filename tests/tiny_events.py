"""Small event sets for tests of networks and training."""

from __future__ import annotations

import numpy as np

from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples


def from_dense(dense: np.ndarray, labels: list[int] | np.ndarray, num_classes: int) -> EventSet:
    """Return the event set of ``dense`` (S, T, C) zeros and ones, in bins of 10 ms."""
    num_bins, num_channels = dense.shape[1:]
    samples = [np.nonzero(sample) for sample in dense]
    return bin_samples(
        [((bins + 0.5) / 100, channels) for bins, channels in samples],
        labels,
        np.zeros(len(labels), np.int64),
        binning=Binning(num_bins / 100, num_bins),
        num_channels=num_channels,
        names=(tuple(f"class {k}" for k in range(num_classes)), ("somebody",)),
    )


def patterns(
    num_samples: int, num_bins: int = 15, num_channels: int = 20, num_classes: int = 4
) -> EventSet:
    """Return noisy samples of which each class has its own busy channels; always the same ones."""
    rng = np.random.default_rng(0)
    labels = np.arange(num_samples) % num_classes
    busy = np.arange(num_channels) % num_classes == labels[:, None]
    chance = np.where(busy, 0.4, 0.05)[:, None, :]
    dense = rng.random((num_samples, num_bins, num_channels)) < chance
    dense[:, 0, 0] = True  # no sample is empty
    return from_dense(dense, labels, num_classes)
