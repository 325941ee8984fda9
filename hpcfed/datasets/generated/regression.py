"""A curve to learn: y = x - x^2 / 10 + cos(pi x / 2), as a target from 0 to 1.

The curve of Jang, Skatchkovsky and Simeone (2020, arXiv:2012.08300) is known in three intervals of
x, with Gaussian noise on y, and asked for, without noise, from -1 to 5. Both are scaled to 0..1 by
the minimum and maximum of the test points; training targets beyond are moved to the edge. A
sample's class is "high" from 0.5 on. A neuron is four times as wide as its distance to the next.
"""

from __future__ import annotations

import numpy as np

from hpcfed.config.generated import REGRESSION, GeneratedConfig
from hpcfed.datasets.generated.recipe import F64, Kind, Part, Parts, Recipe, Words
from hpcfed.datasets.generated.spikes import coded, noise
from hpcfed.errors import InputError

_WIDTH = 4.0
_KNOWN_FROM = (-1.0, 1.5, 4.0)  # where the intervals of x begin, each 1 long
_KNOWN_STEPS = 20  # points of each interval


def curve(x: F64) -> F64:
    """Return y (S,) of the regression at ``x`` (S,)."""
    return np.asarray(x - x**2 / 10 + np.cos(np.pi * x / 2))


def _check(given: GeneratedConfig, recipe: Recipe) -> None:
    if given.samples or given.test_samples:
        raise InputError(
            f"data.generated: the {KIND.samples} training and {KIND.test_samples} test points of "
            f"{REGRESSION} are a fixed grid; leave samples and test_samples out"
        )


def _parts(recipe: Recipe) -> Parts:
    known = np.add.outer(_KNOWN_FROM, np.arange(_KNOWN_STEPS) / _KNOWN_STEPS).ravel()
    asked = -1 + np.arange(recipe.test_samples) / 100
    y = curve(asked)
    noisy = curve(known) + noise(recipe, Words.TRAIN_NOISE, len(known))

    def part(x: F64, y_there: F64) -> Part:
        targets = np.clip((y_there - y.min()) / (y.max() - y.min()), 0, 1).astype(np.float32)
        coordinates = ((x - asked[0]) / (asked[-1] - asked[0]))[:, None]
        labels = (targets >= 0.5).astype(np.int64)
        return coded(coordinates, labels, recipe.neurons, _WIDTH, targets)

    return {Words.TRAIN: part(known, noisy), Words.TEST: part(asked, y)}


KIND = Kind(
    dimensions=1, samples=60, test_samples=600, neurons=20, noise=0.1,
    class_names=("low", "high"), parts=_parts, check=_check,
)  # fmt: skip
