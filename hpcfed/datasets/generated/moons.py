"""Two moons: interleaving half circles to tell apart, by the points' two coordinates.

(cos a, sin a) above and (1 - cos a, 0.5 - sin a) below, a evenly spread from 0 to pi, with Gaussian
noise on both coordinates, as of Jang, Skatchkovsky and Simeone (2020, arXiv:2012.08300). Both are
scaled to 0..1 by the minimum and maximum of the training points; test points beyond are moved to
the edge. The probe is a grid over the square, to see what a network makes of all of it. A neuron is
as wide as its distance to the next.
"""

from __future__ import annotations

import numpy as np

from hpcfed.config.generated import GeneratedConfig
from hpcfed.datasets.generated.recipe import F64, I64, Kind, Part, Parts, Recipe, Words
from hpcfed.datasets.generated.spikes import coded, noise
from hpcfed.errors import InputError

_PROBE_SIDE = 50
_WIDTH = 1.0


def half_circles(count: int) -> tuple[F64, I64]:
    """Return the moons without noise, (S, 2), and labels (S,), upper and lower by turns."""
    upper = np.linspace(0, np.pi, (count + 1) // 2)
    lower = np.linspace(0, np.pi, count // 2)
    points = np.empty((count, 2))
    points[0::2] = np.stack([np.cos(upper), np.sin(upper)], axis=1)
    points[1::2] = np.stack([1 - np.cos(lower), 0.5 - np.sin(lower)], axis=1)
    return points, np.arange(count) % 2


def _check(given: GeneratedConfig, recipe: Recipe) -> None:
    if recipe.samples < 2:
        raise InputError("data.generated.samples = 1: two moons need at least 2 training points")


def _parts(recipe: Recipe) -> Parts:
    train, train_labels = half_circles(recipe.samples)
    test, test_labels = half_circles(recipe.test_samples)
    train += noise(recipe, Words.TRAIN_NOISE, train.size).reshape(-1, 2)
    test += noise(recipe, Words.TEST_NOISE, test.size).reshape(-1, 2)
    low, high = train.min(axis=0), train.max(axis=0)
    y, x = np.indices((_PROBE_SIDE, _PROBE_SIDE)).reshape(2, -1) / (_PROBE_SIDE - 1)

    def part(points: F64, labels: I64) -> Part:
        return coded(points, labels, recipe.neurons, _WIDTH)

    return {
        Words.TRAIN: part((train - low) / (high - low), train_labels),
        Words.TEST: part(np.clip((test - low) / (high - low), 0, 1), test_labels),
        Words.PROBE: part(np.stack([x, y], axis=1), np.full(len(x), -1, np.int64)),
    }


KIND = Kind(
    dimensions=2, samples=200, test_samples=1000, neurons=10, noise=0.1,
    class_names=("upper", "lower"), parts=_parts, check=_check,
)  # fmt: skip
