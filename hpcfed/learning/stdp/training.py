"""The trainer of networks that learn by the timing of spikes, one client per thread.

P parameters, B batch, C inputs, N excitatory neurons, K classes, T time bins. One native call
trains one client. There is no loss: labels serve the table alone from which classes are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import prepare
from hpcfed.base.parallel import in_order, lent
from hpcfed.base.philox import CompiledStream
from hpcfed.base.purposes import Purpose
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.batches import passes
from hpcfed.learning.stdp import plan, readout
from hpcfed.learning.stdp.kernels import run_samples, train_client
from hpcfed.learning.stdp.tables import Found, Inputs, Sums, Workspace, make_sums, make_work
from hpcfed.learning.trainer import ENTERING_UNIT, BatchResult, LocalUpdate
from hpcfed.networks.contract import Layer, Product
from hpcfed.networks.layout import Layout
from hpcfed.samples.samples import Samples, Shape

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class StdpTrainer:
    """Trains an excitatory and an inhibitory layer on one CPU; implements ``trainer.Trainer``."""

    def __init__(self, experiment: Experiment, shape: Shape) -> None:
        """Take the network between input and K classes of ``shape``."""
        self._experiment, self._shape = experiment, shape
        self._network = plan.network(experiment, shape)
        self._layout = plan.layout(experiment, shape)
        self._layers = plan.layers(experiment, shape)
        self._spare: dict[int, list[Workspace]] = {}
        self._prepared = False

    @property
    def layout(self) -> Layout:
        """Weights, adaptation, and the tables that classes are read from."""
        return self._layout

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The excitatory and the inhibitory neurons."""
        return self._layers

    @property
    def products(self) -> tuple[Product, ...]:
        """What input spikes enter; they are counted in evaluation."""
        shape, neurons = self._shape.num_inputs, plan.settings_of(self._experiment).neurons
        return (Product(plan.WEIGHTS, shape * neurons, shape * self._network.num_bins),)

    def train(
        self, params: F32, samples: Samples, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client, in the order given, starting from ``params`` (P,)."""
        if not self._prepared:
            self._prepare(samples)
        one = partial(self._train_client, params, samples, round_index)
        return in_order(one, clients, self._experiment.client.threads)

    def evaluate(self, params: F32, samples: Samples, ids: I64) -> BatchResult:
        """Evaluate one batch of sample ids (B,); there is a loss where there are probabilities."""
        found = self._run(params, samples, ids)
        scores = self._scores(params, found.counts)
        excitatory = found.counts.sum(axis=0)
        result = BatchResult(
            losses=np.full(len(ids), np.nan),
            predictions=scores.argmax(axis=1),
            spikes=np.array([excitatory.sum(), found.inner.sum()]),
            entering=np.array([[1, 1 / ENTERING_UNIT]], np.int64) * found.entering,
            neurons=np.concatenate([excitatory, found.inner]),
        )
        if plan.settings_of(self._experiment).prediction != "counts":
            return result
        own = scores[np.arange(len(ids)), samples.labels[ids]]
        losses = np.logaddexp.reduce(scores, axis=1) - own
        return replace(result, losses=losses, logits=scores)

    def _scores(self, params: F32, counts: I64) -> F64:
        """Return how much spike ``counts`` (B, N) speak for each class: (B, K)."""
        table = self._layout.split(params)
        responses, shown = (table[name].astype(np.float64) for name in (plan.RESPONSES, plan.SHOWN))
        shown = shown.repeat(len(responses) // len(shown), axis=0)
        prediction = plan.settings_of(self._experiment).prediction
        if prediction == "counts":
            return readout.by_counts(counts, responses, shown)
        read = readout.by_proportions if prediction == "proportion" else readout.by_labels
        return read(counts, readout.rates(responses, shown))

    def hidden_spikes(self, params: F32, samples: Samples, ids: I64) -> list[NDArray[np.bool_]]:
        """Return the spikes of both populations as (B, T, N) bool."""
        rasters = self._run(params, samples, ids, with_rasters=True).rasters
        return [rasters[:, 0], rasters[:, 1]]

    def _train_client(
        self, params: F32, samples: Samples, round_index: int, client: Client
    ) -> LocalUpdate:
        experiment, seed = self._experiment, self._experiment.seed
        order = CompiledStream(seed, Purpose.BATCH_ORDER, round_index, client.index)
        ids = np.concatenate(list(passes(experiment.client, client.samples, order)))
        inputs = plan.training_inputs(experiment, samples, ids, round_index, client.index)
        learning = plan.learning(experiment, round_index)
        mine = plan.block_of(experiment, client.index)
        parts = self._layout.split(params)
        count, classes = mine.stop - mine.start, self._shape.classes
        sums = make_sums(count, classes)
        delta = np.zeros(len(params), np.float32)
        changed = self._layout.split(delta)
        with self._work(count) as work:
            self._load(parts, mine, work)
            train_client(self._network, learning, inputs, work, sums)
            changed[plan.WEIGHTS][mine] = work.weights.T - parts[plan.WEIGHTS][mine]
            changed[plan.THETA][mine] = work.theta - parts[plan.THETA][mine]
        blocks = plan.settings_of(experiment).num_blocks
        changed[plan.RESPONSES][mine] = sums.responses
        changed[plan.SHOWN][client.index % blocks] = np.bincount(inputs.labels, minlength=classes)
        return self._update(delta, sums, len(ids), client)

    def _update(self, delta: F32, sums: Sums, num_samples: int, client: Client) -> LocalUpdate:
        blocks = plan.settings_of(self._experiment).num_blocks
        importance = np.zeros(blocks)
        importance[client.index % blocks] = 1
        spikes, (neurons, _) = sums.spikes[0], sums.responses.shape
        return LocalUpdate(
            delta=delta,
            loss=float("nan"),
            hidden_rate=int(spikes) / (num_samples * self._network.num_bins * neurons),
            activity=sums.activity,
            importance=importance,
        )

    def _load(self, parts: dict[str, NDArray[np.floating]], mine: slice, work: Workspace) -> None:
        """Write theta and weights, which a merge may have left with another sum, or below 0."""
        weights = np.maximum(parts[plan.WEIGHTS][mine], 0)
        total = weights.sum(axis=1, keepdims=True)
        scale = np.divide(self._network.norm, total, out=np.zeros_like(total), where=total > 0)
        work.weights[:] = np.minimum(weights * scale, 1).T
        work.theta[:] = parts[plan.THETA][mine]

    def _run(self, params: F32, samples: Samples, ids: I64, *, with_rasters: bool = False) -> Found:
        neurons = plan.settings_of(self._experiment).neurons
        found = self._found(len(ids), with_rasters)
        inputs = plan.evaluated_inputs(self._experiment, samples, ids)
        with self._work(neurons) as work:
            self._load(self._layout.split(params), slice(neurons), work)
            work.theta[:] = plan.level(work.theta, plan.settings_of(self._experiment).num_blocks)
            run_samples(self._network, inputs, work, found)
        return found

    def _found(self, count: int, with_rasters: bool) -> Found:
        neurons = plan.settings_of(self._experiment).neurons
        many = count if with_rasters else 0
        return Found(
            np.zeros((count, neurons), np.int64),
            np.zeros(neurons, np.int64),
            np.zeros(1, np.int64),
            np.zeros((many, 2, self._network.num_bins, neurons), np.bool_),
        )

    def _prepare(self, samples: Samples) -> None:
        """Have the kernels of training and evaluation compiled before the first round."""
        inputs: Inputs = plan.evaluated_inputs(self._experiment, samples, np.zeros(0, np.int64))
        learning = plan.learning(self._experiment, 0)
        sums = make_sums(1, self._shape.classes)
        with self._work(plan.settings_of(self._experiment).neurons) as work:
            prepare(
                (train_client, (self._network, learning, inputs, work, sums)),
                (run_samples, (self._network, inputs, work, self._found(0, False))),
            )
        self._prepared = True

    def _work(self, neurons: int) -> AbstractContextManager[Workspace]:
        """Lend scratch space for so many neurons."""
        spare = self._spare.setdefault(neurons, [])
        return lent(spare, partial(make_work, self._network, neurons))
