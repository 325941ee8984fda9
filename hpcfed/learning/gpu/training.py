"""The GPU trainer: local training and evaluation of many clients at once, each with own weights.

P parameters, B batch, L hidden layers, T time bins, H hidden neurons, G clients of a group. The
host prepares the order of the samples and what augmentation does to each; then one list of launches
trains the whole group, as one CUDA graph. Clients with fewer samples or steps leave slots empty,
which change nothing. A client's bits do not depend on its group: every program works for one
client, in tiles of fixed size, and all sums have one order. The step is the one of
``autograd.training``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.errors import StoppedRunError
from hpcfed.learning.gpu.device import tiles_of, usable_bytes, using
from hpcfed.learning.gpu.events import Packed, pack
from hpcfed.learning.gpu.graph import Graphs
from hpcfed.learning.gpu.plan import BLOCK, plan
from hpcfed.learning.gpu.schedule import Orders, fill, orders, whole_blocks
from hpcfed.learning.gpu.steps import Batches, batch_launches, step_launches
from hpcfed.learning.gpu.update import GpuUpdate
from hpcfed.learning.gpu.work import Buffers, Size, make_work
from hpcfed.learning.teaching import taught
from hpcfed.learning.trainer import BatchResult, LocalUpdate
from hpcfed.networks.contract import Layer
from hpcfed.networks.layout import Layout
from hpcfed.networks.stack import dense_layers, dense_layout
from hpcfed.samples.events import EventSet, events_of
from hpcfed.samples.samples import Samples, Shape

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

_LOG = logging.getLogger("hpcfed")
_MOST_CLIENTS = 4096  # far more than fill a GPU, far fewer than a grid may have

_NEEDS = 'client.engine = "gpu"', 'set client.engine = "norse"'


class GpuTrainer:
    """Trains one spiking network on one GPU; implements ``trainer.Trainer``."""

    def __init__(
        self,
        experiment: Experiment,
        shape: Shape,
        device: str = "cpu",
        most_clients: int | None = None,
    ) -> None:
        """Take the network between C channels and K classes.

        ``most_clients`` are trained at once; None: as many as memory holds.
        """
        self._experiment, self._device = experiment, torch.device(device)
        self._layout = dense_layout(experiment.model, shape.num_inputs, shape.classes)
        self._layers = dense_layers(experiment.model, shape.num_inputs)
        self._hidden = experiment.model.widths
        tiles = tiles_of(self._device)
        self._plan = plan(experiment, self._layout, shape.num_inputs, tiles)
        self._most = most_clients
        self._packed: list[tuple[EventSet, Packed]] = []
        self._training: Buffers | None = None
        self._evaluation: Buffers | None = None
        self._graphs = Graphs()

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
        """Yield the update of each client, in the order given, starting from ``params`` (P,).

        Out of memory, a group is halved and begun again.
        """
        if not clients:
            return
        events = events_of(samples, *_NEEDS)
        planned = orders(self._experiment, events, clients, round_index)
        done = 0
        while done < len(clients):
            try:
                with using(self._device):
                    updates = self._train_group(params, events, planned, done)
            except torch.OutOfMemoryError:
                self._halve(len(clients))
                continue
            done += len(updates)
            yield from updates

    def evaluate(self, params: F32, samples: Samples, ids: I64) -> BatchResult:
        """Evaluate one batch of sample ids (B,)."""
        with using(self._device):
            work, count = self._batch(params, events_of(samples, *_NEEDS), ids), len(ids)
            return BatchResult(
                losses=work.schedule.losses[0, 0, :count].double().cpu().numpy(),
                predictions=work.predictions[0, :count].long().cpu().numpy(),
                spikes=np.array([int(tally[0].sum()) for tally in work.tallies], np.int64),
                neurons=self._by_neuron(work, count),
            )

    def hidden_spikes(self, params: F32, samples: Samples, ids: I64) -> list[NDArray[np.bool_]]:
        """Return the spikes of each hidden layer as (B, T, H) bool."""
        with using(self._device):
            work = self._batch(params, events_of(samples, *_NEEDS), ids)
            return [raster.bool().cpu().numpy() for raster in self._rasters(work, len(ids))]

    def _rasters(self, work: Buffers, count: int) -> Iterator[torch.Tensor]:
        """Yield the spikes of each hidden layer (B, T, H) uint8 of a batch of ``count``."""
        num_bins = self._plan.num_bins
        for layer, spikes in zip(self._plan.layers, work.spikes, strict=True):
            blocks = spikes[0].reshape(-1, num_bins, BLOCK, layer.width)
            raster = blocks.transpose(1, 2).reshape(-1, num_bins, layer.width)
            yield raster[:count, :, : layer.neurons]

    def _by_neuron(self, work: Buffers, count: int) -> I64:
        found = [raster.sum((0, 1), dtype=torch.int64) for raster in self._rasters(work, count)]
        return np.asarray(torch.cat(found).cpu().numpy(), np.int64)

    def gradient(self, params: F32, events: EventSet, samples: I64) -> tuple[F32, float]:
        """Return the gradient (P,) of a batch's mean loss with the rate penalty, and that loss."""
        with using(self._device):
            work = self._batch(params, events, samples, learn=True)
            losses, penalties = work.schedule.losses[0, 0], work.schedule.penalties[0, 0]
            loss = float(losses[: len(samples)].double().mean() + penalties)
            return work.gradient[0].cpu().numpy(), loss

    def _batch(self, params: F32, events: EventSet, samples: I64, learn: bool = False) -> Buffers:
        """Return work space in which a batch (B,) has been worked on."""
        packed = self._events(events)
        size = Size(clients=1, slots=whole_blocks(len(samples)), steps=1)
        work = self._evaluation
        if learn or work is None or work.size != size:
            self._evaluation = None  # free it first
            work = make_work(self._plan, self._experiment, size, packed, learn)
        if not learn:
            self._evaluation = work
        work.weights[0].copy_(torch.tensor(params))
        work.schedule.samples.fill_(-1)
        ids = torch.tensor(samples.astype(np.int32))
        work.schedule.samples[0, 0, : len(samples)].copy_(ids)
        work.schedule.counts.fill_(len(samples))
        for launch in batch_launches(Batches(self._plan, self._experiment, packed, work, learn), 0):
            launch.run()
        return work

    def _train_group(
        self, params: F32, events: EventSet, planned: Orders, first: int
    ) -> list[LocalUpdate]:
        """Train as many clients as go at once, from number ``first`` on."""
        packed = self._events(events)
        work = self._work(planned, packed)
        group = planned.part(first, first + work.size.clients)
        fill(work, group)
        work.received.copy_(torch.tensor(params))
        work.weights.copy_(work.received.expand_as(work.weights))
        for tensor in (work.first, work.second, work.totals, *work.extremes):
            tensor.zero_()
        job = Batches(self._plan, self._experiment, packed, work, learn=True)
        self._graphs.run(work, packed, group.num_steps, partial(step_launches, job))
        deltas = work.weights[: group.num_clients] - work.received
        losses, penalties = (
            tensor[: group.num_steps].cpu().numpy()
            for tensor in (work.schedule.losses, work.schedule.penalties)
        )
        spikes = work.totals.sum(1).tolist()
        extremes = torch.stack([layer.sum(1) for layer in work.extremes], 1).cpu().numpy()
        found = []
        for k, delta in enumerate(deltas):
            sizes = group.counts[:, k].tolist()
            parts = (losses[step, k, :size].astype(np.float64) for step, size in enumerate(sizes))
            chances = sum(sizes) * self._plan.num_bins * sum(self._hidden)
            total = math.fsum(chain(np.concatenate([*parts]), group.counts[:, k] * penalties[:, k]))
            samples = np.full((len(self._hidden), 1), sum(sizes), np.int64)
            activity = np.concatenate([samples, extremes[k]], 1)
            rate = spikes[k] / chances
            update = LocalUpdate(GpuUpdate(delta), total / sum(sizes), rate, activity=activity)
            found.append(update)
        return found

    def _work(self, planned: Orders, packed: Packed) -> Buffers:
        """Return work space for all clients, or for as many as memory holds.

        It only grows: cohorts differ from round to round, and a new one costs its graphs.
        """
        wanted = Size(planned.num_clients, planned.num_slots, planned.num_steps)
        if self._most is None:
            one = self._make(replace(wanted, clients=1), packed, torch.device("meta"))
            fitting = usable_bytes(self._device) // one.num_bytes
            self._most = min(max(1, fitting), _MOST_CLIENTS)
        if self._training is not None:
            wanted = wanted.united(self._training.size)
        wanted = replace(wanted, clients=min(wanted.clients, self._most))
        if self._training is None or self._training.size != wanted:
            self._training = None  # free it first
            self._graphs.clear()
            self._training = self._make(wanted, packed, self._device)
        return self._training

    def _make(self, size: Size, packed: Packed, device: torch.device) -> Buffers:
        return make_work(self._plan, self._experiment, size, packed, learn=True, device=device)

    def _halve(self, num_clients: int) -> None:
        """Give memory back and train half as many clients at once from now on.

        Raises StoppedRunError if that is none.
        """
        tried = min(self._most or 1, num_clients)
        self._training = self._evaluation = None
        self._graphs.clear()
        if self._device.type != "cpu":
            torch.cuda.empty_cache()
        if tried == 1:
            raise StoppedRunError(
                f"the GPU {self._device} is out of memory with a single client; lower "
                "client.batch_size, or free memory that other processes hold"
            )
        self._most = tried // 2
        _LOG.warning(
            "the GPU %s is out of memory with %d clients at once; going on with %d",
            self._device, tried, self._most,
        )  # fmt: skip

    def _events(self, events: EventSet) -> Packed:
        """Return the event set on the device; it is packed once and stays."""
        for known, packed in self._packed:
            if known is events:
                return packed
        packed = pack(events, self._device, taught(self._experiment, events))
        self._packed.append((events, packed))
        return packed
