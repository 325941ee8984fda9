"""The norse trainer: local training and evaluation with torch autograd, one client per thread.

T time bins, B batch, C channels, H hidden neurons, K classes, L hidden layers, P parameters. One
step of a client with parameters w, received parameters w0 and loss F (cross-entropy of the logits
and the rate penalties)::

    g = grad F(w) + proximal (w - w0);  g = g min(1, clip_norm / |g|)
    w = optimiser(w, g + weight_decay w)

(FedProx: Li et al. 2020, arXiv 1812.06127.) A loss that is not finite ends nothing here: the server
rejects the update.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from hpcfed.base.parallel import in_order
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import ClientConfig, Experiment
from hpcfed.learning.augment import augment, draw_steps, is_augmented
from hpcfed.learning.autograd.optimisers import clipped, fresh_state, step
from hpcfed.learning.batches import batches
from hpcfed.learning.schedule import learning_rate
from hpcfed.learning.trainer import BatchResult, LocalUpdate
from hpcfed.networks.layout import Layout
from hpcfed.networks.network import Network
from hpcfed.samples.events import EventSet

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


class NorseTrainer:
    """Trains one network by torch autograd on one device; implements ``trainer.Trainer``."""

    def __init__(self, experiment: Experiment, network: Network, device: str = "cpu") -> None:
        """Take the network, and from the experiment the client's settings and the seed.

        One thread per client is part of the promise of equal bits, so torch's own threads are set
        to one for the whole process.
        """
        torch.set_num_threads(1)
        if device != "cpu":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may differ
            torch.use_deterministic_algorithms(True)
        self._experiment, self._network, self._device = experiment, network, torch.device(device)

    @property
    def layout(self) -> Layout:
        """Names and shapes of the weight matrices, in the order of the flat vector."""
        return self._network.layout

    @property
    def hidden(self) -> tuple[int, ...]:
        """Neurons of each hidden layer."""
        return self._experiment.model.hidden

    def train(
        self, params: F32, events: EventSet, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client, in the order given, starting from ``params`` (P,)."""
        one = partial(self._train_client, params, events, round_index)
        return in_order(one, clients, self._experiment.client.threads)

    def evaluate(self, params: F32, events: EventSet, samples: I64) -> BatchResult:
        """Evaluate one batch of sample ids (B,)."""
        with torch.no_grad():
            logits, spikes = self._forward(self._params(params), events.dense(samples))
            labels = self._tensor(events.labels[samples])
            losses = cross_entropy(logits, labels, reduction="none").double()
        layers = spikes or [torch.zeros(1)] * len(self.hidden)
        return BatchResult(
            losses=losses.cpu().numpy(),
            predictions=logits.argmax(1).cpu().numpy(),
            spikes=np.array([int(layer.count_nonzero()) for layer in layers], np.int64),
        )

    def hidden_spikes(self, params: F32, events: EventSet, samples: I64) -> list[NDArray[np.bool_]]:
        """Return the spikes of each hidden layer as (B, T, H) bool; an empty list for an ANN."""
        with torch.no_grad():
            _, spikes = self._forward(self._params(params), events.dense(samples))
        return [(layer > 0).transpose(0, 1).cpu().numpy() for layer in spikes]

    def _train_client(
        self, params: F32, events: EventSet, round_index: int, client: Client
    ) -> LocalUpdate:
        settings = self._experiment.client
        rate = learning_rate(settings, round_index)
        received = self._params(params)
        current, state, totals = received.clone(), fresh_state(received), _Totals()
        for samples, dense in self._inputs(events, round_index, client):
            labels = self._tensor(events.labels[samples])
            gradient, totals = self._gradient(current, dense, labels, totals)
            if settings.proximal:
                gradient = gradient + settings.proximal * (current - received)
            state = step(settings, rate, current, clipped(gradient, settings.clip_norm), state)
        return LocalUpdate(
            delta=(current - received).cpu().numpy(),
            loss=float(totals.loss) / totals.num_samples,
            hidden_rate=float(totals.spikes) / totals.num_chances if totals.num_chances else np.nan,
        )

    def _inputs(
        self, events: EventSet, round_index: int, client: Client
    ) -> Iterator[tuple[I64, F32]]:
        """Yield the sample ids (B,) and the augmented input (T, B, C) of each step."""
        experiment = self._experiment
        order, noise = (
            Stream(experiment.seed, purpose, round_index, client.index)
            for purpose in (Purpose.BATCH_ORDER, Purpose.AUGMENTATION)
        )
        steps = list(batches(experiment.client, client.samples, order))
        if not is_augmented(experiment.data):
            for samples in steps:
                yield samples, events.dense(samples)
            return
        drawn = draw_steps(steps, events, experiment.data, noise)
        for samples, changes in zip(steps, drawn, strict=True):
            shape = (events.num_bins, len(samples), events.num_channels)
            rows, bins, channels, values = augment(events.batch_events(samples), shape, changes)
            dense = np.zeros(shape, np.float32)
            dense[bins, rows, channels] = values
            yield samples, dense

    def _gradient(
        self, params: Tensor, dense: F32, labels: Tensor, totals: _Totals
    ) -> tuple[Tensor, _Totals]:
        """Return the loss's gradient (P,) at ``params`` (P,), and the totals with this step."""
        leaf = params.detach().requires_grad_()
        logits, spikes = self._forward(leaf, dense)
        loss = cross_entropy(logits, labels) + rate_penalty(self._experiment.client, spikes)
        (gradient,) = torch.autograd.grad(loss, leaf)
        return gradient, totals.add(loss.detach(), spikes, len(labels))

    def _forward(self, params: Tensor, dense: F32) -> tuple[Tensor, Sequence[Tensor]]:
        return self._network.forward(matrices(self.layout, params), self._tensor(dense))

    def _params(self, params: F32) -> Tensor:
        return torch.tensor(params, dtype=torch.float32, device=self._device)  # a copy

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def matrices(layout: Layout, params: Tensor) -> dict[str, Tensor]:
    """Return views of ``params`` (P,) by matrix name; one node in the graph, unlike slices."""
    parts = torch.split(params, [part.size for part in layout.parts])
    named = zip(layout.names, layout.shapes, parts, strict=True)
    return {name: part.view(shape) for name, shape, part in named}


def rate_penalty(client: ClientConfig, spikes: Sequence[Tensor]) -> Tensor | float:
    """Return the penalty of neurons outside ``rate_lower`` to ``rate_upper``, summed over layers.

    With r_j the mean over batch and bins of neuron j in ``spikes`` [(T, B, H)]: ``rate_strength``
    times the mean over j of max(0, rate_lower - r_j)^2 + max(0, r_j - rate_upper)^2.
    """
    if not client.rate_strength or (client.rate_lower == 0 and client.rate_upper == 1):
        return 0.0
    penalty: Tensor | float = 0.0
    for layer in spikes:
        rates = layer.mean((0, 1))
        below, above = torch.relu(client.rate_lower - rates), torch.relu(rates - client.rate_upper)
        penalty = penalty + (below.square() + above.square()).mean()
    return client.rate_strength * penalty


@dataclass(frozen=True)
class _Totals:
    """Sums over the steps of a round; tensors, because reading one would wait for the device."""

    loss: Tensor | float = 0.0
    num_samples: int = 0
    spikes: Tensor | float = 0.0
    num_chances: int = 0  # neurons times bins times samples

    def add(self, loss: Tensor, spikes: Sequence[Tensor], batch: int) -> _Totals:
        return _Totals(
            self.loss + batch * loss.double(),
            self.num_samples + batch,
            self.spikes + sum(layer.detach().count_nonzero() for layer in spikes),
            self.num_chances + sum(layer.numel() for layer in spikes),
        )
