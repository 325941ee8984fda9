"""The GPU engine's trainer of images: convolutions by cuDNN, norms, neurons and input by Triton.

P parameters, T time bins, B batch, L hidden layers. One client is work enough for a GPU, so clients
train one after the other; the host sends sample numbers and starts a step as one CUDA graph. The
network, its way back and the step are those of ``autograd``, which evaluates as well; a client's
bits depend on nothing but (seed, round, client) and the machine's kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np
import torch
import torch.utils.deterministic
from numpy.typing import NDArray

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.errors import InputError, StoppedRunError
from hpcfed.learning.autograd.training import NorseTrainer, is_frozen, is_penalised
from hpcfed.learning.gpu.device import using
from hpcfed.learning.gpu.images.feed import BATCH, Batch, Resident
from hpcfed.learning.gpu.images.kernels import LayerKernels
from hpcfed.learning.gpu.images.precision import products_in
from hpcfed.learning.gpu.images.step import Buffers, Step, StepGraphs
from hpcfed.learning.gpu.schedule import step_rates
from hpcfed.learning.gpu.update import GpuUpdate
from hpcfed.learning.schedule import learning_rate
from hpcfed.learning.silence import limits
from hpcfed.learning.trainer import BatchResult, LocalUpdate
from hpcfed.networks.contract import Layer, Pass, Product
from hpcfed.networks.footprint import gpu_step_bytes
from hpcfed.networks.layout import Layout
from hpcfed.networks.network import build_network
from hpcfed.networks.spiking import SpikingNetwork
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import Samples, Shape

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


class ImageGpuTrainer:
    """Trains a network of images on one GPU; implements ``trainer.Trainer``."""

    def __init__(self, experiment: Experiment, shape: Shape, device: str = "cpu") -> None:
        """Take the network for input and classes of ``shape``."""
        self._experiment, self._device = experiment, torch.device(device)
        self._kernels = LayerKernels.of(experiment)
        network = build_network(experiment, shape)
        assert isinstance(network, SpikingNetwork)
        self._network = replace(network, kernels=self._kernels)
        self._plain = NorseTrainer(experiment, self._network, device, shown=self._shown)
        if self._device.type != "cpu":  # torch fills what is made empty, to find mistakes
            torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        self._residents: list[Resident] = []
        self._buffers: Buffers | None = None
        self._batches: dict[int, Batch] = {}
        self._graphs = StepGraphs()

    @property
    def layout(self) -> Layout:
        """Names and shapes of the weights, in the order of the flat vector."""
        return self._network.layout

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The hidden layers."""
        return self._network.layers

    @property
    def products(self) -> tuple[Product, ...]:
        """What is counted of."""
        return self._network.products

    def operations(self, depth: int) -> int:
        """Return a pass's multiply-accumulates, a sample and a bin."""
        return self._network.operations(depth)

    def step_bytes(self, batch: int) -> int:
        """Return about how much of the GPU's memory a step on ``batch`` samples takes."""
        kernels = self._kernels
        sizes = kernels.signals.itemsize, kernels.potentials.itemsize
        network = self._network
        cells = network.num_bins * batch
        return gpu_step_bytes(network.model, network.stages, cells, self.layout.size, sizes)

    def train(
        self, params: F32, samples: Samples, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client, in the order given, starting from ``params`` (P,)."""
        for client in clients:
            with self._at_work():
                update = self._train_client(params, self._resident(samples), client, round_index)
            yield update

    def evaluate(self, params: F32, samples: Samples, ids: I64) -> BatchResult:
        """Evaluate one batch of sample ids (B,)."""
        with self._at_work():
            return self._plain.evaluate(params, samples, ids)

    def hidden_spikes(self, params: F32, samples: Samples, ids: I64) -> list[NDArray[np.bool_]]:
        """Return the spikes of each hidden layer as (B, T, H) bool."""
        with self._at_work():
            return self._plain.hidden_spikes(params, samples, ids)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Work on the device, with products as they are asked for."""
        with ExitStack() as stack:
            stack.enter_context(using(self._device))
            stack.enter_context(products_in(self._experiment.client.precision))
            try:
                yield
            except torch.OutOfMemoryError:
                self._graphs.clear()
                raise StoppedRunError(
                    f"the GPU {self._device} is out of memory; lower client.batch_size, set "
                    'client.potentials = "bfloat16", or free memory that other processes hold'
                ) from None

    def _train_client(
        self, params: F32, resident: Resident, client: Client, round_index: int
    ) -> LocalUpdate:
        buffers, layout = self._work(), self.layout
        shared = slice(layout.num_shared)
        parts = [(slice(None), params)]
        if client.local is not None:
            parts.append((slice(shared.stop, None), client.local))
        buffers.begin(parts)
        steps = list(resident.steps(client, round_index))
        rate = learning_rate(self._experiment.client, round_index)
        rates = torch.from_numpy(step_rates(rate, len(steps))).to(self._device)
        call = Pass(
            learn=True,
            frozen=is_frozen(self._experiment.model, round_index),
            rates=is_penalised(self._experiment.client),
        )
        for number, (ids, told) in enumerate(steps):
            buffers.rates.copy_(rates[number])
            batch = self._batch(len(ids), told)
            step = Step(self._experiment, self._network, resident, buffers, batch, call)
            self._graphs.run((id(resident), len(ids), call.frozen), self._device, step.take)
        num_samples = sum(len(ids) for ids, _ in steps)
        return self._update(buffers, num_samples)

    def _update(self, buffers: Buffers, num_samples: int) -> LocalUpdate:
        """Return what a client's round has come to."""
        shared = slice(self.layout.num_shared)
        delta = np.asarray(GpuUpdate((buffers.current - buffers.received)[shared]))
        neurons = sum(layer.neurons for layer in self.layers)
        chances = num_samples * self._network.num_bins * neurons
        extremes = buffers.extremes.cpu().numpy()
        counts = np.full((len(extremes), 1), num_samples, np.int64)
        return LocalUpdate(
            delta=delta,
            loss=float(buffers.loss) / num_samples,
            hidden_rate=int(buffers.fired) / chances,
            local=buffers.current[shared.stop :].cpu().numpy().copy(),
            activity=np.concatenate([counts, extremes], 1),
        )

    def _work(self) -> Buffers:
        if self._buffers is None:
            bounds = limits(self._experiment, self.layers)
            self._buffers = Buffers.of(self._network, bounds, self._device)
        return self._buffers

    def _batch(self, size: int, told: Batch) -> Batch:
        """Return the buffers of batches of this size, filled."""
        if size not in self._batches:
            parts = (getattr(told, name) for name in BATCH)
            self._batches[size] = Batch(*(part.clone().to(self._device) for part in parts))
        found = self._batches[size]
        for name in BATCH:
            getattr(found, name).copy_(getattr(told, name))
        return found

    def _shown(self, samples: Samples, ids: I64) -> torch.Tensor:
        return self._resident(samples).batch(ids)

    def _resident(self, samples: Samples) -> Resident:
        """Return images on the device; they are copied once and stay."""
        if not isinstance(samples, ImageSet):
            raise InputError(
                f'client.engine = "gpu" has dense layers alone for {type(samples).__name__}, and '
                'for images leaky neurons; set client.engine = "norse"'
            )
        for known in self._residents:
            if known.images is samples:
                return known
        signals = self._kernels.signals
        self._residents.append(Resident.of(self._experiment, samples, self._device, signals))
        return self._residents[-1]
