"""Splits by class: the same samples for every partition, rank count and seed of a run.

The validation split is stratified by class and drawn by words of its own seed, one word a sample of
the store, before the training samples are divided among clients.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream

I64 = NDArray[np.int64]


def split(
    labels: I64, fraction: float, seed: int, purpose: Purpose = Purpose.VALIDATION_SPLIT
) -> tuple[I64, I64]:
    """Return the ids for training and for validation, ascending int64.

    With another ``purpose`` the second are for that.

    ``labels`` is (S,) int64; samples labelled -1 are in neither. Each class keeps at least one
    sample for training. Of all samples ``fraction`` is kept for validation, rounded, but at least
    one if it is above 0; classes share it in proportion (largest remainder, ties to the lower).
    """
    words = Stream(seed, purpose).words(len(labels))
    classes, sizes = np.unique(labels[labels >= 0], return_counts=True)
    chosen = [np.empty(0, np.int64)]
    for label, count in zip(classes, _shares(sizes, fraction), strict=True):
        members = np.flatnonzero(labels == label)
        chosen.append(members[np.argsort(words[members], kind="stable")[:count]])
    validation = np.sort(np.concatenate(chosen))
    training = np.setdiff1d(np.flatnonzero(labels >= 0), validation)
    return training, validation


def _shares(sizes: I64, fraction: float) -> I64:
    if fraction == 0 or not sizes.sum():
        return np.zeros(len(sizes), np.int64)
    quotas = sizes * fraction
    shares = np.floor(quotas).astype(np.int64)
    missing = max(1, round(float(quotas.sum()))) - int(shares.sum())
    shares[np.argsort(shares - quotas, kind="stable")[:missing]] += 1
    return np.asarray(np.minimum(shares, sizes - 1), np.int64)
