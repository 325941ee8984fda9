"""Raised cosines over the past, of which synaptic kernels are made.

K bases, W bins of the past. Skatchkovsky, Jang, Simeone 2019 (arXiv 1910.09594), after Pillow et
al. 2008 (doi:10.1038/nature07140).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def raised_cosines(num_bases: int, window: int, width: float) -> F64:
    """Return (K, W): what basis k makes of a spike 1, 2, ... W bins ago.

    A_k = (1 + cos(clip((x - c_k) mu pi / d, -pi, pi))) / 2 with x = log(lag - 1 + W / 10), mu the
    ``width``, and centres c_k from the first x to the last, d apart; a single basis is at the
    first, and d is the whole way.
    """
    x = np.log(np.arange(window) + window / 10)
    centres = np.linspace(x[0], x[-1], num_bases)[:, None]
    spacing = (x[-1] - x[0]) / max(num_bases - 1, 1)
    phase = np.clip((x - centres) * width * np.pi / spacing, -np.pi, np.pi)
    return np.asarray((1 + np.cos(phase)) / 2)
