"""Whether a run ends before its last round, and why: a function of what its log says so far.

A layer's share is silent (or saturated) samples over all samples that clients trained on in a
round. A round in which nobody took part says nothing. Firmin, Boulet and Talbi 2024 (arXiv
2403.00450) end the training of a single network this way; here a whole round has been counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any  # Any: columns of the log are of any scalar type

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.stop import StopConfig
from hpcfed.learning.silence import COUNTS

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]

SILENT, SATURATED, DIVERGED = "silent", "saturated", "diverged"


def shares(activity: I64) -> F64:
    """Return (L, 2): the silent and saturated part of the samples; NaN where there are none."""
    samples = activity[:, :1].astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(activity[:, 1:] / samples, np.float64)


def largest_share(activity: I64, which: str) -> float:
    """Return the largest share of any layer; NaN without layers or samples."""
    found = shares(activity)[:, COUNTS.index(which) - 1]
    return float(found.max()) if len(found) else math.nan


def verdict(
    stop: StopConfig | None,
    rounds: Mapping[str, Sequence[Any]],
    activity: Sequence[I64],
    *,
    has_loss: bool = True,
) -> str:
    """Return why the run ends now, "" if it goes on.

    ``rounds`` are the log's columns, ``activity`` (L, 3) of each round; some rules have no loss.
    """
    if stop is None:
        return ""
    if stop.diverged and _has_diverged(rounds, has_loss):
        return DIVERGED
    told = (counts for counts in reversed(activity) if len(counts) and counts[:, 0].all())
    recent = list(islice(told, stop.silent.rounds))
    if len(recent) < stop.silent.rounds:
        return ""
    for which in (SILENT, SATURATED):
        if all(largest_share(counts, which) > stop.silent.beta for counts in recent):
            return which
    return ""


def _has_diverged(rounds: Mapping[str, Sequence[Any]], has_loss: bool) -> bool:
    """Say whether nothing of the last round's updates counts, or its loss is not finite."""
    if not rounds["num_participants"] or not rounds["num_participants"][-1]:
        return False
    if rounds["num_rejected"][-1] == rounds["num_participants"][-1]:
        return True
    return has_loss and not math.isfinite(rounds["train_loss"][-1])
