"""The loss and the gradient of a teacher's answers beside those of the labels: numba kernels.

K classes in N = padded places, R samples at once. The equations are those of ``learning.teaching``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import inner
from hpcfed.learning.constants import Teaching
from hpcfed.learning.event.tables import Sizes
from hpcfed.learning.event.work import Workspace

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


@inner
def keep_logits(plan: Sizes, work: Workspace, rows: int) -> None:
    """Copy the logits of ``rows`` samples to ``work.outputs``, as the cross-entropy takes them."""
    for k in range(rows * plan.padded[-1]):
        work.outputs[k] = work.logits[k]


@inner
def learn_from_teacher(
    plan: Sizes, teaching: Teaching, teacher: F32, samples: I64, batch: int, work: Workspace
) -> None:
    """Turn losses and gradients of the labels into those of labels and teacher (S, K).

    ``samples`` (rows,) are ids; the logits lie in ``work.outputs``, which are free after it, as is
    ``work.spike``: both networks' powers are kept there.
    """
    num_classes, width = plan.widths[-1], plan.padded[-1]
    weight, tau = teaching.weight, teaching.temperature
    for row in range(len(samples)):
        own = work.outputs[row * width : row * width + num_classes]
        aims = work.spike[row * width : row * width + num_classes]
        change = work.logits[row * width : row * width + num_classes]
        theirs = teacher[samples[row]]
        highest, high = np.float64(own[0]), np.float64(theirs[0])
        for k in range(1, num_classes):
            highest, high = max(highest, np.float64(own[k])), max(high, np.float64(theirs[k]))
        total, whole, apart = 0.0, 0.0, 0.0
        for k in range(num_classes):
            mine = (np.float64(own[k]) - highest) / tau
            their = (np.float64(theirs[k]) - high) / tau
            part, aim = math.exp(mine), math.exp(their)
            total, whole, apart = total + part, whole + aim, apart + aim * (their - mine)
            own[k], aims[k] = part, aim
        divergence = apart / whole + math.log(total) - math.log(whole)
        for k in range(num_classes):
            part = weight * tau * (own[k] / total - aims[k] / whole) / batch
            change[k] = (1 - weight) * change[k] + part
        work.losses[row] = (1 - weight) * work.losses[row] + weight * tau * tau * divergence
