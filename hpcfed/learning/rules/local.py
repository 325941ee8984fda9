"""Real weights that learn by readouts of their own layer in every time bin (DECOLLE)."""

from __future__ import annotations

from hpcfed.config import Experiment
from hpcfed.learning.rule import Rule
from hpcfed.learning.trainer import Trainer
from hpcfed.samples.samples import Shape


def make_trainer(experiment: Experiment, shape: Shape, device: str) -> Trainer:
    """Return the trainer, which works on a CPU."""
    from hpcfed.learning.local.training import LocalTrainer

    return LocalTrainer(experiment, shape)


RULE = Rule(make_trainer)
