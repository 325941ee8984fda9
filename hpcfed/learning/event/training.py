"""The event trainer: local training and evaluation by the event kernels, one client per thread.

P parameters, B batch, L hidden layers, T time bins, H hidden neurons. One native call trains one
client for all its steps; all that Python prepares is the order of the samples and what augmentation
does to each. The step is the one of ``autograd.training``.
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
from hpcfed.learning.augment import Changes, draw_steps, is_augmented
from hpcfed.learning.batches import batches
from hpcfed.learning.constants import Optimiser, RealType
from hpcfed.learning.event import plan as event_plan
from hpcfed.learning.event.binary import Latents, Source, make_latents, train_latents
from hpcfed.learning.event.inputs import inputs_of, most_spikes
from hpcfed.learning.event.kernels import evaluate_batch, flatten, train_client
from hpcfed.learning.event.tables import Evaluated, Inputs, NetworkConstants
from hpcfed.learning.event.work import Workspace, make_work
from hpcfed.learning.latents import Latent
from hpcfed.learning.schedule import learning_rate
from hpcfed.learning.silence import limits
from hpcfed.learning.teaching import taught, teaching
from hpcfed.learning.trainer import BatchResult, LocalUpdate
from hpcfed.networks.contract import Layer
from hpcfed.networks.layout import Layout
from hpcfed.networks.stack import dense_layers, dense_layout
from hpcfed.samples.events import EventSet, events_of
from hpcfed.samples.samples import Samples, Shape

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Reals = NDArray[np.floating]

_NEEDS = 'client.engine = "event"', 'set client.engine = "norse"'


class EventTrainer:
    """Trains one spiking network on events on one CPU; implements ``trainer.Trainer``."""

    def __init__(
        self,
        experiment: Experiment,
        shape: Shape,
        dtype: RealType = np.float32,
        binary: Latent | None = None,
    ) -> None:
        """Take the network between C channels and K classes, trained in ``dtype``.

        With ``binary`` parameters are latent weights in training, as it says.
        """
        self._experiment, self._dtype = experiment, dtype
        self._spare: list[Workspace] = []
        self._spare_latents: list[Latents] = []
        self._prepared = False
        self._layout = dense_layout(experiment.model, shape.num_inputs, shape.classes)
        self._binary = None if binary is None else binary(self._layout)
        self._layers = dense_layers(experiment.model, shape.num_inputs)
        self._hidden, self._num_classes = experiment.model.widths, shape.classes
        self._network = NetworkConstants(
            event_plan.plan(experiment, shape.num_inputs, shape.classes),
            equations.neuron(experiment, dtype),
            equations.readout(experiment, dtype),
            equations.penalty(experiment),
            teaching(experiment),
            limits(experiment, self._layers),
        )

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
        events = events_of(samples, *_NEEDS)
        flat: Reals = params.astype(self._dtype)
        received = self._pack(flat) if self._binary is None else flat
        if not self._prepared:
            self._prepare(received, events)
        one = partial(self._train_client, received, events, round_index)
        return in_order(one, clients, self._experiment.client.threads)

    def evaluate(self, params: F32, samples: Samples, ids: I64) -> BatchResult:
        """Evaluate one batch of sample ids (B,)."""
        events = events_of(samples, *_NEEDS)
        return self._evaluate(params, events, ids, np.empty((0, 0, 0), np.bool_))

    def hidden_spikes(self, params: F32, samples: Samples, ids: I64) -> list[NDArray[np.bool_]]:
        """Return the spikes of each hidden layer as (B, T, H) bool."""
        events = events_of(samples, *_NEEDS)
        raster = np.zeros((len(ids), events.num_bins, sum(self._hidden)), np.bool_)
        self._evaluate(params, events, ids, raster)
        return np.split(raster, np.cumsum(self._hidden)[:-1], axis=2)

    def gradient(self, params: Reals, events: EventSet, samples: I64) -> tuple[Reals, float]:
        """Return the gradient (P,) of a batch's mean loss with the rate penalty, and that loss."""
        inputs, flat = self._inputs(events, samples), np.empty(self._layout.size, self._dtype)
        still, bounds, received = self._still(), np.array([0, len(samples)]), self._pack(params)
        with self._work(inputs) as work:
            loss, _ = train_client(self._network, still, inputs, bounds, received, work)
            flatten(self._network.plan, work.first, flat)
        return flat, loss / len(samples)

    def _evaluate(
        self, params: F32, events: EventSet, samples: I64, raster: NDArray[np.bool_]
    ) -> BatchResult:
        inputs, weights = self._inputs(events, samples), self._pack(params)
        found = self._found(len(samples), raster)
        with self._work(inputs) as work:
            evaluate_batch(self._network, inputs, weights, work, found)
        neurons = [row[:width] for row, width in zip(found.neurons, self._hidden, strict=True)]
        return BatchResult(
            found.losses, found.predictions, found.spikes, found.logits,
            neurons=np.concatenate(neurons),
        )  # fmt: skip

    def _found(self, count: int, raster: NDArray[np.bool_]) -> Evaluated:
        return Evaluated(
            losses=np.empty(count),
            predictions=np.empty(count, np.int64),
            logits=np.empty((count, self._num_classes)),
            spikes=np.empty(len(self._hidden), np.int64),
            neurons=np.zeros((len(self._hidden), max(self._hidden)), np.int64),
            raster=raster,
        )

    def _prepare(self, weights: Reals, events: EventSet) -> None:
        """Have the kernels of training and evaluation compiled before the first round."""
        largest = np.array([events.num_events.argmax()])  # so that the work space is kept
        network, inputs, delta = self._network, self._inputs(events, largest), weights[:0]
        still, found = self._still(), self._found(0, np.empty((0, 0, 0), np.bool_))
        with self._work(inputs) as work:
            prepare(
                (train_client, (network, still, inputs, np.zeros(1, np.int64), weights, work)),
                (evaluate_batch, (network, inputs, weights, work, found)),
                (flatten, (network.plan, weights, delta)),
            )
        self._prepared = True

    def _still(self) -> Optimiser:
        """Return an optimiser that changes nothing; it keeps the gradient as first moment."""
        return Optimiser(False, *[self._dtype(0)] * 5)

    def _train_client(
        self, received: Reals, events: EventSet, round_index: int, client: Client
    ) -> LocalUpdate:
        experiment = self._experiment
        order, noise = (
            CompiledStream(experiment.seed, purpose, round_index, client.index)
            for purpose in (Purpose.BATCH_ORDER, Purpose.AUGMENTATION)
        )
        steps = list(batches(experiment.client, client.samples, order))
        samples = np.concatenate(steps)
        augmented = is_augmented(experiment.data)
        changes = draw_steps(steps, events, experiment.data, noise) if augmented else []
        inputs = self._inputs(events, samples, changes)
        rate = learning_rate(experiment.client, round_index)
        optimiser = equations.optimiser(experiment, rate, self._dtype)
        bounds = np.cumsum([0, *map(len, steps)])
        delta = np.empty(self._layout.size, self._dtype)
        with self._work(inputs) as work:
            network = self._network
            if self._binary is None:
                loss, spikes = train_client(network, optimiser, inputs, bounds, received, work)
                flatten(network.plan, work.weights, delta)
            else:
                stream = Stream(experiment.seed, Purpose.WEIGHT_NOISE, round_index, client.index)
                source = Source(self._binary, stream.address, received)
                with self._latents() as latents:
                    room = latents, work
                    loss, spikes = train_latents(network, optimiser, inputs, bounds, source, room)
                    delta[:] = latents.current
            activity = work.activity.copy()
        return LocalUpdate(
            delta=delta.astype(np.float32, copy=False),
            loss=loss / len(samples),
            hidden_rate=spikes / (len(samples) * events.num_bins * sum(self._hidden)),
            activity=activity,
        )

    def _inputs(self, events: EventSet, samples: I64, changes: Sequence[Changes] = ()) -> Inputs:
        return inputs_of(events, samples, taught(self._experiment, events), changes)

    def _pack(self, params: Reals) -> Reals:
        return event_plan.pack(self._network.plan, self._layout, params.astype(self._dtype))

    def _latents(self) -> AbstractContextManager[Latents]:
        """Lend room for latent weights."""
        return lent(self._spare_latents, partial(make_latents, self._layout.size, self._dtype))

    def _work(self, inputs: Inputs) -> AbstractContextManager[Workspace]:
        """Lend scratch space that is large enough: memory that is new costs more than the sums."""
        needed = self._network.plan.rows * most_spikes(inputs)
        network = self._network
        make = partial(
            make_work,
            network.plan,
            penalised=network.penalty.strength > 0,
            with_voltages=network.neuron.adaptive and bool(network.neuron.full),
            num_events=needed,
            dtype=self._dtype,
        )
        return lent(self._spare, make, lambda work: work.regions[1] - work.regions[0] >= needed)
