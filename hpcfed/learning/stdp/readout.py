"""From spike counts to classes, by a table of how neurons responded to samples of each class.

N neurons, K classes, B batch. A neuron's label is the class in which it spikes most, a sample
(Diehl and Cook 2015, doi:10.3389/fncom.2015.00099); ties go to the lower class. Sums run in a fixed
order, so that answers have the same bits anywhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_HALF = 0.5  # added to every count of spikes: what was never seen is rare, not impossible


def rates(responses: F64, shown: F64) -> F64:
    """Return mean spikes (N, K) in a sample of each class; ``shown`` (N, K) are the samples."""
    return np.divide(responses, shown, out=np.zeros_like(responses), where=shown > 0)


def labels(mean: F64) -> I64:
    """Return the class (N,) in which each neuron has the largest ``mean`` (N, K)."""
    return np.asarray(mean.argmax(axis=1))


def by_labels(counts: I64, mean: F64) -> F64:
    """Return (B, K): of ``counts`` (B, N) the mean over the neurons of each label."""
    return _mean_of_labels(counts.astype(np.float64), mean)


def by_proportions(counts: I64, mean: F64) -> F64:
    """Return (B, K): the same, each neuron weighted by how much of its activity its label has."""
    total = mean.sum(axis=1, keepdims=True)
    parts = np.divide(mean, total, out=np.zeros_like(mean), where=total > 0)
    return _mean_of_labels(counts * parts.max(axis=1), mean)


def by_counts(counts: I64, responses: F64, shown: F64) -> F64:
    """Return log P (B, K) of ``counts`` (B, N) in each class, of independent Poisson neurons."""
    mean = (responses + _HALF) / (shown + 1)
    logarithms = np.log(mean)
    found = np.empty((len(counts), mean.shape[1]))
    for one in range(mean.shape[1]):
        found[:, one] = (counts * logarithms[:, one] - mean[:, one]).sum(axis=1)
    return found


def _mean_of_labels(activity: F64, mean: F64) -> F64:
    own = labels(mean)
    found = np.zeros((len(activity), mean.shape[1]))
    for one in np.unique(own).tolist():
        found[:, one] = activity[:, own == one].mean(axis=1)
    return found
