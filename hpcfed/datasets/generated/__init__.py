"""Data sets that are generated from a seed: two moons, a curve, and classes by timing alone.

The words of a sample follow from seed, part and number of the sample, whatever else there is.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass

from hpcfed.config import DataConfig
from hpcfed.config.generated import REGRESSION, TIMING, TWO_MOONS, GeneratedConfig
from hpcfed.datasets.generated import moons, regression, timing
from hpcfed.datasets.generated.moons import half_circles
from hpcfed.datasets.generated.recipe import Recipe, Words
from hpcfed.datasets.generated.regression import curve
from hpcfed.datasets.generated.spikes import drawn, spike_probability
from hpcfed.datasets.generated.timing import bump_probability, moments
from hpcfed.datasets.sources import check_no_test
from hpcfed.errors import InputError
from hpcfed.samples.events import EventSet

__all__ = [
    "Generated",
    "bump_probability",
    "curve",
    "generate",
    "half_circles",
    "moments",
    "spike_probability",
]

_KINDS = {TWO_MOONS: moons.KIND, REGRESSION: regression.KIND, TIMING: timing.KIND}
_VERSION = 1  # of what is made from the same numbers
_MOST_CHANNELS = 1 << 16  # the numbers that uint16 has


@dataclass(frozen=True)
class Generated:
    """A generated set; ``digest`` is SHA-256 (hex) of all that it follows from.

    ``probe`` are points to look at, which have no label; None where the test points serve.
    """

    train: EventSet
    test: EventSet
    probe: EventSet | None
    digest: str


def generate(config: DataConfig) -> Generated:
    """Make the set ``config.dataset``. Raises InputError for settings that mean nothing to it."""
    recipe, kind = _recipe(config), _KINDS[config.dataset]
    parts = kind.parts(recipe)
    made = {words: drawn(part, recipe, kind, words) for words, part in parts.items()}
    text = repr((_VERSION, *astuple(recipe)))
    return Generated(
        train=made[Words.TRAIN],
        test=made[Words.TEST],
        probe=made.get(Words.PROBE),
        digest=hashlib.sha256(text.encode()).hexdigest(),
    )


def _recipe(config: DataConfig) -> Recipe:
    given, kind = config.generated or GeneratedConfig(), _KINDS[config.dataset]
    recipe = Recipe(
        name=config.dataset,
        seed=given.seed,
        samples=given.samples or kind.samples,
        test_samples=given.test_samples or kind.test_samples,
        noise=kind.noise if given.noise is None else given.noise,
        neurons=given.neurons or kind.neurons,
        num_bins=config.num_bins,
        duration=config.duration,
    )
    _check(config, recipe)
    kind.check(given, recipe)
    return recipe


def _check(config: DataConfig, recipe: Recipe) -> None:
    dimensions = _KINDS[recipe.name].dimensions
    check_no_test(config)
    if config.counts:
        raise InputError(
            f"data.counts = true: in each bin a neuron of {recipe.name} spikes once or not at all; "
            "leave data.counts out"
        )
    if dimensions * recipe.neurons > _MOST_CHANNELS:
        raise InputError(
            f"data.generated.neurons = {recipe.neurons}: {dimensions} x {recipe.neurons} "
            f"channels; give at most {_MOST_CHANNELS // dimensions} neurons"
        )
