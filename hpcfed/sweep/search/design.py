"""Points without a model: a scrambled Sobol sequence, and after it uniform ones.

Words are those of (seed, number of the proposal): the same for whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream

F64 = NDArray[np.float64]

MOST_TRIES = 2000  # points, until one is valid


def sobol(seed: int, num_keys: int, index: int) -> F64:
    """Return point ``index`` (D,) in [0, 1) of the sequence of ``seed``."""
    from scipy.stats import qmc

    sequence = qmc.Sobol(num_keys, rng=word(seed, 0))
    if index:
        sequence.fast_forward(index)
    return np.asarray(sequence.random(1)[0], np.float64)


def word(seed: int, number: int, start: int = 0) -> int:
    """Return a 32-bit word of a proposal, for libraries that take a seed."""
    return int(Stream(seed, Purpose.SEARCH, number).words(1, start)[0])


def candidates(seed: int, num_keys: int, index: int, number: int) -> Iterator[F64]:
    """Yield points (D,) for a proposal, without end: point ``index``, then uniform ones."""
    yield sobol(seed, num_keys, index)
    stream, start = Stream(seed, Purpose.SEARCH, number, 1), 0
    while True:
        yield stream.uniforms(num_keys, start)
        start += num_keys
