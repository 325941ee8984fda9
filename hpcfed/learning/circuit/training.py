"""The trainer of probabilistic units that learn online, one client per thread.

P parameters, B batch, H hidden units, K outputs, U units, C values of a spike, T time bins. One
native call trains one client for all its bins.

A class's score is the mean over bins, and over draws, of the probability that its output spikes;
the scores' share of their sum is the class's probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple  # Any: what a kernel is called with

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import prepare
from hpcfed.base.parallel import in_order, lent
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.circuit import memory, plan
from hpcfed.learning.circuit.kernels import run_samples, train_client
from hpcfed.learning.circuit.tables import (
    Circuit,
    Found,
    Inputs,
    Sums,
    Workspace,
    make_sums,
    make_work,
)
from hpcfed.learning.circuit.tasks import task_of
from hpcfed.learning.circuit.visible import Sample, make_sample, train_visible
from hpcfed.learning.constants import Reals, RealType
from hpcfed.learning.probabilities import entropy
from hpcfed.learning.trainer import BatchResult, Committee, LocalUpdate, Traced
from hpcfed.networks.contract import Layer
from hpcfed.networks.layout import Layout
from hpcfed.samples.events import OTHER_DATA, EventSet, events_of
from hpcfed.samples.samples import Samples, Shape

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LOG_LIKELIHOOD = "log_likelihood"

_NEEDS = "learning by probabilistic units", OTHER_DATA


class Trace(NamedTuple):
    """What the units do with one sample.

    Attributes:
        potentials: (T, U, C) float64 u.
        probabilities: (T, U, C + 1) float64, of silence and of each value.
        spikes: (T, U) int8 values, 0 for silence; hidden units first.
    """

    potentials: F64
    probabilities: F64
    spikes: NDArray[np.int8]


class CircuitTrainer:
    """Trains probabilistic units on one CPU; implements ``trainer.Trainer``."""

    def __init__(self, experiment: Experiment, shape: Shape, dtype: RealType = np.float32) -> None:
        """Take the units between input and K classes of ``shape``, trained in ``dtype``.

        Raises InputError for a sensor of more polarities than spikes have values.
        """
        self._experiment, self._dtype = experiment, dtype
        self._circuit: Circuit = plan.circuit(experiment, shape, dtype)
        self._layout = plan.layout(self._circuit)
        self._exist = plan.exist(experiment, self._layout)
        self._layers = plan.hidden_layers(experiment, shape)
        self._is_foreseen = plan.is_foreseen(experiment)
        self._spare: list[Workspace] = []
        self._spare_samples: list[Sample] = []
        self._prepared = False

    @property
    def layout(self) -> Layout:
        """Kernels, feedback and biases, in the order of the flat vector."""
        return self._layout

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layer of hidden units, if there are any."""
        return self._layers

    @property
    def memory_size(self) -> int:
        """Numbers that a client keeps between rounds that may end within a sample; else 0."""
        if plan.settings_of(self._experiment).bins is None:
            return 0
        smooths = plan.smooths_signal(self._experiment)
        return memory.size(self._circuit, self._layout.size, smooths)

    def train(
        self, params: F32, samples: Samples, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client, in the order given, starting from ``params`` (P,)."""
        events = events_of(samples, *_NEEDS)
        if not self._prepared:
            self._prepare(events)
        one = partial(self._train_client, params, events, round_index)
        return in_order(one, clients, self._experiment.client.threads)

    def evaluate(self, params: F32, samples: Samples, ids: I64) -> BatchResult:
        """Evaluate one batch of sample ids (B,) with free outputs."""
        evaluation = self._experiment.evaluation
        draws = (evaluation.draws if evaluation is not None else None) or 1
        events = events_of(samples, *_NEEDS)
        found = [
            self._run(params, self._drawn(events, ids, draw))
            for draw in range(draws if self._is_random else 1)
        ]
        labels, first = events.labels[ids], found[0]
        middle = _result(first.scores, first.neurons, labels, len(self._layers))
        if draws == 1:
            return middle
        mean = np.mean([one.scores for one in found], axis=0)
        every = np.stack([one.scores / one.scores.sum(axis=1, keepdims=True) for one in found])
        committee = Committee(entropy(every).mean(axis=0), every.std(axis=0), middle)
        result = _result(mean, first.neurons, labels, len(self._layers))
        return replace(result, committee=committee)

    def hidden_spikes(self, params: F32, samples: Samples, ids: I64) -> list[NDArray[np.bool_]]:
        """Return the spikes of the hidden units as (B, T, H) bool, if there are any."""
        if not self._layers:
            return []
        inputs = self._drawn(events_of(samples, *_NEEDS), ids, 0)
        raster = self._run(params, inputs, with_raster=True).raster
        return [raster[:, :, : self._circuit.hidden] > 0]

    def trace(self, params: F32, samples: Samples, sample: int, *, clamped: bool = False) -> Trace:
        """Return what the units do with one sample, outputs free or ``clamped`` to its label."""
        inputs = self._drawn(events_of(samples, *_NEEDS), np.array([sample]), 0)
        found = self._run(params, inputs, clamped=clamped, with_raster=True)
        bins, units = self._circuit.num_bins, self._circuit.units
        potentials = found.potentials[0, :, self._circuit.places].T.reshape(bins, units, -1)
        return Trace(potentials, found.probabilities[0], found.raster[0])

    def traces(self, params: F32, samples: Samples, ids: I64) -> Traced:
        """Return what the units do in samples ``ids`` (S,), outputs free."""
        found = [self.trace(params, samples, sample) for sample in ids.tolist()]
        potentials = [one.potentials.reshape(self._circuit.num_bins, -1) for one in found]
        return Traced(
            potential=np.stack(potentials).astype(np.float32),
            probability=np.stack([1 - one.probabilities[..., 0] for one in found]).astype(
                np.float32
            ),
            value=np.stack([one.spikes for one in found]).astype(np.uint8),
        )

    @property
    def _is_random(self) -> bool:
        """Whether what is drawn changes a probability."""
        return bool(self._circuit.hidden or self._circuit.feedback or self._circuit.lateral)

    def _train_client(
        self, params: F32, events: EventSet, round_index: int, client: Client
    ) -> LocalUpdate:
        circuit, weights = self._circuit, self._weights(params)
        learning = plan.learning(self._experiment, round_index, self._dtype)
        task = task_of(self._experiment, circuit, events, round_index, client)
        sums, kept = make_sums(circuit.table.shape[1]), None
        if self._is_foreseen:
            with self._sample(task.inputs) as room:
                memory.to_places(circuit, weights, room.weights)
                train_visible(circuit, learning, task.inputs, room, sums)
                trained = memory.to_parameters(circuit, room.weights)
            return self._update((trained - params).astype(np.float32), None, sums, task.num_bins)
        with self._work(task.inputs) as work:
            if client.memory is not None:
                weights += memory.unpack(circuit, client.memory, work)
            memory.to_places(circuit, weights, work.weights)
            train_client(circuit, learning, task.inputs, task.span, work, sums)
            trained = memory.to_parameters(circuit, work.weights)
            delta = (trained - params).astype(np.float32)
            if plan.settings_of(self._experiment).bins is not None:
                rest = (trained - (params + delta)).astype(np.float32)
                kept = memory.pack(circuit, task.done + task.num_bins, work, rest)
        return self._update(delta, kept, sums, task.num_bins)

    def _update(self, delta: F32, kept: F32 | None, sums: Sums, num_bins: int) -> LocalUpdate:
        likelihood, hidden = float(sums.log_likelihood[0]) / num_bins, self._circuit.hidden
        return LocalUpdate(
            delta=delta,
            loss=-likelihood,
            hidden_rate=int(sums.spikes[0]) / (num_bins * hidden) if hidden else float("nan"),
            figures={LOG_LIKELIHOOD: likelihood},
            memory=kept,
            activity=sums.activity if hidden else None,
            importance=sums.importance,
        )

    def _drawn(self, events: EventSet, ids: I64, draw: int) -> Inputs:
        """Return samples ``ids`` (B,) with the words of an evaluation's draw."""
        seed = self._experiment.seed
        streams = [Stream(seed, Purpose.EVALUATED_SPIKES, draw, one) for one in ids.tolist()]
        addresses = np.array([one.address for one in streams], np.uint32).reshape(-1, 5)
        return plan.inputs_of(events, ids, addresses, np.zeros(len(ids), np.int64))

    def _run(
        self, params: F32, inputs: Inputs, *, clamped: bool = False, with_raster: bool = False
    ) -> Found:
        found = self._found(len(inputs.samples), with_raster)
        plan.check_words(self._circuit, 1)
        with self._work(inputs) as work:
            memory.to_places(self._circuit, self._weights(params), work.weights)
            run_samples(self._circuit, inputs, clamped, work, found)
        return found

    def _weights(self, params: F32) -> Reals:
        """Return weights (P,), 0 where there is no synapse, whatever came with ``params`` (P,)."""
        return np.where(self._exist, params, 0).astype(self._dtype)

    def _found(self, count: int, with_raster: bool) -> Found:
        circuit, many = self._circuit, count if with_raster else 0
        bins, units = circuit.num_bins, circuit.units
        return Found(
            scores=np.zeros((count, circuit.outputs)),
            neurons=np.zeros(circuit.hidden, np.int64),
            raster=np.zeros((many, bins, units), np.int8),
            potentials=np.zeros((many, bins, circuit.rows)),
            probabilities=np.zeros((many, bins, units, circuit.values + 1)),
        )

    def _prepare(self, events: EventSet) -> None:
        """Have the kernels of training and evaluation compiled before the first round."""
        circuit, inputs = self._circuit, self._drawn(events, np.zeros(0, np.int64), 0)
        learning = plan.learning(self._experiment, 0, self._dtype)
        sums = make_sums(circuit.table.shape[1])
        with self._work(inputs) as work, self._sample(inputs) as room:
            train: tuple[Any, tuple[Any, ...]] = (
                (train_visible, (circuit, learning, inputs, room, sums))
                if self._is_foreseen
                else (train_client, (circuit, learning, inputs, (0, 0), work, sums))
            )
            prepare(train, (run_samples, (circuit, inputs, False, work, self._found(0, False))))
        self._prepared = True

    def _work(self, inputs: Inputs) -> AbstractContextManager[Workspace]:
        """Lend scratch space for samples."""
        most = _most_events(inputs)
        smooths_signal = plan.smooths_signal(self._experiment)
        return lent(
            self._spare,
            partial(make_work, self._circuit, smooths_signal, most, self._dtype),
            lambda work: len(work.events.lines) >= most,
        )

    def _sample(self, inputs: Inputs) -> AbstractContextManager[Sample]:
        """Lend scratch space for samples that are foreseen."""
        most = _most_events(inputs)
        return lent(
            self._spare_samples,
            partial(make_sample, self._circuit, most, self._dtype),
            lambda room: len(room.events.lines) >= most,
        )


def _most_events(inputs: Inputs) -> int:
    """Return how many events the longest of the samples has."""
    return int(np.diff(inputs.sample_offsets)[inputs.samples].max(initial=0))


def _result(scores: F64, neurons: I64, labels: I64, layers: int) -> BatchResult:
    """Return what scores (B, K) say of samples whose labels are ``labels`` (B,)."""
    with np.errstate(divide="ignore"):
        logits = np.log(scores / scores.sum(axis=1, keepdims=True))
    return BatchResult(
        losses=-logits[np.arange(len(labels)), labels],
        predictions=logits.argmax(axis=1),
        spikes=neurons.sum(keepdims=True) if layers else np.zeros(0, np.int64),
        logits=logits,
        neurons=neurons,
    )
