"""A federation without neurons: a few events, and a trainer whose updates are one formula.

It stands in for data and network where federation itself is tested, so that a run takes
milliseconds: ``data.dataset = "tests.toy_world:load"``, ``rule.kind = "tests.toy_world:RULE"``.
Seven speakers own 3 to 9 samples each.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.parallel import in_order
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import DataConfig, Experiment
from hpcfed.errors import InputError
from hpcfed.launch import started_as
from hpcfed.learning.rule import Exchange, Figure, Rule
from hpcfed.learning.trainer import BatchResult, LocalUpdate
from hpcfed.networks.contract import Layer
from hpcfed.networks.layout import Layout
from hpcfed.networks.stack import dense_layers, dense_layout
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples
from hpcfed.samples.samples import Shape

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

NUM_CHANNELS, NUM_CLASSES = 5, 3
GROUP_SIZES = (3, 4, 5, 6, 7, 8, 9)
FAULT_VARIABLE = "HPCFED_TOY_FAULT"
SETS = (
    "data.dataset=tests.toy_world:load",
    "data.num_bins=4",
    "data.validation_fraction=0.2",
    "model.kind=ann",
    "model.hidden=[6]",
    "rule.kind=tests.toy_world:RULE",
)


def load(config: DataConfig) -> tuple[EventSet, EventSet]:
    """Return training and test events for ``data.dataset``."""
    if happens("bad data"):
        raise InputError("the toy data are not on this host")
    if happens("load"):
        raise RuntimeError("the toy data cannot be read")
    return events(GROUP_SIZES, config), events((2, 2, 2), config)


def load_thousand(config: DataConfig) -> tuple[EventSet, None]:
    """Return 1000 speakers with one sample each."""
    return events((1,) * 1000, config), None


def by_process(labels: I64, groups: I64, num_clients: int, seed: int) -> list[I64]:
    """Divide samples by the process's number, as no partition may."""
    order = np.random.default_rng(os.getpid()).permutation(len(labels))
    return np.array_split(order, num_clients)


def events(group_sizes: Sequence[int], config: DataConfig) -> EventSet:
    """Return samples with one spike each, for groups of so many samples."""
    groups = np.repeat(np.arange(len(group_sizes)), group_sizes)
    labels = np.arange(len(groups)) % NUM_CLASSES
    samples = [(np.array([0.1]), np.array([i % NUM_CHANNELS])) for i in range(len(groups))]
    names = tuple("abc"), tuple(f"speaker {g}" for g in range(len(group_sizes)))
    binning = Binning(config.duration, config.num_bins)
    return bin_samples(
        samples, labels, groups, binning=binning, num_channels=NUM_CHANNELS, names=names
    )


def delta(seed: int, params: F32, client: int, round_index: int) -> F32:
    """Return one client's update: noise of its own and a pull towards zero."""
    noise = Stream(seed, Purpose.BATCH_ORDER, round_index, client).uniforms(len(params))
    return (0.4 * (noise - 0.5) - 0.05 * params.astype(np.float64)).astype(np.float32)


def loss(params: F32, sample: int) -> float:
    """Return the loss of one sample."""
    return float(np.square(params, dtype=np.float64).mean()) + 0.1 * sample


class ToyTrainer:
    """A trainer as hpcfed.learning.trainer.Trainer describes it."""

    def __init__(self, experiment: Experiment, matrices: Layout) -> None:
        self.experiment, self.layout = experiment, matrices

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return the hidden layers."""
        return dense_layers(self.experiment.model, NUM_CHANNELS)

    def train(
        self, params: F32, events: EventSet, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client."""

        def one(client: Client) -> LocalUpdate:
            update = delta(self.experiment.seed, params, client.index, round_index)
            update = faulty(update, client.index, round_index)
            return LocalUpdate(update, 1.0 + client.index, 0.25)

        return in_order(one, clients, self.experiment.client.threads)

    def evaluate(self, params: F32, events: EventSet, samples: I64) -> BatchResult:
        """Return a loss for each sample and the class that equals the sample's number mod 2."""
        losses = np.array([loss(params, int(i)) for i in samples])
        return BatchResult(losses, samples % 2, np.array([3 * len(samples)], np.int64))

    def hidden_spikes(self, params: F32, events: EventSet, samples: I64) -> list[NDArray[np.bool_]]:
        """Return no spikes."""
        return [np.zeros((len(samples), events.num_bins, 6), bool)]


def make_trainer(experiment: Experiment, shape: Shape, device: str = "cpu") -> ToyTrainer:
    """Return the trainer of the toy rule."""
    return ToyTrainer(experiment, dense_layout(experiment.model, shape.num_inputs, shape.classes))


class ValueTrainer(ToyTrainer):
    """A trainer whose client k arrives at k everywhere."""

    def train(
        self, params: F32, events: EventSet, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield each client's number as its values."""
        for client in clients:
            yield LocalUpdate(np.full(len(params), client.index, np.float32), 1.0, 0.25)


def make_value_trainer(experiment: Experiment, shape: Shape, device: str) -> ValueTrainer:
    """Return the trainer of the rule whose clients send values."""
    return ValueTrainer(experiment, dense_layout(experiment.model, shape.num_inputs, shape.classes))


class KeepingTrainer(ToyTrainer):
    """A trainer whose clients remember how often they have trained, and follow from it."""

    def train(
        self, params: F32, events: EventSet, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client, a figure and a memory."""
        pairs = zip(clients, super().train(params, events, clients, round_index), strict=True)
        for client, update in pairs:
            kept = np.zeros(2, np.float32) if client.memory is None else client.memory
            yield replace(
                update,
                delta=update.delta + np.float32(0.01) * kept[0],
                figures={"age": float(kept[0])},
                memory=np.array([kept[0] + 1, client.index], np.float32),
            )


def make_keeping_trainer(experiment: Experiment, shape: Shape, device: str) -> KeepingTrainer:
    """Return the trainer of the rule whose clients remember."""
    return KeepingTrainer(
        experiment, dense_layout(experiment.model, shape.num_inputs, shape.classes)
    )


RULE = Rule(make_trainer)
VALUES = Rule(make_value_trainer, Exchange(sends="value"))
KEEPS = Rule(
    make_keeping_trainer, Exchange(memory=2), (Figure("age", "1", "rounds trained before"),)
)
SAYS_LESS = Rule(make_keeping_trainer, Exchange(memory=2))


def fault() -> dict[str, object]:
    """Return what goes wrong: {"do": ..., and where: "rank", "client", "round"}."""
    return dict(json.loads(os.environ.get(FAULT_VARIABLE, "{}")))


def happens(action: str, **where: int) -> bool:
    """Say whether ``action`` goes wrong here."""
    wanted = fault()
    if wanted.get("do") != action:
        return False
    where["rank"] = started_as(os.environ)[0]
    return all(where.get(key, value) == value for key, value in wanted.items() if key != "do")


def faulty(update: F32, client: int, round_index: int) -> F32:
    """Return the update, or do what the fault says."""
    where = {"client": client, "round": round_index}
    for number in (signal.SIGKILL, signal.SIGUSR1, signal.SIGTERM, signal.SIGSTOP):
        if happens(number.name, **where):
            os.kill(os.getpid(), number)
    if happens("full disk", **where):
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    if happens("raise", **where):
        raise ValueError("the toy network broke")
    if happens("sleep", **where):
        time.sleep(1000)
    for name, value in (("nan", np.nan), ("huge", 4096.0)):
        if happens(name, **where):
            update = update.copy()
            update[:] = value
    return update
