"""How many samples a second does one core learn online, and how many a plain loop over bins?

    python benchmarks/online_rules.py [--repeats R] [--world {timing,spoken-digits}]

Neurons of ``rule.kind = "glm"`` without hidden units, the released setting: 8 bases over 10 bins,
two tasks:

- timing         60 channels, 60 bins, two classes: background spikes of 0.02 a bin, and on each
                 channel a bump of 0.3, 4 bins wide, at a time that the class decides
- spoken-digits  hpcfed's own, 700 channels, 50 bins, 20 classes

and four contenders, one after the other within each repeat, from the same parameters with the same
samples in the same order, each on one core and in float32:

- kernel   one client's round of hpcfed's trainer, everything counted
- plain    the same equations in NumPy as they are written, bin by bin and unit by unit
- numpy    the same, vectorised over units, synapses and bases
- torch    the same, as published implementations write it: dense tensors, a step a bin

The bins' input lies ready for NumPy and torch. All must arrive at the same parameters and the same
log-likelihood of the targets, which the rule is about, and count what chooses the bases. Prints
medians, and ratios of medians; exits 1 if the kernel is below LEAST times the plain loop.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from hpcfed import datasets
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.batches import batches
from hpcfed.learning.circuit import plan
from hpcfed.learning.circuit.training import LOG_LIKELIHOOD, CircuitTrainer
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples
from hpcfed.samples.samples import shape_of

F32 = NDArray[np.float32]

LEAST = 100.0  # times the plain loop's samples a second
MOST_DIFFERENCE = 1e-3  # of parameters, in parts of the largest change
NUM_SAMPLES = {"timing": (2000, 20), "spoken-digits": (400, 4)}  # the kernel's, the others'
KAPPA, WINDOW = 0.2, 10


@dataclass(frozen=True)
class World:
    """A task: an experiment, its samples, and the parameters at the start (P,)."""

    name: str
    experiment: Experiment
    events: EventSet
    params: F32

    def order(self, count: int) -> NDArray[np.int64]:
        """Return the first ``count`` samples as the trainer takes them."""
        stream = Stream(self.experiment.seed, Purpose.BATCH_ORDER, 0, 0)
        ids = np.arange(count)
        return np.concatenate(list(batches(self.experiment.client, ids, stream)))

    def dense(self, count: int) -> F32:
        """Return those samples (n, T, C)."""
        return np.ascontiguousarray(self.events.dense(self.order(count)).transpose(1, 0, 2))

    def targets(self, count: int) -> F32:
        """Return their outputs' spikes (n, K)."""
        classes = len(self.events.class_names)
        return np.eye(classes, dtype=np.float32)[self.events.labels[self.order(count)]]

    def parts(self) -> tuple[F32, F32]:
        """Return kernels (K, C, B) and biases (K,)."""
        kernel = self.params[: -len(self.events.class_names)]
        bases = self.experiment.rule.circuit_settings.bases
        shaped = kernel.reshape(bases, len(self.events.class_names), -1).transpose(1, 2, 0)
        return shaped.copy(), self.params[kernel.size :].copy()

    def flat(self, kernel: F32, bias: F32) -> F32:
        """Return parameters (P,)."""
        return np.concatenate([kernel.transpose(2, 0, 1).ravel(), bias])


def experiment(num_bins: int, rate: float) -> Experiment:
    """Return the released setting with so many bins."""
    return Experiment.model_validate(
        {
            "data": {"num_bins": num_bins, "duration": 1.0},
            "model": {"tau_mem": 0.1, "tau_syn": 0.1},
            "client": {"optimizer": "sgd", "learning_rate": rate, "batch_size": 1},
            "rule": {"kind": "glm", "circuit": {"window": WINDOW, "kappa": KAPPA}},
        }
    )


def timing_events(count: int) -> EventSet:
    """Return samples of the timing task; always the same ones."""
    rng, bins, channels = np.random.default_rng(0), 60, 60
    peaks = rng.uniform(0, bins, (2, channels))
    labels = np.arange(count) % 2
    away = np.arange(bins)[:, None] - peaks[labels][:, None, :]
    dense = rng.random((count, bins, channels)) < 0.02 + 0.3 * np.exp(-0.5 * (away / 4) ** 2)
    dense[:, 0, 0] = True  # no sample is empty
    samples = [np.nonzero(sample) for sample in dense]
    return bin_samples(
        [((times + 0.5) / bins, units) for times, units in samples],
        labels,
        np.zeros(count, np.int64),
        binning=Binning(1.0, bins),
        num_channels=channels,
        names=(("early", "late"), ("nobody",)),
    )


def world(name: str) -> World:
    """Return a task."""
    if name == "timing":
        settings, events = experiment(60, 1e-2), timing_events(NUM_SAMPLES[name][0])
    else:
        settings = experiment(50, 1e-4)
        events = datasets.load(settings.data).train
    layout = CircuitTrainer(settings, shape_of(events)).layout
    return World(name, settings, events, plan.initial(settings, layout))


class Learned(NamedTuple):
    """Where a contender arrives: parameters (P,), log-likelihood a bin, and the gradients (B,)."""

    params: F32
    likelihood: float
    importance: NDArray[np.floating]


def by_kernel(task: World, count: int) -> Learned:
    """Return what hpcfed's trainer arrives at."""
    trainer = TRAINERS.setdefault(task.name, CircuitTrainer(task.experiment, shape_of(task.events)))
    (update,) = trainer.train(task.params, task.events, [Client(0, np.arange(count))], 0)
    assert update.importance is not None
    params = task.params + np.asarray(update.delta)
    return Learned(params, update.figures[LOG_LIKELIHOOD], update.importance)


TRAINERS: dict[str, CircuitTrainer] = {}  # a run keeps its trainer


def by_numpy(task: World, inputs: F32, targets: F32) -> Learned:
    """Return what a plain loop arrives at; ``inputs`` (n, T, C)."""
    settings = task.experiment.rule.circuit_settings
    table = plan.raised_cosines(WINDOW, settings.bases, settings.width).astype(np.float32)
    (kernel, bias), rate = task.parts(), np.float32(task.experiment.client.learning_rate)
    keeps, takes = np.float32(KAPPA), np.float32(1 - KAPPA)
    importance, likelihood = np.zeros(settings.bases, np.float32), 0.0
    for sample, target in zip(inputs, targets, strict=True):
        history = np.zeros((WINDOW, inputs.shape[2]), np.float32)
        eligibility, bias_eligibility = np.zeros_like(kernel), np.zeros_like(bias)
        for spikes in sample:
            traces = (table @ history).T
            potential = np.einsum("icb,cb->i", kernel, traces) + bias
            chance = 1 / (1 + np.exp(-potential))
            likelihood += np.log(np.where(target > 0, chance, 1 - chance)).sum()
            error = target - chance
            gradient = error[:, None, None] * traces
            eligibility = keeps * eligibility + takes * gradient
            bias_eligibility = keeps * bias_eligibility + takes * error
            kernel += rate * eligibility
            bias += rate * bias_eligibility
            importance += np.abs(gradient).sum(axis=(0, 1))
            history = np.roll(history, 1, axis=0)
            history[0] = spikes
    num_bins = inputs.shape[0] * inputs.shape[1]
    return Learned(task.flat(kernel, bias), float(likelihood) / num_bins, importance)


def by_plain(task: World, inputs: F32, targets: F32) -> Learned:
    """Return what the equations arrive at, unit by unit; ``inputs`` (n, T, C)."""
    settings = task.experiment.rule.circuit_settings
    table = plan.raised_cosines(WINDOW, settings.bases, settings.width).astype(np.float32)
    (kernel, bias), rate = task.parts(), np.float32(task.experiment.client.learning_rate)
    keeps, takes = np.float32(KAPPA), np.float32(1 - KAPPA)
    importance, likelihood = np.zeros(settings.bases, np.float32), 0.0
    for sample, target in zip(inputs, targets, strict=True):
        history = np.zeros((WINDOW, inputs.shape[2]), np.float32)
        eligibility, bias_eligibility = np.zeros_like(kernel), np.zeros_like(bias)
        for spikes in sample:
            traces = (table @ history).T
            for unit, wanted in enumerate(target):
                chance = 1 / (1 + np.exp(-((kernel[unit] * traces).sum() + bias[unit])))
                likelihood += np.log(chance if wanted else 1 - chance)
                gradient = (wanted - chance) * traces
                eligibility[unit] = keeps * eligibility[unit] + takes * gradient
                bias_eligibility[unit] = keeps * bias_eligibility[unit] + takes * (wanted - chance)
                kernel[unit] += rate * eligibility[unit]
                bias[unit] += rate * bias_eligibility[unit]
                importance += np.abs(gradient).sum(axis=0)
            history = np.roll(history, 1, axis=0)
            history[0] = spikes
    num_bins = inputs.shape[0] * inputs.shape[1]
    return Learned(task.flat(kernel, bias), float(likelihood) / num_bins, importance)


def by_torch(task: World, inputs: F32, targets: F32) -> Learned:
    """Return what a loop of torch's operations arrives at."""
    settings = task.experiment.rule.circuit_settings
    table = torch.tensor(plan.raised_cosines(WINDOW, settings.bases, settings.width))
    table, rate = table.float().flip(1), task.experiment.client.learning_rate
    kernel, bias = (torch.tensor(part) for part in task.parts())
    importance, likelihood = torch.zeros(settings.bases), torch.zeros(())
    for sample, target in zip(torch.tensor(inputs), torch.tensor(targets), strict=True):
        padded = torch.cat([torch.zeros(WINDOW, inputs.shape[2]), sample])
        eligibility, bias_eligibility = torch.zeros_like(kernel), torch.zeros_like(bias)
        for t in range(len(sample)):
            traces = (table @ padded[t : t + WINDOW]).t()
            potential = torch.sum(kernel * traces, dim=(1, 2)) + bias
            likelihood -= F.binary_cross_entropy_with_logits(potential, target, reduction="sum")
            error = target - torch.sigmoid(potential)
            gradient = error[:, None, None] * traces
            eligibility.mul_(KAPPA).add_(gradient, alpha=1 - KAPPA)
            bias_eligibility.mul_(KAPPA).add_(error, alpha=1 - KAPPA)
            kernel += rate * eligibility
            bias += rate * bias_eligibility
            importance += torch.sum(torch.abs(gradient), dim=(0, 1))
    num_bins, params = inputs.shape[0] * inputs.shape[1], task.flat(kernel.numpy(), bias.numpy())
    return Learned(params, float(likelihood) / num_bins, importance.numpy())


def compare(name: str, repeats: int) -> list[str]:
    """Print one task's table; return what is missed."""
    task, (many, few) = world(name), NUM_SAMPLES[name]
    dense, targets = task.dense(few), task.targets(few)
    contenders: dict[str, tuple[int, Callable[[], Learned]]] = {
        "kernel": (many, partial(by_kernel, task, many)),
        "plain": (few, partial(by_plain, task, dense, targets)),
        "numpy": (few, partial(by_numpy, task, dense, targets)),
        "torch": (few, partial(by_torch, task, dense, targets)),
    }
    missed = differences(task, few, contenders)
    seconds: dict[str, list[float]] = {one: [] for one in contenders}
    for _ in range(repeats):
        for one, (count, learn) in contenders.items():
            begin = time.perf_counter()
            learn()
            seconds[one].append((time.perf_counter() - begin) / count)
    medians = {one: statistics.median(times) for one, times in seconds.items()}
    rate = task.events.input_rate(np.arange(many))
    print(f"\n{name}: {task.events.num_channels} channels, {task.events.num_bins} bins, "
          f"{len(task.events.class_names)} classes, input rate {rate:.1%}")  # fmt: skip
    for one, median in medians.items():
        bins = 1e6 * median / task.events.num_bins
        print(f"{one:8s}{1 / median:12.1f} samples/s {bins:10.2f} us a bin "
              f"{median / medians['kernel']:8.1f} x the kernel's time")  # fmt: skip
    ratio = medians["plain"] / medians["kernel"]
    return missed + [f"{name}: {ratio:.1f} x plain, required {LEAST:g}"] * (ratio < LEAST)


def differences(
    task: World, count: int, contenders: dict[str, tuple[int, Callable[[], Learned]]]
) -> list[str]:
    """Return who does not arrive where the kernel does with ``count`` samples."""
    ours, missed = by_kernel(task, count), []
    most = MOST_DIFFERENCE * float(np.abs(ours.params - task.params).max())
    for one, (_, learn) in contenders.items():
        if one == "kernel":
            continue
        found = learn()
        far = float(np.abs(found.params - ours.params).max())
        if not far <= most:
            missed.append(f"{task.name}: {one}'s parameters are {far:.1e} off, at most {most:.1e}")
        for what in ("likelihood", "importance"):
            if not np.allclose(getattr(found, what), getattr(ours, what), rtol=MOST_DIFFERENCE):
                missed.append(f"{task.name}: {one} has another {what}")
    return missed


def main() -> int:
    """Run the tasks asked for; 1 if something is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--world", choices=tuple(NUM_SAMPLES), action="append")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    missed: list[str] = []
    for name in asked.world or NUM_SAMPLES:
        missed += compare(name, asked.repeats)
    for target in missed:
        print(f"missed: {target}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
