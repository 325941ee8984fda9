"""The trainer of stacked layers: convolutions, pools, dense layers and norms, by their events.

P parameters, B batch, L layers, T time bins, K classes. One native call trains one client for all
its steps; what Python prepares is the order of the samples and what augmentation does to each. The
step is the one of ``autograd.training``. Of events or of all values, the sums of products are the
same bits: each layer takes for each image what is faster. So it does with gradients of spikes, of
all neurons or of those alone whose surrogate is not zero: how many there are decides, no thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from math import prod

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import prepare
from hpcfed.base.parallel import in_order, lent
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.config.model import NORM_EPSILON, NORM_MOMENTUM
from hpcfed.learning import equations, image_augment
from hpcfed.learning.augment import Changes, draw_steps, is_augmented
from hpcfed.learning.constants import Optimiser, Reals, RealType
from hpcfed.learning.event.inputs import inputs_of, most_spikes
from hpcfed.learning.feed import step_ids, training_pixels
from hpcfed.learning.schedule import learning_rate
from hpcfed.learning.silence import limits
from hpcfed.learning.stack.inputs import ENCODERS, EVENTS
from hpcfed.learning.stack.kernels import evaluate_samples, train_client
from hpcfed.learning.stack.memory import make_work, work_bytes
from hpcfed.learning.stack.plan import flatten, pack, plan
from hpcfed.learning.stack.tables import Constants, Found, Learned, Source
from hpcfed.learning.stack.work import Work
from hpcfed.learning.teaching import taught, teaching
from hpcfed.learning.trainer import ENTERING_UNIT, BatchResult, LocalUpdate
from hpcfed.networks.contract import Layer, Product
from hpcfed.networks.layout import Layout
from hpcfed.networks.stack import operations, products, stack_layers, stack_layout, stages
from hpcfed.samples.encoders import SIGNED_POISSON, limits_of
from hpcfed.samples.events import EventSet, events_of
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import Samples, Shape, side_by_side

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

_EVALUATED = 8  # samples at once
_NEEDS = 'client.engine = "event"', 'set client.engine = "norse"'


class StackTrainer:
    """Trains one spiking network of stacked layers on one CPU; implements ``trainer.Trainer``."""

    def __init__(self, experiment: Experiment, shape: Shape, dtype: RealType = np.float32) -> None:
        """Take the network for input and classes of ``shape``, trained in ``dtype``."""
        self._experiment, self._dtype, self._shape = experiment, dtype, shape
        model, bins = experiment.model, experiment.data.num_bins
        self._stages = stages(model, shape)
        self._layout = stack_layout(model, shape, bins)
        self._layers = stack_layers(model, shape)
        self._products = products(model, shape, bins)
        stack, self._lengths = plan(experiment, self._stages, self._layout, shape, dtype)
        self._network = Constants(
            stack,
            equations.neuron(experiment, dtype),
            equations.readout(experiment, dtype).factors,
            equations.penalty(experiment),
            teaching(experiment),
            limits(experiment, self._layers),
            NORM_MOMENTUM,
            NORM_EPSILON,
        )
        self._spare: list[Work] = []
        self._spare_evaluating: list[Work] = []
        self._prepared = False

    @property
    def layout(self) -> Layout:
        """Names and shapes of the weight matrices, in the order of the flat vector."""
        return self._layout

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The hidden layers."""
        return self._layers

    @property
    def products(self) -> tuple[Product, ...]:
        """What is counted of."""
        return self._products

    def operations(self, depth: int) -> int:
        """Return a pass's multiply-accumulates, a sample and a bin."""
        return operations(self._experiment.model, self._stages, self._shape.classes, depth)

    def step_bytes(self, batch: int) -> int:
        """Return about how much memory a step on ``batch`` samples takes."""
        return work_bytes(self._network.stack, self._lengths, batch, self._dtype)

    def train(
        self, params: F32, samples: Samples, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client, in the order given, starting from ``params`` (P,)."""
        received: Reals = params.astype(self._dtype)
        self._prepare(received, samples)
        one = partial(self._train_client, received, samples, round_index)
        return in_order(one, clients, self._experiment.client.threads)

    def evaluate(self, params: F32, samples: Samples, ids: I64) -> BatchResult:
        """Evaluate one batch of sample ids (B,)."""
        found = self._evaluated(params, samples, ids, np.empty((0, 0, 0), np.bool_))
        units = np.array([1.0, 1 / ENTERING_UNIT])
        return BatchResult(
            found.losses, found.predictions, found.spikes, found.logits,
            entering=np.rint(found.entering * units).astype(np.int64), neurons=found.neurons,
        )  # fmt: skip

    def hidden_spikes(self, params: F32, samples: Samples, ids: I64) -> list[NDArray[np.bool_]]:
        """Return the spikes of each hidden layer as (B, T, H) bool."""
        widths = [layer.neurons for layer in self._layers]
        raster = np.zeros((len(ids), self._experiment.data.num_bins, sum(widths)), np.bool_)
        self._evaluated(params, samples, ids, raster)
        return np.split(raster, np.cumsum(widths)[:-1], axis=2)

    def gradient(self, params: Reals, samples: Samples, ids: I64) -> tuple[Reals, float]:
        """Return the gradient (P,) of the mean loss of one batch ``ids`` (B,), and that loss.

        The input is that of evaluation.
        """
        source, learned = self._source(samples, ids), self._learned(samples, ids, 0)
        weights, statistics = self._pack(params)
        bounds = np.array([0, len(ids)])
        with self._work(len(ids), source) as work:
            work.statistics[:] = statistics
            still = Optimiser(False, *[self._dtype(0)] * 5)
            loss, _ = train_client(self._network, still, source, learned, bounds, weights, work)
            found = flatten(self._network.stack, self._layout, work.first, 0 * work.statistics)
        return found, loss / len(ids)

    def _train_client(
        self, params: Reals, samples: Samples, round_index: int, client: Client
    ) -> LocalUpdate:
        received, shared = params.copy(), slice(self._layout.num_shared)
        if client.local is not None:
            received[shared.stop :] = client.local
        steps = step_ids(self._experiment, client, round_index)
        ids, bounds = np.concatenate(steps), np.cumsum([0, *map(len, steps)])
        source = self._training(samples, client, round_index, steps)
        learned = self._learned(samples, ids, round_index, client.index)
        rate = learning_rate(self._experiment.client, round_index)
        optimiser = equations.optimiser(self._experiment, rate, self._dtype)
        weights, statistics = self._pack(received)
        with self._work(max(map(len, steps)), source) as work:
            work.statistics[:] = statistics
            loss, spikes = train_client(
                self._network, optimiser, source, learned, bounds, weights, work
            )
            trained = flatten(self._network.stack, self._layout, work.weights, work.statistics)
            activity = work.activity.copy()
        neurons = sum(layer.neurons for layer in self._layers)
        chances = len(ids) * self._experiment.data.num_bins * neurons
        return LocalUpdate(
            delta=(trained - received)[shared].astype(np.float32, copy=False),
            loss=loss / len(ids),
            hidden_rate=spikes / chances,
            local=trained[shared.stop :].astype(np.float32, copy=False),
            activity=activity,
        )

    def _evaluated(
        self, params: F32, samples: Samples, ids: I64, raster: NDArray[np.bool_]
    ) -> Found:
        source, learned = self._source(samples, ids), self._learned(samples, ids, 0)
        weights, statistics = self._pack(params.astype(self._dtype))
        found = self._found(len(ids), raster)
        with self._work(_EVALUATED, source, learns=False) as work:
            work.statistics[:] = statistics
            evaluate_samples(self._network, source, learned, weights, work, found)
        return found

    def _found(self, count: int, raster: NDArray[np.bool_]) -> Found:
        hidden = len(self._layers)
        return Found(
            losses=np.empty(count),
            predictions=np.empty(count, np.int64),
            logits=np.empty((count, self._shape.classes)),
            spikes=np.zeros(hidden, np.int64),
            neurons=np.zeros(sum(layer.neurons for layer in self._layers), np.int64),
            entering=np.zeros((hidden + 1, 2)),
            raster=raster,
        )

    def _prepare(self, received: Reals, samples: Samples) -> None:
        """Have the kernels of training and evaluation compiled before the first round."""
        if self._prepared:
            return
        none = np.empty(0, np.int64)
        source, learned = self._source(samples, none), self._learned(samples, none, 0)
        optimiser = equations.optimiser(self._experiment, 0.0, self._dtype)
        weights, _ = self._pack(received)
        work = make_work(self._network.stack, self._lengths, 1, self._dtype, 0, True)
        found = self._found(0, np.empty((0, 0, 0), np.bool_))
        bounds = np.zeros(1, np.int64)
        prepare(
            (train_client, (self._network, optimiser, source, learned, bounds, weights, work)),
            (evaluate_samples, (self._network, source, learned, weights, work, found)),
        )
        self._prepared = True

    def _learned(self, samples: Samples, ids: I64, round_index: int, client: int = 0) -> Learned:
        words = Stream(self._experiment.seed, Purpose.NETWORK, round_index, client)
        freeze_after = self._experiment.model.norm_freeze_after
        return Learned(
            samples=side_by_side(ids),
            labels=samples.labels[ids],
            teacher=taught(self._experiment, samples),
            words=words.address,
            frozen=freeze_after is not None and round_index >= freeze_after,
        )

    def _training(
        self, samples: Samples, client: Client, round_index: int, steps: list[I64]
    ) -> Source:
        """Return what a client's samples show in a round, augmented."""
        data, seed = self._experiment.data, self._experiment.seed
        ids = np.concatenate(steps)
        if isinstance(samples, EventSet):
            changes: Sequence[Changes] = ()
            if is_augmented(data):
                noise = Stream(seed, Purpose.AUGMENTATION, round_index, client.index)
                changes = draw_steps(steps, samples, data, noise)
            return self._source(samples, ids, changes)
        words, pixels = Stream(seed, Purpose.ENCODING, round_index, client.index), None
        if isinstance(samples, ImageSet) and image_augment.is_augmented(data):
            drawn = training_pixels(self._experiment, samples, client, round_index)
            pixels = np.concatenate([some for _, some in drawn])
        return self._source(samples, ids, pixels=pixels, words=words)

    def _source(
        self,
        samples: Samples,
        ids: I64,
        changes: Sequence[Changes] = (),
        pixels: NDArray[np.uint8] | None = None,
        words: Stream | None = None,
    ) -> Source:
        """Return what samples ``ids`` (n,) show; without ``words``, as evaluation sees it."""
        encoder = self._experiment.data.encoder or SIGNED_POISSON
        sensed, encoded, row = _NOTHING, ENCODERS.index(encoder), ids
        if isinstance(samples, ImageSet):
            row = ids if pixels is None else np.arange(len(ids))
            pixels = samples.pixels if pixels is None else pixels
        else:
            sensed, encoded = events_of(samples, *_NEEDS), EVENTS
            pixels = np.empty((0, 1), np.uint8)
        address = (words or Stream(self._experiment.seed, Purpose.ENCODING)).address
        nobody = np.empty((0, 0), np.float32)
        inside = ids if encoded == EVENTS else ids[:0]
        shown = np.ascontiguousarray(pixels).reshape(len(pixels), prod(pixels.shape[1:])).view()
        shown.setflags(write=False)  # one type, and so one compiled kernel, of all pixels
        return Source(
            encoder=encoded,
            pixels=shown,
            row=row,
            limits=limits_of(encoder),
            address=address,
            by_sample=words is None,
            samples=side_by_side(ids),
            events=inputs_of(sensed, inside, nobody, changes),
        )

    def _pack(self, params: Reals) -> tuple[Reals, Reals]:
        own: Reals = params.astype(self._dtype, copy=False)
        return pack(self._network.stack, self._lengths, self._layout, own)

    def _work(
        self, batch: int, source: Source, learns: bool = True
    ) -> AbstractContextManager[Work]:
        """Lend work space for ``batch`` samples: memory that is new costs more than the sums."""
        spikes = most_spikes(source.events) if len(source.events.samples) else 0
        room = batch * self._experiment.data.num_bins
        make = partial(
            make_work, self._network.stack, self._lengths, batch, self._dtype, spikes, learns
        )
        spare = self._spare if learns else self._spare_evaluating
        return lent(spare, make, lambda work: work.room >= room and len(work.sensed) >= spikes)


_NOTHING = EventSet(
    channels=np.empty(0, np.uint16),
    counts=None,
    bin_offsets=np.zeros((0, 2), np.uint32),
    sample_offsets=np.zeros(1, np.int64),
    labels=np.empty(0, np.int64),
    groups=np.empty(0, np.int64),
    num_channels=1,
    duration=1.0,
    class_names=("none",),
    group_names=("none",),
)
