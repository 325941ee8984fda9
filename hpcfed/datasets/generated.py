"""Data sets that are generated from a seed: two moons to tell apart, and a curve to learn.

S samples, D coordinates, N neurons a coordinate, C = D N channels, T time bins. Points, noise and
code are those of Jang, Skatchkovsky and Simeone (2020, arXiv:2012.08300).

``two-moons``: interleaving half circles, (cos a, sin a) above and (1 - cos a, 0.5 - sin a) below,
a evenly spread from 0 to pi, with Gaussian noise on both coordinates. Both are scaled to 0..1 by
the minimum and maximum of the training points; test points beyond are moved to the edge. The probe
is a grid over the square, to see what a network makes of all of it.

``regression``: y = x - x^2 / 10 + cos(pi x / 2), known in three intervals of x, with Gaussian noise
on y, and asked for, without noise, from -1 to 5. Both are scaled to 0..1 by the minimum and maximum
of the test points; training targets beyond are moved to the edge. A sample's class is "high" from
0.5 on.

A population of neurons tells a scaled coordinate z: neuron k = 0..N-1 spikes in each bin, by a word
of its own, with probability (1 + cos(pi min(1, |(N - 1) z - k| / w))) / 2, where w, the width on
each side, is 1 for moons and 4 for the curve. Channels are the neurons of x, then those of y. The
words of a sample follow from seed, part and number of the sample, whatever else there is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import DataConfig
from hpcfed.config.generated import GeneratedConfig
from hpcfed.datasets.sources import check_no_test
from hpcfed.errors import InputError
from hpcfed.samples.events import EventSet

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

TWO_MOONS, REGRESSION = "two-moons", "regression"
_VERSION = 1  # of what is made from the same numbers
_NOISE = 0.1  # standard deviation, of both sets
_PROBE_SIDE = 50
_MOST_CHANNELS = 1 << 16  # the numbers that uint16 has
_KNOWN_FROM = (-1.0, 1.5, 4.0)  # where the intervals of x begin, each 1 long
_KNOWN_STEPS = 20  # points of each interval


class _Words(IntEnum):
    """Which part of a set words are for; as rounds of their streams, so never renumbered."""

    TRAIN = 0
    TEST = 1
    PROBE = 2
    TRAIN_NOISE = 3
    TEST_NOISE = 4


@dataclass(frozen=True)
class Generated:
    """A generated set; ``digest`` is SHA-256 (hex) of all that it follows from.

    ``probe`` are points to look at, which have no label; None where the test points serve.
    """

    train: EventSet
    test: EventSet
    probe: EventSet | None
    digest: str


@dataclass(frozen=True)
class _Recipe:
    """All numbers that a generated set follows from."""

    name: str
    seed: int
    samples: int
    test_samples: int
    noise: float
    neurons: int
    num_bins: int
    duration: float


class _Points(NamedTuple):
    """Scaled points (S, D), labels (S,), and targets (S,) where there are some."""

    coordinates: F64
    labels: I64
    targets: F32 | None = None


_Parts = dict[_Words, _Points]


class _Kind(NamedTuple):
    """What tells one generated set from another."""

    dimensions: int
    samples: int
    test_samples: int
    neurons: int
    width: float
    class_names: tuple[str, str]
    points: Callable[[_Recipe], _Parts]


def generate(config: DataConfig) -> Generated:
    """Make the set ``config.dataset``. Raises InputError for settings that mean nothing to it."""
    recipe = _recipe(config)
    points = _KINDS[recipe.name].points(recipe)
    made = {part: _events(points[part], recipe, part) for part in points}
    text = repr((_VERSION, *astuple(recipe)))
    return Generated(
        train=made[_Words.TRAIN],
        test=made[_Words.TEST],
        probe=made.get(_Words.PROBE),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def spike_probability(coordinates: F64, neurons: int, width: float) -> F64:
    """Return how probable a spike of each channel is in a bin: (S, C) for ``coordinates`` (S, D).

    ``width`` is that of a raised cosine on each side, in spacings of the ``neurons``.
    """
    distance = (neurons - 1) * coordinates[:, :, None] - np.arange(neurons)
    cosine = np.cos(np.pi * np.clip(distance / width, -1, 1))
    return np.asarray((1 + cosine) / 2).reshape(len(coordinates), -1)


def half_circles(count: int) -> tuple[F64, I64]:
    """Return the moons without noise, (S, 2), and labels (S,), upper and lower by turns."""
    upper = np.linspace(0, np.pi, (count + 1) // 2)
    lower = np.linspace(0, np.pi, count // 2)
    points = np.empty((count, 2))
    points[0::2] = np.stack([np.cos(upper), np.sin(upper)], axis=1)
    points[1::2] = np.stack([1 - np.cos(lower), 0.5 - np.sin(lower)], axis=1)
    return points, np.arange(count) % 2


def curve(x: F64) -> F64:
    """Return y (S,) of the regression at ``x`` (S,)."""
    return np.asarray(x - x**2 / 10 + np.cos(np.pi * x / 2))


def _recipe(config: DataConfig) -> _Recipe:
    given, kind = config.generated or GeneratedConfig(), _KINDS[config.dataset]
    recipe = _Recipe(
        name=config.dataset,
        seed=given.seed,
        samples=given.samples or kind.samples,
        test_samples=given.test_samples or kind.test_samples,
        noise=_NOISE if given.noise is None else given.noise,
        neurons=given.neurons or kind.neurons,
        num_bins=config.num_bins,
        duration=config.duration,
    )
    _check(config, given, recipe)
    return recipe


def _check(config: DataConfig, given: GeneratedConfig, recipe: _Recipe) -> None:
    kind = _KINDS[recipe.name]
    check_no_test(config)
    if config.counts:
        raise InputError(
            f"data.counts = true: in each bin a neuron of {recipe.name} spikes once or not at all; "
            "leave data.counts out"
        )
    if recipe.name == REGRESSION and (given.samples or given.test_samples):
        raise InputError(
            f"data.generated: the {kind.samples} training and {kind.test_samples} test points of "
            f"{REGRESSION} are a fixed grid; leave samples and test_samples out"
        )
    if recipe.samples < 2:
        raise InputError("data.generated.samples = 1: two moons need at least 2 training points")
    if kind.dimensions * recipe.neurons > _MOST_CHANNELS:
        raise InputError(
            f"data.generated.neurons = {recipe.neurons}: {kind.dimensions} x {recipe.neurons} "
            f"channels; give at most {_MOST_CHANNELS // kind.dimensions} neurons"
        )


def _moons(recipe: _Recipe) -> _Parts:
    train, train_labels = half_circles(recipe.samples)
    test, test_labels = half_circles(recipe.test_samples)
    train += _noise(recipe, _Words.TRAIN_NOISE, train.size).reshape(-1, 2)
    test += _noise(recipe, _Words.TEST_NOISE, test.size).reshape(-1, 2)
    low, high = train.min(axis=0), train.max(axis=0)
    y, x = np.indices((_PROBE_SIDE, _PROBE_SIDE)).reshape(2, -1) / (_PROBE_SIDE - 1)
    return {
        _Words.TRAIN: _Points((train - low) / (high - low), train_labels),
        _Words.TEST: _Points(np.clip((test - low) / (high - low), 0, 1), test_labels),
        _Words.PROBE: _Points(np.stack([x, y], axis=1), np.full(len(x), -1, np.int64)),
    }


def _curve(recipe: _Recipe) -> _Parts:
    known = np.add.outer(_KNOWN_FROM, np.arange(_KNOWN_STEPS) / _KNOWN_STEPS).ravel()
    asked = -1 + np.arange(recipe.test_samples) / 100
    y = curve(asked)
    noisy = curve(known) + _noise(recipe, _Words.TRAIN_NOISE, len(known))

    def points(x: F64, y_there: F64) -> _Points:
        targets = np.clip((y_there - y.min()) / (y.max() - y.min()), 0, 1).astype(np.float32)
        coordinates = (x - asked[0]) / (asked[-1] - asked[0])
        return _Points(coordinates[:, None], (targets >= 0.5).astype(np.int64), targets)

    return {_Words.TRAIN: points(known, noisy), _Words.TEST: points(asked, y)}


def _noise(recipe: _Recipe, part: _Words, count: int) -> F64:
    stream = Stream(recipe.seed, Purpose.GENERATED_DATA, part)
    return np.asarray(recipe.noise * stream.normals(count))


def _events(points: _Points, recipe: _Recipe, part: _Words) -> EventSet:
    """Return the spikes of ``points``: word t C + c of a sample decides on bin t of channel c."""
    from hpcfed.base.philox import CompiledStream

    kind, num_bins = _KINDS[recipe.name], recipe.num_bins
    chances = spike_probability(points.coordinates, recipe.neurons, kind.width)
    num_samples, num_channels = chances.shape
    limits = np.rint(chances * 2.0**32).astype(np.uint64)  # seeds.threshold of each
    channels = []
    bin_offsets = np.zeros((num_samples, num_bins + 1), np.uint32)
    for sample, limit in enumerate(limits):
        stream = CompiledStream(recipe.seed, Purpose.GENERATED_DATA, part, sample)
        fires = stream.words(num_bins * num_channels).reshape(num_bins, num_channels) < limit
        channels.append((np.flatnonzero(fires) % num_channels).astype(np.uint16))
        np.cumsum(fires.sum(axis=1), out=bin_offsets[sample, 1:])
    return EventSet(
        channels=np.concatenate(channels),
        counts=None,
        bin_offsets=bin_offsets,
        sample_offsets=np.cumsum([0, *map(len, channels)], dtype=np.int64),
        labels=points.labels,
        groups=np.zeros(num_samples, np.int64),
        num_channels=num_channels,
        duration=recipe.duration,
        class_names=kind.class_names,
        group_names=("generated",),
        targets=points.targets,
        coordinates=points.coordinates.astype(np.float32),
    )


_KINDS = {
    TWO_MOONS: _Kind(2, 200, 1000, 10, 1.0, ("upper", "lower"), _moons),
    REGRESSION: _Kind(1, 60, 600, 20, 4.0, ("low", "high"), _curve),
}
