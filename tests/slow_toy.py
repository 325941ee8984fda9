"""The toy world's rule for sweeps: it takes its time, and fails where it is told to.

Variables make it slow or faulty: HPCFED_TOY_ROUND_S seconds a round, or of the first and of each
later one; HPCFED_TOY_BAD holds "SEED what times" where what is raise, die or input and a file
beside counts the times.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.rule import Rule
from hpcfed.learning.trainer import LocalUpdate
from hpcfed.networks.stack import dense_layout
from hpcfed.samples.samples import Samples, Shape
from tests import toy_world


class SlowTrainer(toy_world.ToyTrainer):
    """A toy trainer that sleeps before each round."""

    def train(
        self, params: toy_world.F32, samples: Samples, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Train as the toy does, later."""
        first, *later = map(float, os.environ.get("HPCFED_TOY_ROUND_S", "0").split())
        time.sleep(later[0] if later and round_index > 0 else first)
        misbehave(self.experiment.seed, round_index)
        yield from super().train(params, samples, clients, round_index)


def misbehave(seed: int, round_index: int) -> None:
    """Fail in round 1 of the runs of one seed, as often as there are characters in a file."""
    told = os.environ.get("HPCFED_TOY_BAD", "")
    if not told or round_index != 1:
        return
    bad_seed, what, counter = told.split(" ", 2)
    if seed != int(bad_seed) or not Path(counter).read_text():
        return
    Path(counter).write_text(Path(counter).read_text()[1:])
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("the toy network broke")


def make_trainer(experiment: Experiment, shape: Shape, device: str) -> SlowTrainer:
    """Return the trainer of the rule."""
    return SlowTrainer(experiment, dense_layout(experiment.model, shape.num_inputs, shape.classes))


RULE = Rule(make_trainer)
