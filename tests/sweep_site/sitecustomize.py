"""Puts the toy world's trainer in the place of the real one in every worker and rank of a sweep.

Python imports this at its start where PYTHONPATH names this folder, so also behind srun and mpirun.
Variables make the toy slow or faulty: HPCFED_TOY_ROUND_S seconds a round; HPCFED_TOY_BAD holds
"SEED what times" where what is raise, die or input and a file beside counts the times.
"""

from __future__ import annotations

import os
import sys


def patch() -> None:
    """Replace make_trainer; the toy needs no torch."""
    import hpcfed.federation.job
    from tests import toy_world

    def make_trainer(experiment, num_channels, num_classes, device="cpu"):
        trainer = toy_world.make_trainer(experiment, num_channels, num_classes, device)
        return Slow(trainer, float(os.environ.get("HPCFED_TOY_ROUND_S", "0")))

    hpcfed.federation.job.make_trainer = make_trainer
    hpcfed.federation.job.device_of_rank = lambda *_: "cpu"


class Slow:
    """A toy trainer that takes its time, and fails where it is told to."""

    def __init__(self, trainer, seconds: float) -> None:
        self._trainer, self._seconds = trainer, seconds

    def __getattr__(self, name: str) -> object:
        """Be the toy in everything else."""
        return getattr(self._trainer, name)

    def train(self, params, events, clients, round_index):
        """Train as the toy does, later."""
        import time

        time.sleep(self._seconds)
        misbehave(self._trainer.experiment.seed, round_index)
        yield from self._trainer.train(params, events, clients, round_index)


def misbehave(seed: int, round_index: int) -> None:
    """Fail in round 1 of the runs of one seed, as often as there are characters in a file."""
    import signal
    from pathlib import Path

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


if {"worker", "one"} & set(sys.orig_argv):
    patch()
