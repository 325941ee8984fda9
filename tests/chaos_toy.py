"""The toy world's rule for chaos: it sleeps, and says that it trains or evaluates."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.rule import Rule
from hpcfed.learning.trainer import BatchResult, LocalUpdate
from hpcfed.networks.stack import dense_layout
from hpcfed.samples.samples import Samples, Shape
from tests import toy_world


class SlowTrainer(toy_world.ToyTrainer):
    """A toy trainer that sleeps before each client and each evaluation."""

    def train(
        self, params: toy_world.F32, samples: Samples, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Train as the toy does, later."""
        go_to("training")
        for update in super().train(params, samples, clients, round_index):
            time.sleep(seconds())
            yield update

    def evaluate(self, params: toy_world.F32, samples: Samples, ids: toy_world.I64) -> BatchResult:
        """Evaluate as the toy does, later."""
        go_to("evaluation")
        time.sleep(seconds())
        return super().evaluate(params, samples, ids)


def go_to(phase: str) -> None:
    """Say in which phase the rank is, in a job of chaos."""
    import sitecustomize

    sitecustomize.PHASE.go_to(phase)


def seconds() -> float:
    """Return the sleep a client."""
    return float(os.environ.get("HPCFED_CHAOS_SECONDS", "0"))


def make_trainer(experiment: Experiment, shape: Shape, device: str) -> SlowTrainer:
    """Return the trainer of the rule."""
    return SlowTrainer(experiment, dense_layout(experiment.model, shape.num_inputs, shape.classes))


RULE = Rule(make_trainer)
