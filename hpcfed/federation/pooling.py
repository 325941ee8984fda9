"""Variances of clients, pooled.

With m_k and v_k the mean and variance of client k, the variance of all their values is the average
of v_k + m_k^2, less the square of the average of m_k. So clients send the change of v + m^2 in the
place of that of v, which can be averaged as all else, and the root takes the square off again. P
parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpcfed.learning.trainer import LocalUpdate
from hpcfed.networks.layout import Layout

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def second_moments(
    updates: Iterator[LocalUpdate], layout: Layout, params: F32
) -> Iterator[LocalUpdate]:
    """Yield updates of ``params`` (P,) with changes of second moments for those of variances."""
    if not layout.spreads:
        yield from updates
        return
    for update in updates:
        delta = np.array(update.delta)
        for variance, mean in layout.spreads:
            before, change = params[mean].astype(np.float64), delta[mean].astype(np.float64)
            delta[variance] += (change * (2 * before + change)).astype(np.float32)
        yield replace(update, delta=delta)


def variances(change: F64, layout: Layout, params: F32) -> F64:
    """Return ``change`` of ``params`` with changes of variances for those of second moments."""
    found = change.copy()
    for variance, mean in layout.spreads:
        before, moved = params[mean].astype(np.float64), change[mean]
        pooled = params[variance] + change[variance] - moved * (2 * before + moved)
        found[variance] = np.maximum(pooled, 0.0) - params[variance]
    return found
