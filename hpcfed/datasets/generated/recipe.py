"""What a generated set follows from, and what each of its parts is before spikes are drawn.

S samples, L laws, T time bins, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.generated import GeneratedConfig

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class Words(IntEnum):
    """Which part of a set words are for; as rounds of their streams, so never renumbered."""

    TRAIN = 0
    TEST = 1
    PROBE = 2
    TRAIN_NOISE = 3
    TEST_NOISE = 4
    TIMES = 5


@dataclass(frozen=True)
class Recipe:
    """All numbers that a generated set follows from."""

    name: str
    seed: int
    samples: int
    test_samples: int
    noise: float
    neurons: int
    num_bins: int
    duration: float


class Part(NamedTuple):
    """The samples of one part, before spikes are drawn.

    Attributes:
        chances: (L, 1 or T, C), how probable a spike is in each bin, or in any.
        laws: (S,), which of ``chances`` each sample follows.
        labels: (S,); -1 for points to look at.
        targets: (S,), as of :class:`~hpcfed.samples.events.EventSet`.
        coordinates: (S, D), as there.
    """

    chances: F64
    laws: I64
    labels: I64
    targets: F32 | None = None
    coordinates: F64 | None = None


Parts = dict[Words, Part]


class Kind(NamedTuple):
    """What tells one generated set from another.

    Numbers are those that hold where the configuration gives none; ``dimensions`` is how many times
    ``neurons`` there are channels, ``check`` raises InputError for what means nothing to the set.
    """

    dimensions: int
    samples: int
    test_samples: int
    neurons: int
    noise: float
    class_names: tuple[str, str]
    parts: Callable[[Recipe], Parts]
    check: Callable[[GeneratedConfig, Recipe], None]
