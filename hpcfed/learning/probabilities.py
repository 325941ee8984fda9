"""Probabilities of classes, and how uncertain they are. B batch, K classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.samples.samples import Samples

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def softmax(logits: F64) -> F64:
    """Return the probabilities (..., K) of ``logits`` (..., K)."""
    with np.errstate(invalid="ignore", over="ignore"):
        parts = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(parts / parts.sum(axis=-1, keepdims=True))


def entropy(probabilities: F64) -> F64:
    """Return the entropy (...) in nats of ``probabilities`` (..., K)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(probabilities > 0, -probabilities * np.log(probabilities), 0.0)
    return np.asarray(terms.sum(axis=-1))


def truth(samples: Samples, ids: I64) -> F64:
    """Return how much of each class there is in samples ``ids`` (B,): (B, K)."""
    targets = getattr(samples, "targets", None)
    if targets is None:
        return np.asarray(np.eye(len(samples.class_names))[samples.labels[ids]])
    second = targets[ids].astype(np.float64)
    return np.stack([1 - second, second], axis=1)
