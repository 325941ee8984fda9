"""A data set in one file: tones that sweep up, down, or stay, each drawn by one of six players.

``data.dataset = "sweeping_tones:load"``. A sample is a spike in every millisecond; its channel
follows the tone. Players differ in pitch: they are the groups, and so by default the clients.
"""

import numpy as np

from hpcfed import Binning, bin_samples

CLASSES = ("up", "down", "still")
CHANNELS, PLAYERS, EACH = 40, 6, 30


def load(config):
    """Return training and test samples, binned as the [data] table says."""
    binning = Binning(config.duration, config.num_bins, config.counts)
    return tones(binning, range(PLAYERS), 0), tones(binning, range(PLAYERS, PLAYERS + 2), 1)


def tones(binning, players, seed):
    """Return ``EACH`` samples of each player; the same on every rank, whatever the process."""
    words = np.random.default_rng(seed)
    labels = words.integers(len(CLASSES), size=EACH * len(players))
    groups = np.repeat(np.arange(len(players)), EACH)
    times = np.arange(0.0, binning.duration, 0.001)
    slopes = np.array([1.0, -1.0, 0.0])[labels] * words.uniform(10, 16, len(labels))
    samples = []
    for group, slope in zip(groups, slopes, strict=True):
        pitch = CHANNELS / 2 + 0.5 * players[group] + words.normal(0, 2, len(times))
        channels = pitch + slope * times / binning.duration
        samples.append((times, np.clip(channels, 0, CHANNELS - 1).astype(np.int64)))
    names = tuple(f"player {player}" for player in players)
    return bin_samples(
        samples, labels, groups, binning=binning, num_channels=CHANNELS, names=(CLASSES, names)
    )
