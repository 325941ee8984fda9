"""Runs a job of 1000 clients and prints how much memory each rank needs beyond model and data.

``python -m tests.mpi.memory_run OUT KEY=VALUE ...``. Updates are produced one by one and cost
nothing; the memory before the first is the baseline.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.config.file import read_experiment
from hpcfed.federation.run import Request, run
from hpcfed.learning.rule import Rule
from hpcfed.learning.trainer import LocalUpdate
from hpcfed.networks.stack import dense_layout
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import Shape
from tests import toy_world

MIB = 1 << 20
LARGE = (
    "data.dataset=tests.toy_world:load_thousand",
    "data.validation_fraction=0.0",
    "model.hidden=[13750]",
    "participation.drop_probability=0.0",
    "server.rounds=1",
    "rule.kind=__main__:RULE",
)


class CheapTrainer(toy_world.ToyTrainer):
    """Yields updates of one value each."""

    baseline = 0

    def train(
        self,
        params: toy_world.F32,
        events: EventSet,
        clients: Sequence[Client],
        round_index: int,
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client when it is asked for."""
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        CheapTrainer.baseline = memory("VmRSS")
        for client in clients:
            yield LocalUpdate(np.full(len(params), client.index % 7, np.float32), 1.0, 0.0)


def memory(name: str) -> int:
    """Return a line of /proc/self/status in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return int(kib) // 1024


def make_trainer(experiment: Experiment, shape: Shape, device: str) -> CheapTrainer:
    """Return the trainer of the rule."""
    return CheapTrainer(experiment, dense_layout(experiment.model, shape.num_inputs, shape.classes))


RULE = Rule(make_trainer)


def main() -> None:
    """Run, and print one figure a rank."""
    out, *sets = sys.argv[1:]
    experiment = read_experiment(Path(__file__).with_name("toy.toml"), [*LARGE, *sets])
    run(Request(lambda: experiment, Path(out)))
    print(f"needed {memory('VmHWM') - CheapTrainer.baseline} MiB", flush=True)


if __name__ == "__main__":
    main()
