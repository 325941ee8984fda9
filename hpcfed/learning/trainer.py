"""What federation knows of local training: a vector in, a vector and a few numbers out.

P parameters, B batch, L hidden layers, T time bins, H hidden neurons. A trainer knows no rank and
no server; it may train several clients at once, but results depend on (seed, round, client) alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self  # Any: a buffer on a device

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.networks.contract import Layer, Product
from hpcfed.networks.layout import Layout
from hpcfed.samples.samples import Samples

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


ENTERING_UNIT = 2.0**-16


class DeviceVector(Protocol):
    """A vector (P,) float32 that lies on a device; only what is asked for crosses to the host."""

    @property
    def size(self) -> int:
        """P, the number of entries."""
        ...

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> F32:
        """Return all of it on the host."""
        ...

    def drawn(self, stream: Stream, limit: int) -> Self:
        """Return the entries (s,) whose word of ``stream`` reaches ``limit``."""
        ...

    def listed(self, entries: I64) -> Self:
        """Return the ``entries`` (s,)."""
        ...

    def largest(self, count: int) -> I64:
        """Return the ``count`` entries of largest magnitude, ties to the lower index, ascending."""
        ...

    def norm(self) -> float:
        """Return the Euclidean norm, added in float64."""
        ...

    def reach(self) -> float:
        """Return the largest magnitude of any entry, NaN if one is no number; of none 0."""
        ...

    def joined(self, head: NDArray[np.uint8], others: Sequence[Self]) -> Any:
        """Return the bytes of ``head`` (n,), of this vector and of the ``others``, in this order.

        They lie on the device, in an object that mpi4py takes for a buffer.
        """
        ...


@dataclass(frozen=True)
class LocalUpdate:
    """What one client's local training gives.

    Attributes:
        delta: (P,) float32, trained minus received parameters, on the host or on a device; without
            those that stay with the client.
        loss: mean training loss (cross-entropy, what is learned of a teacher and rate penalties)
            over all steps of the round, each step weighted by its batch size.
        hidden_rate: mean fraction of hidden neurons that spike in a time bin; NaN for an ANN.
        figures: what else the rule measures, under the names of its ``Rule.figures``.
        memory: (Q,) float32 that the client keeps for its next round; None without.
        local: float32 parameters that stay with the client, as trained; None without.
        activity: (L, 3) int64, ``silence.COUNTS`` of the samples of all steps; None without spikes.
        importance: (G,) float64, how much the rule wants each group of ``Part.groups`` to be sent;
            None: as much as the group has changed.
    """

    delta: F32 | DeviceVector
    loss: float
    hidden_rate: float
    figures: Mapping[str, float] = field(default_factory=dict)
    memory: F32 | None = None
    local: F32 | None = None
    activity: I64 | None = None
    importance: F64 | None = None


class Answers(NamedTuple):
    """What a network answers to a batch: the loss (B,) float64 and class (B,) int64 of each."""

    losses: F64
    predictions: I64


@dataclass(frozen=True)
class BatchResult:
    """Evaluation of one batch.

    Attributes:
        losses: (B,) float64 loss of each sample.
        predictions: (B,) int64 class of each sample.
        spikes: (L,) int64 spikes of each hidden layer, summed over batch and time (ANN: zeros).
        logits: (B, K) float64; None from an engine that does not give them.
        entering: (M, 2) int64, what entered each of the trainer's ``products``: how many values
            were not zero, and the sum of magnitudes in units of ENTERING_UNIT; None without.
        neurons: (N,) int64 spikes of each hidden neuron, layer by layer; None where not counted.
        committee: where several networks answer together, what they say one by one; then losses,
            predictions and logits are of the mean of their probabilities, and the activity is that
            of the most probable weights.
        rates: where a network of rates is evaluated as a spiking one, what the rates answer.
    """

    losses: F64
    predictions: I64
    spikes: I64
    logits: F64 | None = None
    entering: I64 | None = None
    neurons: I64 | None = None
    committee: Committee | None = None
    rates: Answers | None = None


@dataclass(frozen=True)
class Committee:
    """What the members of a committee say of a batch, whose mean probabilities are its answer.

    Attributes:
        expected_entropy: (B,) float64 mean of the members' entropies, in nats.
        deviation: (B, K) float64 standard deviation of the probabilities over the members.
        middle: what the most probable weights say.
    """

    expected_entropy: F64
    deviation: F64
    middle: BatchResult


class Trainer(Protocol):
    """Local training and evaluation of one network on one kind of processor.

    One that counts what enters each matrix has ``products`` as well (``products_of``).
    """

    @property
    def layout(self) -> Layout:
        """Names and shapes of the weight matrices, in the order of the flat vector."""
        ...

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The L hidden layers."""
        ...

    def train(
        self, params: F32, samples: Samples, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client, in the order given, starting from ``params`` (P,).

        Updates come one after the other so that the caller can add and free them.
        """
        ...

    def evaluate(self, params: F32, samples: Samples, ids: I64) -> BatchResult:
        """Evaluate one batch of sample ids (B,); the composition of the batch is the caller's."""
        ...

    def hidden_spikes(self, params: F32, samples: Samples, ids: I64) -> list[NDArray[np.bool_]]:
        """Return the spikes of each hidden layer as (B, T, H) bool; an empty list for an ANN."""
        ...


class Traced(NamedTuple):
    """What units of a kind with probabilities do in a few samples.

    Attributes:
        potential: (S, T, U C) float32, of each value of a unit; hidden units, then outputs.
        probability: (S, T, U) float32 of a spike of any value.
        value: (S, T, U) uint8 of the spike; 0 is silence.
    """

    potential: F32
    probability: F32
    value: NDArray[np.uint8]


def traces_of(trainer: Trainer, params: F32, samples: Samples, ids: I64) -> Traced | None:
    """Return what the units do in samples ``ids`` (S,); None of a trainer that has no such."""
    trace = getattr(trainer, "traces", None)
    return None if trace is None else trace(params, samples, ids)


def memory_of(trainer: Trainer) -> int:
    """Return how many float32 numbers a client keeps, where that follows from the data; else 0."""
    found: int = getattr(trainer, "memory_size", 0)
    return found


def initial_of(trainer: Trainer) -> F32 | None:
    """Return the first parameters (P,) of a network that brings its own; None of others."""
    found: F32 | None = getattr(trainer, "initial", None)
    return found


def constants_of(trainer: Trainer) -> str | None:
    """Return the digest of what a network holds beside its parameters; None of others."""
    found: str | None = getattr(trainer, "constants", None)
    return found


def operations_of(trainer: Trainer, depth: int) -> int:
    """Return a pass's multiply-accumulates, a sample and a bin, with ``depth`` iterations.

    1 of a trainer that does not say.
    """
    count = getattr(trainer, "operations", None)
    return 1 if count is None else int(count(depth))


def at_depth(trainer: Trainer, depth: int) -> Trainer:
    """Return a trainer of a network with a repeated block that evaluates ``depth`` iterations."""
    found: Trainer = trainer.at_depth(depth)  # type: ignore[attr-defined]
    return found


def products_of(trainer: Trainer) -> tuple[Product, ...]:
    """Return the M products of which ``trainer`` counts what enters; none for many."""
    found: tuple[Product, ...] = getattr(trainer, "products", ())
    return found
