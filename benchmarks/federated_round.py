"""How long is one federated round, and how much of it is federation?

    python benchmarks/federated_round.py [--clients 8 32 100 1000] [--ranks 1 2] [--repeats 3]
                                         [--scale 1.0] [--set KEY=VALUE ...] [--no-federation]

Each client has 128 samples of 1.5 % density, made up and written as a file of SHD's layout, and
takes 4 SGD steps of 32 with a 700-128-20 feed-forward network. A figure is the wall time of a whole
``hpcfed run`` with many rounds minus that of one with few, divided by the rounds between them: all
that a round does is in it (progress lines and checkpoints too), starting and ending are not.
Medians of the repeats; ``--scale 0.1`` takes a tenth of the rounds. Spikes per hidden neuron and
bin are printed: a network that is silent trains in no time.

Federation alone is measured in the same way with 100 clients whose training costs nothing: the
trainer hands out one ready-made update. So that figure holds participation, masks, coding, exact
sums, transport, server and record, and no wait for a rank that trains longer.

Exits 1 when a required figure (two ranks on two cores) is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.datasets.shd_writer import SpikeRow, write_shd
from hpcfed.launch import run_ranks
from hpcfed.learning.rule import Rule
from hpcfed.learning.trainer import LocalUpdate
from hpcfed.networks.stack import dense_layers, dense_layout
from hpcfed.records.runfile import read_record
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import Shape

CHANNELS, BINS, CLASSES, DENSITY, SAMPLES = 700, 100, 20, 0.015, 128
ROUNDS = {8: 200, 32: 60, 100: 20, 1000: 3}  # about 4 s between the long run and the short one
IDLE_CLIENTS, IDLE_ROUNDS = 100, 400
MASKED = ("uplink.mask=bernoulli", "uplink.mask_probability=0.9")
FEDERATION = {
    "unmasked": (),
    "masked, p = 0.9": MASKED,
    "masked, gather": (*MASKED, "uplink.transport=gather"),
}
REQUIRED_MS = {(8, 2): 25, (100, 2): 300, ("unmasked", 2): 15, ("masked, p = 0.9", 2): 30}
SETS = (
    "data.validation_fraction=0.0",
    "model.init_scale=18.0",  # so sparse an input needs it for 5 to 10 % of hidden spikes
    "client.optimizer=sgd",
    "client.learning_rate=0.01",
    "client.steps=4",
    "partition.kind=iid",
    "run.eval_every=1000000",
)


class IdleTrainer:
    """A trainer as hpcfed.learning.trainer.Trainer describes it that hands out the same update."""

    def __init__(self, experiment: Experiment, shape: Shape, device: str) -> None:
        self.layout = dense_layout(experiment.model, shape.num_inputs, shape.classes)
        self.layers = dense_layers(experiment.model, shape.num_inputs)
        noise = np.random.default_rng(0).normal(0, 0.01, self.layout.size)
        self.delta = noise.astype(np.float32)

    def train(
        self, params: np.ndarray, events: EventSet, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client."""
        return (LocalUpdate(self.delta, 1.0, 0.1) for _ in clients)


RULE = Rule(IdleTrainer)


def idle(arguments: list[str]) -> None:
    """Do what ``hpcfed ARGUMENTS`` does, with clients that train in no time."""
    if arguments[-2:-1] == ["--ranks"]:
        sys.exit(
            run_ranks([sys.executable, __file__, "--idle", *arguments[:-2]], int(arguments[-1]))
        )
    from hpcfed.cli import main as cli

    sys.argv[1:] = [*arguments, "--set", f"rule.kind={Path(__file__).stem}:RULE"]
    cli.main()


def write_data(path: Path, num_samples: int) -> None:
    """Write samples whose bins hold a spike with probability DENSITY."""
    rng = np.random.default_rng(0)
    rows = []
    for label in rng.integers(0, CLASSES, num_samples).tolist():
        cells = np.flatnonzero(rng.random(BINS * CHANNELS, np.float32) < DENSITY)
        times = ((cells // CHANNELS + 0.5) / BINS).astype(np.float16)
        rows.append(SpikeRow(times, (cells % CHANNELS).astype(np.uint16), label, 0))
    write_shd(path, rows, [f"class {k}" for k in range(CLASSES)], ["nobody"], CHANNELS)


class Bench:
    """Runs in a folder of their own, timed."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        self.folder, self.arguments = folder, arguments
        self.count = 0
        self.missed = False
        self.hidden_rate = float("nan")
        (folder / "bench.toml").write_text('name = "bench"\n')

    def report(self, what: str, key: tuple[int | str, int], figures: Sequence[float]) -> None:
        """Print a row of the table and note whether its requirement is met."""
        found, required = 1e3 * statistics.median(figures), REQUIRED_MS.get(key)
        self.missed |= required is not None and found > required
        spread = f"{1e3 * min(figures):.1f} to {1e3 * max(figures):.1f}"
        limit = "" if required is None else f"at most {required}"
        rate = f"{self.hidden_rate:11.3f}"
        print(f"{what:25s} {key[1]:5d} {found:9.1f}   {spread:19s} {rate} {limit}", flush=True)

    def training(self, num_clients: int, num_ranks: int) -> list[float]:
        """Return seconds a round, one figure a repeat."""
        command = [sys.executable, "-m", "hpcfed"]
        rounds = ROUNDS.get(num_clients, max(3, 2000 // num_clients))
        return self.differences(command, (num_clients, num_ranks), rounds, ())

    def federation(self, sets: Sequence[str], num_ranks: int) -> list[float]:
        """Return seconds a round without training, one figure a repeat."""
        command = [sys.executable, __file__, "--idle"]
        return self.differences(command, (IDLE_CLIENTS, num_ranks), IDLE_ROUNDS, sets)

    def differences(
        self, command: list[str], world: tuple[int, int], rounds: int, sets: Sequence[str]
    ) -> list[float]:
        """Time long and short runs in turn; return seconds a round, one figure a repeat."""
        between = max(2, round(rounds * self.arguments.scale))
        self.seconds(command, world, 1, sets)  # fills the caches of events and code
        figures = []
        for _ in range(self.arguments.repeats):
            short = self.seconds(command, world, 2, sets)
            figures.append((self.seconds(command, world, 2 + between, sets) - short) / between)
        return figures

    def seconds(
        self, command: list[str], world: tuple[int, int], rounds: int, sets: Sequence[str]
    ) -> float:
        """Return the wall time of one whole run."""
        num_clients, num_ranks = world
        data = self.folder / f"{num_clients}.h5"
        if not data.exists():
            write_data(data, num_clients * SAMPLES)
        self.count += 1
        values = (
            *SETS,
            f"data.dataset={data}",
            f"partition.num_clients={num_clients}",
            f"server.rounds={rounds}",
            *sets,
            *self.arguments.sets,
        )
        options = [part for value in values for part in ("--set", value)]
        out = self.folder / str(self.count)
        run = ["run", str(self.folder / "bench.toml"), "--out", str(out)]
        begin = time.perf_counter()
        subprocess.run(
            [*command, *run, *options, "--ranks", str(num_ranks)],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        end = time.perf_counter()
        self.hidden_rate = read_record(out).log.rounds["hidden_rate"][-1]
        return end - begin


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, nargs="*", default=[8, 32, 100, 1000])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of rounds")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--no-federation", action="store_true", help="whole rounds only")
    arguments = parser.parse_args()
    head = f"{'clients':25s} {'ranks':>5s} {'ms/round':>9s}   {'smallest to largest':19s}"
    print(f"{head} hidden rate required")
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"HPCFED_CACHE": name, "OMP_NUM_THREADS": "1"}
        bench = Bench(Path(name), arguments)
        for num_ranks in arguments.ranks:
            for num_clients in arguments.clients:
                figures = bench.training(num_clients, num_ranks)
                bench.report(f"{num_clients}", (num_clients, num_ranks), figures)
        for num_ranks in arguments.ranks if not arguments.no_federation else ():
            for what, sets in FEDERATION.items():
                figures = bench.federation(sets, num_ranks)
                bench.report(f"{IDLE_CLIENTS} idle, {what}", (what, num_ranks), figures)
    sys.exit("a required figure is missed" if bench.missed else 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--idle"]:
        idle(sys.argv[2:])
    else:
        main()
