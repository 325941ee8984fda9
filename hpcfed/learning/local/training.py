"""The local trainer: layers that learn by readouts of their own, one client per thread.

P parameters, B batch, L hidden layers, T time bins, H hidden neurons, K classes. One native call
trains one client for all its steps. The parameters are the layers' matrices alone: readouts are
random signs that follow from the seed, and nobody learns or sends them.

A network says the mean of the class probabilities that its last layer's readout gives in each bin
from ``rule.local.burn_in`` on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import prepare
from hpcfed.base.parallel import in_order, lent
from hpcfed.base.philox import CompiledStream
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning import equations
from hpcfed.learning.batches import batches
from hpcfed.learning.constants import Reals, RealType
from hpcfed.learning.latents import Latent
from hpcfed.learning.local import plan
from hpcfed.learning.local.kernels import evaluate_batch, train_client
from hpcfed.learning.local.plan import inputs_of
from hpcfed.learning.local.tables import Found, Learning, Workspace, make_work
from hpcfed.learning.probabilities import truth
from hpcfed.learning.schedule import learning_rate
from hpcfed.learning.trainer import BatchResult, LocalUpdate
from hpcfed.networks.contract import Layer
from hpcfed.networks.layout import Layout
from hpcfed.networks.stack import dense_layers, dense_layout
from hpcfed.samples.events import OTHER_DATA, EventSet, events_of
from hpcfed.samples.samples import Samples, Shape

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

_ROWS = 32  # samples that evaluation takes at once: their states stay in the second cache

_NEEDS = "local learning", OTHER_DATA


class LocalTrainer:
    """Trains one spiking network by local readouts on one CPU; implements ``trainer.Trainer``."""

    def __init__(
        self,
        experiment: Experiment,
        shape: Shape,
        binary: Latent | None = None,
        dtype: RealType = np.float32,
    ) -> None:
        """Take the network between C channels and K classes, trained in ``dtype``.

        With ``binary`` parameters are latent weights in training, as it says. Raises InputError if
        ``rule.local.burn_in`` leaves no bin to learn in.
        """
        self._experiment, self._shape, self._dtype = experiment, shape, dtype
        whole = dense_layout(experiment.model, shape.num_inputs, shape.classes)
        self._layout = Layout(whole.parts[:-1])  # the last is a readout that is learned
        self._layers = dense_layers(experiment.model, shape.num_inputs)
        self._binary = (binary or plan.real_weights)(self._layout)
        self._network = plan.constants(experiment, shape, self._layers, dtype)
        self._spare: list[Workspace] = []
        self._prepared = False

    @property
    def layout(self) -> Layout:
        """Names and shapes of the weight matrices, in the order of the flat vector."""
        return self._layout

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The hidden layers."""
        return self._layers

    def train(
        self, params: F32, samples: Samples, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client, in the order given, starting from ``params`` (P,)."""
        received: Reals = params.astype(self._dtype)
        events = events_of(samples, *_NEEDS, targets=True)
        if not self._prepared:
            self._prepare(received, events)
        one = partial(self._train_client, received, events, round_index)
        return in_order(one, clients, self._experiment.client.threads)

    def evaluate(self, params: F32, samples: Samples, ids: I64) -> BatchResult:
        """Evaluate one batch of sample ids (B,) with weights ``params`` (P,), as they enter U."""
        found = self._evaluate(params, samples, ids, with_raster=False)
        logits = np.log(found.probabilities)
        return BatchResult(
            losses=-(truth(samples, ids) * logits).sum(axis=1),
            predictions=logits.argmax(1),
            spikes=np.add.reduceat(found.neurons, self._network.outputs[:-1]),
            logits=logits,
            neurons=found.neurons,
        )

    def hidden_spikes(self, params: F32, samples: Samples, ids: I64) -> list[NDArray[np.bool_]]:
        """Return the spikes of each hidden layer as (B, T, H) bool."""
        found = self._evaluate(params, samples, ids, with_raster=True)
        return np.split(found.raster, self._network.outputs[1:-1], axis=2)

    def _evaluate(self, params: F32, samples: Samples, ids: I64, with_raster: bool) -> Found:
        inputs = inputs_of(events_of(samples, *_NEEDS, targets=True), ids)
        found = self._found(len(ids), with_raster)
        with self._work(_ROWS) as work:
            evaluate_batch(self._network, inputs, params.astype(self._dtype), work, found)
        return found

    def _found(self, count: int, with_raster: bool) -> Found:
        neurons = int(self._network.outputs[-1])
        marks = (count, self._network.num_bins, neurons) if with_raster else (0, 0, 0)
        return Found(
            probabilities=np.empty((count, self._shape.classes)),
            neurons=np.empty(neurons, np.int64),
            raster=np.zeros(marks, np.bool_),
        )

    def _train_client(
        self, received: Reals, events: EventSet, round_index: int, client: Client
    ) -> LocalUpdate:
        experiment, network = self._experiment, self._network
        order = CompiledStream(experiment.seed, Purpose.BATCH_ORDER, round_index, client.index)
        steps = list(batches(experiment.client, client.samples, order))
        inputs = inputs_of(events, np.concatenate(steps))
        learning, bounds = self._learning(client, round_index), np.cumsum([0, *map(len, steps)])
        with self._work(max(map(len, steps))) as work:
            loss, spikes = train_client(network, learning, inputs, bounds, received, work)
            delta, activity = work.latents.astype(np.float32), work.activity.copy()
        return LocalUpdate(
            delta=delta,
            loss=loss / (len(inputs.samples) * (network.num_bins - network.burn_in)),
            hidden_rate=spikes / (len(inputs.samples) * network.num_bins * network.outputs[-1]),
            activity=activity,
        )

    def _learning(self, client: Client, round_index: int) -> Learning:
        experiment = self._experiment
        rate = learning_rate(experiment.client, round_index)
        stream = Stream(experiment.seed, Purpose.WEIGHT_NOISE, round_index, client.index)
        return Learning(
            optimiser=equations.optimiser(experiment, rate, self._dtype),
            binary=self._binary,
            address=stream.address,
            draws_each_bin=experiment.learning_rule.bayes_settings.noise == "bin",
        )

    def _prepare(self, received: Reals, events: EventSet) -> None:
        """Have the kernels of training and evaluation compiled before the first round."""
        nobody = np.zeros(0, np.int64)
        inputs, learning = inputs_of(events, nobody), self._learning(Client(0, nobody), 0)
        with self._work(_ROWS) as work:
            prepare(
                (train_client, (self._network, learning, inputs, nobody, received, work)),
                (evaluate_batch, (self._network, inputs, received, work, self._found(0, False))),
            )
        self._prepared = True

    def _work(self, rows: int) -> AbstractContextManager[Workspace]:
        """Lend scratch space for so many samples at once, or more."""
        return lent(
            self._spare,
            partial(make_work, self._network, rows, self._dtype),
            lambda work: work.fired.shape[1] >= rows,
        )
