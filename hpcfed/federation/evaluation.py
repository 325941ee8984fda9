"""Evaluation over all ranks: fixed batches by sample index, exact sums, one reduction.

Batches hold the same samples on any number of ranks; whole batches go to ranks, and per-sample
losses are added on the integer grid, so that every figure has the same bits. B batch, K classes,
G groups, L hidden layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.federation import calibration
from hpcfed.federation.calibration import Calibration, softmax
from hpcfed.federation.mpi.transport import Transport
from hpcfed.federation.uplink.exact import LIMIT, grid
from hpcfed.learning.trainer import BatchResult, Trainer, products_of
from hpcfed.samples.samples import Samples

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

BATCH_SIZE = 64


@dataclass(frozen=True)
class SplitResult:
    """How one set of parameters does on one set of samples.

    Attributes:
        loss: mean loss; NaN if a sample's loss is not finite (or reaches 2**12).
        confusion: (K, K) int64, samples by (label, prediction).
        group_correct, group_total: (G,) int64, by speaker.
        spikes: (L,) int64, of each hidden layer over all samples and bins.
        entering: (M, 2) int64, what entered each of the trainer's products, as BatchResult has it.
        neurons: (N,) int64, spikes of each hidden neuron, layer by layer; empty where not counted.
        calibration: of the confidences; None from engines without, or where some are not finite.
        input_rate: mean spikes per input and time bin of all samples; NaN without spikes.
    """

    loss: float
    confusion: I64
    group_correct: I64
    group_total: I64
    spikes: I64
    entering: I64
    neurons: I64
    input_rate: float
    calibration: Calibration | None

    @property
    def num_samples(self) -> int:
        """Samples evaluated."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Fraction of samples whose class is predicted."""
        return float(np.trace(self.confusion) / self.num_samples)


def evaluate(
    transport: Transport, trainer: Trainer, params: F32, events: Samples, samples: I64
) -> SplitResult | None:
    """Evaluate ``params`` (P,) on ``samples`` (n,); the result lies at the root, None elsewhere."""
    num_classes, num_groups = len(events.class_names), len(events.group_names)
    num_products, num_neurons = len(products_of(trainer)), sum(n.neurons for n in trainer.layers)
    sums = _Sums.zeros(num_classes, num_groups, len(trainer.layers), num_products, num_neurons)
    starts = range(transport.rank * BATCH_SIZE, len(samples), transport.size * BATCH_SIZE)

    def evaluate_batches() -> None:
        for start in starts:
            batch = samples[start : start + BATCH_SIZE]
            sums.add(events, batch, trainer.evaluate(params, events, batch), len(samples))

    transport.together("evaluation", evaluate_batches)
    transport.sum_at_root(sums.flat)
    return sums.result(events, samples) if transport.rank == 0 else None


@dataclass(frozen=True)
class _Sums:
    """All of an evaluation's integers in one vector, so that one reduction carries them."""

    flat: I64
    sizes: tuple[int, int, int, int, int]

    @classmethod
    def zeros(cls, *sizes: int) -> _Sums:
        classes, groups, layers, products, neurons = sizes
        known = 2 + classes**2 + 2 * groups + layers + 2 * products + 1 + neurons
        flat = np.zeros(known + calibration.num_sums(), np.int64)
        return cls(flat, (classes, groups, layers, products, neurons))

    def parts(self) -> tuple[I64, ...]:
        """Return views.

        Losses (sum, bad), confusion, groups (right, all), spikes, entering, batches that counted
        neurons, neurons, calibration.
        """
        classes, groups, layers, products, neurons = self.sizes
        lengths = [2, classes**2, groups, groups, layers, 2 * products, 1, neurons]
        head, confusion, right, total, spikes, entering, counted, fired, confidences = np.split(
            self.flat, np.cumsum(lengths)
        )
        matrix, pairs = confusion.reshape(classes, classes), entering.reshape(products, 2)
        return head, matrix, right, total, spikes, pairs, counted, fired, confidences

    def add(self, events: Samples, batch: I64, result: BatchResult, num_samples: int) -> None:
        head, confusion, correct, total, spikes, entering, counted, fired, confidences = (
            self.parts()
        )
        labels, groups = events.labels[batch], events.groups[batch]
        fine = np.abs(result.losses) < LIMIT  # NaN is not
        ones = grid(np.ones(num_samples, np.int64))
        head[0] += ones.integers(result.losses[fine], 1).sum()
        head[1] += (~fine).sum()
        np.add.at(confusion, (labels, result.predictions), 1)
        np.add.at(correct, groups, (labels == result.predictions).astype(np.int64))
        np.add.at(total, groups, 1)
        spikes += result.spikes
        if result.entering is not None:
            entering += result.entering
        if result.neurons is not None:
            counted += 1
            fired += result.neurons
        if result.logits is not None:
            calibration.add(confidences, softmax(result.logits), labels, ones)

    def result(self, events: Samples, samples: I64) -> SplitResult:
        head, confusion, correct, total, spikes, entering, counted, fired, confidences = (
            self.parts()
        )
        ones = grid(np.ones(len(samples), np.int64))
        loss = ones.reals(head[:1])[0] / len(samples)
        return SplitResult(
            loss=float("nan") if head[1] else float(loss),
            confusion=confusion,
            group_correct=correct,
            group_total=total,
            spikes=spikes,
            entering=entering,
            neurons=fired if counted[0] else fired[:0],
            input_rate=events.input_rate(samples),
            calibration=calibration.read(confidences, ones),
        )
