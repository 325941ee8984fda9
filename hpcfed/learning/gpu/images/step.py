"""One gradient step on buffers that stay where they are, so that a CUDA graph can do it again.

P parameters, t of which are trained, B batch, L hidden layers. The step is that of
``autograd.training``; nothing in it waits for the host or is told by it but through the buffers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any  # Any: torch's handle of a pool

import numpy as np
import torch
from torch import Tensor

from hpcfed.config import ClientConfig, Experiment
from hpcfed.learning.autograd.training import counted, learned_loss, matrices, rate_penalty
from hpcfed.learning.gpu.images.feed import Batch, Resident
from hpcfed.learning.gpu.launch import Launch
from hpcfed.learning.gpu.optimiser import BETA1, BETA2, EPSILON, TILE, optimise, squares
from hpcfed.networks.contract import Network, Pass


@dataclass(frozen=True)
class Buffers:
    """What clients train in, one after the other, on the device.

    Attributes:
        received, current: (P,) float32 parameters.
        gradient, first, second: (t,) float32 with the optimiser's moments.
        sums: (1, tiles) float64 squared norms; one: (1,) int32, 1: there is a batch.
        rates: (4,) float32 as ``gpu.optimiser`` is told them.
        loss: (1,) float64 times samples; fired: (1,) int64; extremes: (L, 2) int64 silent and
            saturated samples: sums over the steps of a round.
        bounds: (L, 2) int64 of silence and saturation.
    """

    received: Tensor
    current: Tensor
    gradient: Tensor
    first: Tensor
    second: Tensor
    sums: Tensor
    one: Tensor
    rates: Tensor
    loss: Tensor
    fired: Tensor
    extremes: Tensor
    bounds: Tensor

    @classmethod
    def of(cls, network: Network, bounds: np.ndarray, device: torch.device) -> Buffers:
        """Return buffers for a network."""
        size, trained = network.layout.size, network.layout.num_trained

        def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return cls(
            received=zeros(size),
            current=zeros(size),
            gradient=zeros(trained),
            first=zeros(trained),
            second=zeros(trained),
            sums=zeros(1, -(-trained // TILE.value), dtype=torch.float64),
            one=torch.ones(1, dtype=torch.int32, device=device),
            rates=zeros(4),
            loss=zeros(1, dtype=torch.float64),
            fired=zeros(1, dtype=torch.int64),
            extremes=zeros(*bounds.shape, dtype=torch.int64),
            bounds=torch.from_numpy(bounds).to(device),
        )

    def begin(self, params: Sequence[tuple[slice, np.ndarray]]) -> None:
        """Begin a client's round with parts of its parameters at their places."""
        for place, part in params:
            self.received[place].copy_(torch.tensor(part))
        self.current.copy_(self.received)
        for tensor in (self.first, self.second, self.loss, self.fired, self.extremes):
            tensor.zero_()


@dataclass(frozen=True)
class Step:
    """What a step is about; ``batch`` lies on the device."""

    experiment: Experiment
    network: Network
    resident: Resident
    buffers: Buffers
    batch: Batch
    call: Pass

    def take(self) -> None:
        """Take the step: changes ``buffers``."""
        buffers, ids, experiment = self.buffers, self.batch.ids, self.experiment
        launch, shown = self.resident.launch(self.batch, learn=True)
        launch.run()
        leaf = buffers.current.detach().requires_grad_()
        found = self.network.forward(matrices(self.network.layout, leaf), shown, self.call)
        teacher = self.resident.teacher
        aim = teacher[ids] if len(teacher) else None
        loss = learned_loss(experiment, found.logits, self.resident.labels[ids], aim)
        loss = loss + rate_penalty(experiment.client, found.spikes)
        (gradient,) = torch.autograd.grad(loss, leaf)
        buffers.gradient.copy_(gradient[: len(buffers.gradient)])
        for launch in optimiser_launches(experiment.client, buffers):
            launch.run()
        for name, place, _ in self.network.layout.slices():
            if name in found.statistics:
                buffers.current[place].copy_(found.statistics[name].detach().flatten())
        fired, extremes = counted(found.spikes, buffers.bounds)
        buffers.loss.add_(len(ids) * loss.detach().double())
        buffers.fired.add_(fired)
        buffers.extremes.add_(extremes)


def optimiser_launches(client: ClientConfig, buffers: Buffers) -> Iterator[Launch]:
    """Yield the launches that take an optimiser's step."""
    size, tiles = len(buffers.gradient), buffers.sums.shape[1]
    proximal, clipped = client.proximal > 0, client.clip_norm > 0
    weights = buffers.current
    if clipped:
        yield Launch(
            squares,
            (tiles, 1),
            (buffers.sums, buffers.gradient, weights, buffers.received, size, client.proximal),
            {"PROXIMAL": proximal},
            warps=4,
        )
    yield Launch(
        optimise,
        (tiles, 1),
        (
            weights, buffers.gradient, buffers.first, buffers.second, buffers.received,
            buffers.sums, buffers.one, buffers.rates, size, tiles,
            client.momentum, client.weight_decay, client.proximal, client.clip_norm,
            1 - BETA1, BETA2, 1 - BETA2, EPSILON,
        ),
        {
            "ADAM": client.optimizer == "adam", "PROXIMAL": proximal, "CLIPPED": clipped,
            "DECAYED": client.weight_decay > 0, "TILES": 1 << (tiles - 1).bit_length(),
        },
        warps=4,
    )  # fmt: skip


class StepGraphs:
    """A CUDA graph for each kind of step: the first is run, the second captured, others replayed.

    The first one compiles kernels and lets libraries make what they need. A CPU has no graphs.
    """

    def __init__(self) -> None:
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph | None] = {}
        self._pool: Any = None

    def clear(self) -> None:
        """Forget all graphs, and free what they hold."""
        self._graphs.clear()
        self._pool = None

    def run(self, kind: Hashable, device: torch.device, take: Callable[[], None]) -> None:
        """Take a step of this ``kind``, whose tensors are always the same."""
        if device.type == "cpu" or kind not in self._graphs:
            take()
            self._graphs[kind] = None
            return
        graph = self._graphs[kind]
        if graph is None:
            graph = torch.cuda.CUDAGraph()
            if self._pool is None:  # graphs run one after the other: one pool for all
                self._pool = torch.cuda.graph_pool_handle()
            with torch.cuda.graph(graph, pool=self._pool):
                take()
            self._graphs[kind] = graph
        graph.replay()
