"""Spike-timing-dependent plasticity in a layer of competing neurons.

Diehl and Cook 2015 (doi:10.3389/fncom.2015.00099), as in Firmin, Boulet and Talbi 2024 (arXiv
2403.00450). P parameters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.learning.rule import Rule
from hpcfed.learning.trainer import Trainer
from hpcfed.networks.layout import Layout
from hpcfed.samples.samples import Shape

F32 = NDArray[np.float32]


def make_trainer(experiment: Experiment, shape: Shape, device: str) -> Trainer:
    """Return the trainer, which works on a CPU."""
    from hpcfed.learning.stdp.training import StdpTrainer

    return StdpTrainer(experiment, shape)


def initial(experiment: Experiment, layout: Layout) -> F32:
    """Return the first parameters (P,)."""
    from hpcfed.learning.stdp import plan

    return plan.initial(experiment, layout)


RULE = Rule(make_trainer, initial=initial)
