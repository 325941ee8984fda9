"""Evaluation over all ranks: fixed batches by sample index, exact sums, one reduction.

Batches hold the same samples on any number of ranks; whole batches go to ranks, and per-sample
losses are added on the integer grid, so that every figure has the same bits. B batch, K classes,
G groups, L hidden layers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.federation import calibration
from hpcfed.federation.calibration import Calibration
from hpcfed.federation.mpi.transport import Transport
from hpcfed.federation.uplink.exact import LIMIT, Grid, grid
from hpcfed.learning.probabilities import entropy, softmax
from hpcfed.learning.trainer import Answers, BatchResult, Committee, Trainer, products_of
from hpcfed.samples.samples import Samples

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

BATCH_SIZE = 64


@dataclass(frozen=True)
class CommitteeResult:
    """What the members of a committee say one by one, and what their most probable weights do.

    Attributes:
        expected_entropy: mean entropy of a member's probabilities, in nats.
        map_accuracy, map_loss, map_calibration: of the most probable weights.
    """

    expected_entropy: float
    map_accuracy: float
    map_loss: float
    map_calibration: Calibration | None


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
        input_rate: mean spikes per input and time bin of all samples; NaN without spikes.
        calibration: of the confidences; None from engines without, or where some are not finite.
        entropy: mean entropy of the probabilities, in nats; NaN where there are none.
        committee: what its members say one by one, where a committee answers; None without.
        rate_accuracy, rate_loss: of the rates, where spikes answer in their place; else NaN.
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
    entropy: float = float("nan")
    committee: CommitteeResult | None = None
    rate_accuracy: float = float("nan")
    rate_loss: float = float("nan")

    @property
    def num_samples(self) -> int:
        """Samples evaluated."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Fraction of samples whose class is predicted."""
        return float(np.trace(self.confusion) / self.num_samples)

    @property
    def spikes_per_sample(self) -> float:
        """Spikes of all hidden neurons."""
        return float(self.spikes.sum()) / self.num_samples


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


class _Parts(NamedTuple):
    """Views of an evaluation's integers.

    Attributes:
        losses: sum on the grid, and how many are not finite.
        confusion: (K, K).
        right, total: (G,) by group.
        spikes: (L,).
        entering: (M, 2).
        counted: batches that counted neurons; those that a committee answered.
        neurons: (N,).
        entropy: of the answers, and mean of the members'; sums on the grid.
        confidences: what ``calibration.add`` adds to.
        middle: of the most probable weights, loss, how many are not finite, and how many right.
        middle_confidences: the same of them.
        rates: of rates that spikes answer for, the same as ``middle``; and batches that had them.
    """

    losses: I64
    confusion: I64
    right: I64
    total: I64
    spikes: I64
    entering: I64
    counted: I64
    neurons: I64
    entropy: I64
    confidences: I64
    middle: I64
    middle_confidences: I64
    rates: I64


@dataclass(frozen=True)
class _Sums:
    """All of an evaluation's integers in one vector, so that one reduction carries them."""

    flat: I64
    sizes: tuple[int, ...]

    @classmethod
    def zeros(cls, classes: int, groups: int, layers: int, products: int, neurons: int) -> _Sums:
        known = calibration.num_sums()
        sizes = (2, classes**2, groups, groups, layers, 2 * products, 2, neurons, 2, known, 3)
        return cls(np.zeros(sum(sizes) + known + 4, np.int64), (*sizes, known))

    @property
    def parts(self) -> _Parts:
        found = _Parts(*np.split(self.flat, np.cumsum(self.sizes)))
        classes = math.isqrt(self.sizes[1])
        return found._replace(
            confusion=found.confusion.reshape(classes, classes),
            entering=found.entering.reshape(-1, 2),
        )

    def add(self, events: Samples, batch: I64, result: BatchResult, num_samples: int) -> None:
        parts, labels, groups = self.parts, events.labels[batch], events.groups[batch]
        ones = grid(np.ones(num_samples, np.int64))
        _add_losses(parts.losses, result, ones)
        right = labels == result.predictions
        np.add.at(parts.confusion, (labels, result.predictions), 1)
        np.add.at(parts.right, groups, right.astype(np.int64))
        np.add.at(parts.total, groups, 1)
        parts.spikes[:] += result.spikes
        if result.entering is not None:
            parts.entering[:] += result.entering
        if result.neurons is not None:
            parts.counted[0] += 1
            parts.neurons[:] += result.neurons
        if result.logits is not None:
            probabilities = softmax(result.logits)
            calibration.add(parts.confidences, probabilities, labels, ones)
            parts.entropy[0] += _finite_sum(entropy(probabilities), ones)
        if result.committee is not None:
            self._add_committee(labels, result.committee, ones)
        if result.rates is not None:
            _add_losses(parts.rates, result.rates, ones)
            parts.rates[2:] += int((labels == result.rates.predictions).sum()), 1

    def _add_committee(self, labels: I64, committee: Committee, ones: Grid) -> None:
        parts, middle = self.parts, committee.middle
        parts.counted[1] += 1
        parts.entropy[1] += _finite_sum(committee.expected_entropy, ones)
        _add_losses(parts.middle, middle, ones)
        parts.middle[2] += int((labels == middle.predictions).sum())
        if middle.logits is not None:
            probabilities = softmax(middle.logits)
            calibration.add(parts.middle_confidences, probabilities, labels, ones)

    def result(self, events: Samples, samples: I64) -> SplitResult:
        parts, ones = self.parts, grid(np.ones(len(samples), np.int64))
        totals = ones.reals(parts.entropy) / len(samples)
        believed = calibration.read(parts.confidences, ones)
        committee = None
        if parts.counted[1]:
            committee = CommitteeResult(
                expected_entropy=float(totals[1]),
                map_accuracy=float(parts.middle[2] / len(samples)),
                map_loss=_mean_loss(parts.middle, ones, len(samples)),
                map_calibration=calibration.read(parts.middle_confidences, ones),
            )
        return SplitResult(
            loss=_mean_loss(parts.losses, ones, len(samples)),
            confusion=parts.confusion,
            group_correct=parts.right,
            group_total=parts.total,
            spikes=parts.spikes,
            entering=parts.entering,
            neurons=parts.neurons if parts.counted[0] else parts.neurons[:0],
            input_rate=events.input_rate(samples),
            calibration=believed,
            entropy=float("nan") if believed is None else float(totals[0]),
            committee=committee,
            **_of_rates(parts.rates, ones, len(samples)),
        )


def _of_rates(sums: I64, ones: Grid, num_samples: int) -> dict[str, float]:
    if not sums[3]:
        return {}
    loss = _mean_loss(sums, ones, num_samples)
    return {"rate_accuracy": float(sums[2] / num_samples), "rate_loss": loss}


def _add_losses(sums: I64, result: BatchResult | Answers, ones: Grid) -> None:
    fine = np.abs(result.losses) < LIMIT  # NaN is not
    sums[0] += ones.integers(result.losses[fine], 1).sum()
    sums[1] += (~fine).sum()


def _mean_loss(sums: I64, ones: Grid, num_samples: int) -> float:
    return float("nan") if sums[1] else float(ones.reals(sums[:1])[0] / num_samples)


def _finite_sum(values: F64, ones: Grid) -> int:
    return int(ones.integers(values[np.isfinite(values)], 1).sum())
