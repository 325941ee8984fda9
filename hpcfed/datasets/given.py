"""What Python is given in the place of a data set: arrays, or samples, for training and for test.

``data.dataset`` of such a run is a name made of the arrays' digest; the run file holds the whole
digest, so that nothing goes on, or is evaluated, on other arrays without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hpcfed.config import DataConfig
from hpcfed.config.data import ARRAYS, IMAGE_ARRAYS
from hpcfed.datasets import (
    Data,
    Loaded,
    binning,
    divided,
    for_network_of,
    joint_digest,
    samples_digest,
)
from hpcfed.datasets.arrays import SpikeTimes
from hpcfed.datasets.checks import check_events
from hpcfed.errors import InputError
from hpcfed.samples.events import EventSet
from hpcfed.samples.images import ImageSet

Samples = SpikeTimes | EventSet | ImageSet
_DIGITS = 12  # of the digest, in a name
_NAMES = ("training samples", "test samples")


@dataclass(frozen=True)
class Given:
    """Samples to train on, and to test on if there are any."""

    train: Samples
    test: Samples | None = None

    @classmethod
    def of(cls, data: object) -> Given:
        """Return what a user means by ``data``: samples, a pair of them, or a loaded ``Data``.

        Raises InputError for anything else, and for samples without labels.
        """
        if isinstance(data, Data):
            data = data.stores
        pair = tuple(data) if isinstance(data, tuple | list) else (data,)
        pair = pair if len(pair) > 1 else (*pair, None)
        kinds = tuple(type(one).__name__ for one in pair)
        if (
            len(pair) != 2
            or not isinstance(pair[0], Samples)
            or not isinstance(pair[1], Samples | None)
        ):
            raise InputError(
                f"data = {', '.join(kinds)}: expected samples (hpcfed.events, hpcfed.images), a "
                "pair of them for training and test, or what hpcfed.data returns"
            )
        for name, samples in zip(_NAMES, pair, strict=True):
            if samples is not None and not (samples.labels >= 0).any():
                raise InputError(f"{name}: they have no labels; give some")
        return cls(*pair)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the digests of both."""
        both = [self.train] if self.test is None else [self.train, self.test]
        return joint_digest(*(_digest(samples) for samples in both))

    @property
    def name(self) -> str:
        """What stands in ``data.dataset``."""
        kind = IMAGE_ARRAYS if isinstance(self.train, ImageSet) else ARRAYS
        return kind + self.digest[:_DIGITS]

    def load(self, config: DataConfig) -> Data:
        """Return them binned and split as ``config`` says. Raises InputError for unusable ones."""
        if config.dataset != self.name:
            raise InputError(
                f'data.dataset = "{config.dataset}", and these arrays are "{self.name}"; give '
                "those that the run was begun with"
            )
        both = [one for one in (self.train, self.test) if isinstance(one, SpikeTimes)]
        width = max((one.width for one in both), default=0)
        train = prepared(self.train, config, _NAMES[0], width)
        if self.test is None:
            return divided(config, train, None, self.digest)
        test = prepared(self.test, config, _NAMES[1], width)
        return divided(config, train, for_network_of(train, test, _NAMES), self.digest)


def prepared(samples: Samples, config: DataConfig, name: str, num_channels: int) -> Loaded:
    """Return ``samples`` as an experiment sees them: binned, if they are spike times.

    Those that do not say on how many channels they are have ``num_channels``. Raises InputError
    that begins with ``name`` for what cannot be used.
    """
    if isinstance(samples, SpikeTimes):
        width = samples.num_channels or num_channels
        return samples.binned(binning(config), width, name)
    if isinstance(samples, EventSet):
        check_events(samples, binning(config), name)
    return samples


def _digest(samples: Samples) -> str:
    return samples.digest() if isinstance(samples, SpikeTimes) else samples_digest(samples)
