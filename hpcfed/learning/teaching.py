"""What a network learns of a teacher's answers beside the labels: its softened probabilities.

K classes, S samples. With z the logits, z_t those of the teacher, y the label, a and tau the weight
and the temperature of the experiment::

    p = softmax(z);  q = softmax(z / tau);  q_t = softmax(z_t / tau)
    loss = (1 - a) (-log p[y]) + a tau^2 sum_k q_t[k] log(q_t[k] / q[k])
    its gradient at z = (1 - a) (p - y) + a tau (q - q_t)

(Hinton, Vinyals and Dean 2015, arXiv 1503.02531: by tau^2 both gradients keep their sizes whatever
the temperature.) Each engine has it beside its cross-entropy, and none of it without a teacher.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.learning.constants import Teaching
from hpcfed.samples.samples import Samples

F32 = NDArray[np.float32]

NOBODY = np.empty((0, 0), np.float32)


def teaching(experiment: Experiment) -> Teaching:
    """Return how the experiment learns from its teacher; the weight is 0 without one."""
    return Teaching(*experiment.client.distillation)


def taught(experiment: Experiment, samples: Samples) -> F32:
    """Return the logits (S, K) float32 of the experiment's teacher; (0, 0) where there is none."""
    found: F32 | None = getattr(samples, "teacher", None)
    return NOBODY if found is None or not teaching(experiment).weight else found
