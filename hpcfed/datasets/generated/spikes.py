"""Spikes of generated samples: a population code for points, and words that decide.

S samples, D coordinates, N neurons a coordinate, L laws, T time bins, C channels.

A population of neurons tells a coordinate z from 0 to 1: neuron k = 0..N-1 spikes in each bin, by a
word of its own, with probability (1 + cos(pi min(1, |(N - 1) z - k| / w))) / 2, where w is the
width on each side (Jang, Skatchkovsky and Simeone 2020, arXiv:2012.08300). Channels are the neurons
of the first coordinate, then those of the next.
"""

from __future__ import annotations

import numpy as np

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.datasets.generated.recipe import F32, F64, I64, Kind, Part, Recipe, Words
from hpcfed.samples.events import EventSet


def spike_probability(coordinates: F64, neurons: int, width: float) -> F64:
    """Return how probable a spike of each channel is in a bin: (S, C) for ``coordinates`` (S, D).

    ``width`` is that of a raised cosine on each side, in spacings of the ``neurons``.
    """
    distance = (neurons - 1) * coordinates[:, :, None] - np.arange(neurons)
    cosine = np.cos(np.pi * np.clip(distance / width, -1, 1))
    return np.asarray((1 + cosine) / 2).reshape(len(coordinates), -1)


def coded(
    coordinates: F64, labels: I64, neurons: int, width: float, targets: F32 | None = None
) -> Part:
    """Return the part of points (S, D), which a population tells in every bin alike."""
    chances = spike_probability(coordinates, neurons, width)[:, None, :]
    return Part(chances, np.arange(len(labels)), labels, targets, coordinates)


def noise(recipe: Recipe, part: Words, count: int) -> F64:
    """Return the Gaussian noise of ``part``, (count,)."""
    stream = Stream(recipe.seed, Purpose.GENERATED_DATA, part)
    return np.asarray(recipe.noise * stream.normals(count))


def drawn(part: Part, recipe: Recipe, kind: Kind, words: Words) -> EventSet:
    """Return the spikes of ``part``: word t C + c of a sample decides on bin t of channel c."""
    from hpcfed.base.philox import CompiledStream

    num_samples, num_bins, num_channels = len(part.laws), recipe.num_bins, part.chances.shape[2]
    limits = np.rint(part.chances * 2.0**32).astype(np.uint64)  # seeds.threshold of each
    channels = []
    bin_offsets = np.zeros((num_samples, num_bins + 1), np.uint32)
    for sample, law in enumerate(part.laws):
        stream = CompiledStream(recipe.seed, Purpose.GENERATED_DATA, words, sample)
        found = stream.words(num_bins * num_channels).reshape(num_bins, num_channels)
        fires = found < limits[law]
        channels.append((np.flatnonzero(fires) % num_channels).astype(np.uint16))
        np.cumsum(fires.sum(axis=1), out=bin_offsets[sample, 1:])
    at = part.coordinates
    return EventSet(
        channels=np.concatenate(channels),
        counts=None,
        bin_offsets=bin_offsets,
        sample_offsets=np.cumsum([0, *map(len, channels)], dtype=np.int64),
        labels=part.labels,
        groups=np.zeros(num_samples, np.int64),
        num_channels=num_channels,
        duration=recipe.duration,
        class_names=kind.class_names,
        group_names=("generated",),
        targets=part.targets,
        coordinates=None if at is None else at.astype(np.float32),
    )
