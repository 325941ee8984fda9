"""Two classes that differ in timing alone: each channel has its moment, another in each class.

T time bins, K classes, C channels, z from 0 to 1 the place of a bin's centre in the window. Of 60
bins, channel c spikes in each with probability

    noise + 0.3 exp(-d(z, m_kc)^2 / (2 (4 / 60)^2))

in class k, where d is the distance on a circle: a bump that reaches past an edge of the window goes
on at the other. So each bump lies in the window as a whole, wherever its moment m_kc from 0 to 1,
and the expected number of spikes is the same in both classes, for each channel. With T bins the
probability is 60 / T times that, so that this number stays. Word 2 c + k draws m_kc.
"""

from __future__ import annotations

import math

import numpy as np

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config.generated import GeneratedConfig
from hpcfed.datasets.generated.recipe import F64, Kind, Part, Parts, Recipe, Words
from hpcfed.errors import InputError

_CLASSES = ("0", "1")
_BINS = 60  # for which probabilities are given
_HEIGHT = 0.3
_DEVIATION = 4 / _BINS  # of the window


def moments(seed: int, num_channels: int) -> F64:
    """Return when each channel is most active, as part of the window: (K, C)."""
    stream = Stream(seed, Purpose.GENERATED_DATA, Words.TIMES)
    return stream.uniforms(len(_CLASSES) * num_channels).reshape(num_channels, -1).T


def bump_probability(centres: F64, num_bins: int, noise: float) -> F64:
    """Return how probable a spike is in each bin: (K, T, C) for ``centres`` (K, C)."""
    z = (np.arange(num_bins) + 0.5) / num_bins
    away = abs(z[:, None] - centres[:, None, :])
    bump = np.exp(-((np.minimum(away, 1 - away) / _DEVIATION) ** 2) / 2)
    return np.asarray((noise + _HEIGHT * bump) * _BINS / num_bins)


def _check(given: GeneratedConfig, recipe: Recipe) -> None:
    least = math.ceil(_BINS * (recipe.noise + _HEIGHT) - 1e-9)  # 60 x 0.3 may be rounded up
    if recipe.num_bins < least:
        raise InputError(
            f"data.num_bins = {recipe.num_bins}: with data.generated.noise = {recipe.noise:g} "
            f"{recipe.name} needs at least {least} bins for probabilities up to 1; give more bins"
            " or less noise"
        )


def _parts(recipe: Recipe) -> Parts:
    centres = moments(recipe.seed, recipe.neurons)
    chances = bump_probability(centres, recipe.num_bins, recipe.noise)

    def part(count: int) -> Part:
        labels = np.arange(count) % len(_CLASSES)
        return Part(chances, labels, labels)

    return {Words.TRAIN: part(recipe.samples), Words.TEST: part(recipe.test_samples)}


KIND = Kind(
    dimensions=1, samples=400, test_samples=400, neurons=60, noise=0.02,
    class_names=_CLASSES, parts=_parts, check=_check,
)  # fmt: skip
