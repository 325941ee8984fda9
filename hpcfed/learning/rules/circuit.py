"""Probabilistic neurons and winner-take-all circuits, which learn online from local feedback.

FL-SNN (Skatchkovsky, Jang, Simeone 2019, arXiv 1910.09594) and VOWEL (Jang, Skatchkovsky, Simeone
2020, arXiv 2004.09416). P parameters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.learning.rule import Figure, Rule
from hpcfed.learning.trainer import Trainer
from hpcfed.networks.layout import Layout
from hpcfed.samples.samples import Shape

F32 = NDArray[np.float32]

FIGURES = (
    Figure(
        "log_likelihood",
        "nat",
        "mean over training bins of the log-probability of the target's spikes at the outputs",
    ),
)


def rule(experiment: Experiment) -> Rule:
    """Return the rule of an experiment with probabilistic units."""
    return Rule(make_trainer, figures=FIGURES, initial=initial)


def make_trainer(experiment: Experiment, shape: Shape, device: str) -> Trainer:
    """Return the trainer, which works on a CPU."""
    from hpcfed.learning.circuit.training import CircuitTrainer

    return CircuitTrainer(experiment, shape)


def initial(experiment: Experiment, layout: Layout) -> F32:
    """Return the first parameters (P,)."""
    from hpcfed.learning.circuit import plan

    return plan.initial(experiment, layout)
