"""The norse trainer: local training and evaluation with torch autograd, one client per thread.

T time bins, B batch, C channels, H hidden neurons, K classes, L hidden layers, P parameters. One
step of a client with parameters w, received parameters w0 and loss F (cross-entropy of the logits,
a teacher's if there is one, and the rate penalties)::

    g = grad F(w) + proximal (w - w0);  g = g min(1, clip_norm / |g|)
    w = optimiser(w, g + weight_decay w)

(FedProx: Li et al. 2020, arXiv 1812.06127.) A loss that is not finite ends nothing here: the server
rejects the update.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from hpcfed.base.parallel import in_order
from hpcfed.base.philox import CompiledStream
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import ClientConfig, Experiment, ModelConfig
from hpcfed.learning.autograd.latents import Latents
from hpcfed.learning.autograd.optimisers import clipped, fresh_state, step
from hpcfed.learning.depths import depth_figures
from hpcfed.learning.feed import feed
from hpcfed.learning.latents import Latent
from hpcfed.learning.schedule import learning_rate
from hpcfed.learning.silence import limits
from hpcfed.learning.teaching import taught, teaching
from hpcfed.learning.trainer import ENTERING_UNIT, Answers, BatchResult, LocalUpdate
from hpcfed.networks.contract import Activity, Layer, Network, Pass, Product
from hpcfed.networks.layout import Layout
from hpcfed.networks.passing import num_spikes, spikes_of_neurons
from hpcfed.samples.samples import Samples

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


class NorseTrainer:
    """Trains one network by torch autograd on one device; implements ``trainer.Trainer``."""

    def __init__(
        self,
        experiment: Experiment,
        network: Network,
        device: str = "cpu",
        binary: Latent | None = None,
        shown: Callable[[Samples, I64], Tensor] | None = None,
    ) -> None:
        """Take the network, and from the experiment the client's settings and the seed.

        With ``binary`` parameters are latent weights in training, as it says. ``shown`` gives
        the input of samples as evaluation sees it, if not the feed.

        One thread per client is part of the promise of equal bits, so torch's own threads are set
        to one for the whole process.
        """
        torch.set_num_threads(1)
        if device != "cpu":
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may differ
            torch.use_deterministic_algorithms(True)
        self._experiment, self._network, self._device = experiment, network, torch.device(device)
        self._binary = None if binary is None else binary(network.layout)
        self._shown = shown
        self._depth = 0  # of evaluation: as the network has it

    @property
    def layout(self) -> Layout:
        """Names and shapes of the weight matrices, in the order of the flat vector."""
        return self._network.layout

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The hidden layers."""
        return self._network.layers

    @property
    def products(self) -> tuple[Product, ...]:
        """What is counted of; nothing for a network of one's own."""
        found: tuple[Product, ...] = getattr(self._network, "products", ())
        return found

    @property
    def initial(self) -> F32 | None:
        """The first parameters (P,) of a network that brings its own; None: they are drawn."""
        found: F32 | None = getattr(self._network, "initial", None)
        return found

    @property
    def constants(self) -> str | None:
        """Digest of what such a network holds and nobody trains; None without."""
        found: str | None = getattr(self._network, "constants", None)
        return found

    def step_bytes(self, batch: int) -> int | None:
        """Return about how much memory a step on ``batch`` samples takes; None if nobody knows."""
        one = getattr(self._network, "step_bytes", None)
        return None if one is None else int(one(batch))

    def operations(self, depth: int) -> int:
        """Return a pass's multiply-accumulates, a sample and a bin, with so many iterations.

        1 where the network does not say.
        """
        count = getattr(self._network, "operations", None)
        return 1 if count is None else int(count(depth))

    def at_depth(self, depth: int) -> Self:
        """Return a trainer that evaluates with so many iterations."""
        other = copy(self)
        other._depth = depth
        return other

    def train(
        self, params: F32, samples: Samples, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield the update of each client, in the order given, starting from ``params`` (P,)."""
        one = partial(self._train_client, params, samples, round_index)
        return in_order(one, clients, self._experiment.client.threads)

    def evaluate(self, params: F32, samples: Samples, ids: I64) -> BatchResult:
        """Evaluate one batch of sample ids (B,)."""
        with torch.no_grad():
            found, truth = self._evaluated(params, samples, ids), self._truth(samples, ids)
            answers = _answers(found.logits, truth)
            rates = None if found.rates is None else _answers(found.rates, truth)
        fired = [num_spikes(layer) for layer in found.spikes] or [torch.zeros(1)] * len(self.layers)
        return BatchResult(
            losses=answers.losses,
            predictions=answers.predictions,
            spikes=np.array([int(layer.sum()) for layer in fired], np.int64),
            logits=found.logits.double().cpu().numpy(),
            entering=self._entering(found),
            neurons=spikes_of_neurons(found.spikes),
            rates=rates,
        )

    def hidden_spikes(self, params: F32, samples: Samples, ids: I64) -> list[NDArray[np.bool_]]:
        """Return the spikes of each hidden layer as (B, T, H) bool; an empty list for an ANN."""
        with torch.no_grad():
            found = self._evaluated(params, samples, ids)
        return [(layer.flatten(2) > 0).transpose(0, 1).cpu().numpy() for layer in found.spikes]

    def _entering(self, found: Activity) -> I64 | None:
        if not self.products:
            return None
        units = torch.tensor([1.0, 1 / ENTERING_UNIT], dtype=torch.float64)
        rows = [found.entering[product.name].cpu() * units for product in self.products]
        return torch.stack(rows).round().long().numpy()

    def _evaluated(self, params: F32, samples: Samples, ids: I64) -> Activity:
        inputs: F32 | Tensor
        if self._shown is None:
            inputs = feed(self._experiment, samples).batch(ids)
        else:
            inputs = self._shown(samples, ids)
        return self._forward(self._params(params), inputs, Pass(learn=False, depth=self._depth))

    def _train_client(
        self, params: F32, samples: Samples, round_index: int, client: Client
    ) -> LocalUpdate:
        settings = self._experiment.client
        rate, begin = learning_rate(settings, round_index), time.perf_counter()
        received, shared = self._params(params), slice(self.layout.num_shared)
        bounds = self._tensor(limits(self._experiment, self.layers))
        if client.local is not None:
            received[shared.stop :] = self._tensor(client.local)
        current, head = received.clone(), slice(self.layout.num_trained)
        trained = current[head]  # a view: statistics lie behind it
        state, totals = fresh_state(trained), _Totals()
        call, latents = self._pass(client, round_index), self._latents(client, round_index)
        for ids, inputs in feed(self._experiment, samples).steps(client, round_index):
            weights, slopes = (
                (current, None) if latents is None else latents.drawn(current, state.num_steps)
            )
            found = self._learned(weights, inputs, partial(self._loss, samples, ids), call)
            gradient, totals = found.gradient, totals.add(found, len(ids), bounds)
            if latents is not None and slopes is not None:
                gradient = latents.turned(gradient, slopes)
            gradient = gradient[head]
            if settings.proximal:
                gradient = gradient + settings.proximal * (trained - received[head])
            if latents is not None:
                latents.pull(current, rate)
            state = step(settings, rate, trained, clipped(gradient, settings.clip_norm), state)
            if latents is not None:
                latents.keep_within(current)
            self._keep(found.activity.statistics, current)
        return LocalUpdate(
            delta=(current - received)[shared].cpu().numpy(),
            loss=float(totals.loss) / totals.num_samples,
            hidden_rate=int(totals.fired) / totals.num_chances if totals.num_chances else np.nan,
            figures=depth_figures(
                self._experiment.model, call.depth, self.operations, time.perf_counter() - begin
            ),
            local=current[shared.stop :].cpu().numpy(),
            activity=totals.activity,
        )

    def _latents(self, client: Client, round_index: int) -> Latents | None:
        if self._binary is None:
            return None
        bins = self._experiment.data.num_bins
        draws = bins if self._experiment.learning_rule.draws_in_bins else 1
        stream = Stream(self._experiment.seed, Purpose.WEIGHT_NOISE, round_index, client.index)
        return Latents(self._binary, stream.address, bins, draws)

    def _truth(self, samples: Samples, ids: I64) -> Tensor:
        """Return what is learned of ``ids`` (B,): labels (B,), or parts of two classes (B, 2)."""
        targets: F32 | None = getattr(samples, "targets", None)
        if targets is None:
            return self._tensor(samples.labels[ids])
        second = self._tensor(targets[ids])
        return torch.stack([1 - second, second], 1)

    def _pass(self, client: Client, round_index: int) -> Pass:
        """Return what a client's passes of a round have in common."""
        experiment, place = self._experiment, 0
        stream = CompiledStream(experiment.seed, Purpose.NETWORK, round_index, client.index)

        def words(count: int) -> NDArray[np.uint32]:
            nonlocal place
            place += count
            return stream.words(count, place - count)

        return Pass(
            learn=True,
            depth=client.depth,
            words=words,
            frozen=is_frozen(experiment.model, round_index),
            rates=is_penalised(experiment.client),
        )

    def _loss(self, samples: Samples, ids: I64, logits: Tensor) -> Tensor:
        """Return the mean loss of ``logits`` (B, K) of ``ids`` (B,), without rate penalties."""
        teacher = taught(self._experiment, samples)
        aim = self._tensor(teacher[ids]) if len(teacher) else None
        return learned_loss(self._experiment, logits, self._truth(samples, ids), aim)

    def _learned(
        self, params: Tensor, inputs: F32, loss_of: Callable[[Tensor], Tensor], call: Pass
    ) -> _Learned:
        """Return the loss on a batch, its gradient (P,) at ``params`` (P,), and the activity."""
        leaf = params.detach().requires_grad_()
        found = self._forward(leaf, inputs, call)
        penalty = rate_penalty(self._experiment.client, found.spikes)
        loss = loss_of(found.logits) + penalty
        (gradient,) = torch.autograd.grad(loss, leaf)
        return _Learned(loss.detach(), gradient, found)

    def _keep(self, statistics: Mapping[str, Tensor], params: Tensor) -> None:
        """Write a pass's new statistics to their places in ``params`` (P,)."""
        for name, place, _ in self.layout.slices() if statistics else ():
            if name in statistics:
                params[place] = statistics[name].detach().flatten()

    def _forward(self, params: Tensor, inputs: F32 | Tensor, call: Pass) -> Activity:
        shown = inputs if isinstance(inputs, Tensor) else self._tensor(inputs)
        return self._network.forward(matrices(self.layout, params), shown, call)

    def _params(self, params: F32) -> Tensor:
        return torch.tensor(params, dtype=torch.float32, device=self._device)  # a copy

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self._device)


def matrices(layout: Layout, params: Tensor) -> dict[str, Tensor]:
    """Return views of ``params`` (P,) by matrix name; one node in the graph, unlike slices.

    Of parameters for each bin, (T, P), they are (T, *shape).
    """
    parts = torch.split(params, [part.size for part in layout.parts], dim=-1)
    named, bins = zip(layout.names, layout.shapes, parts, strict=True), params.shape[:-1]
    return {name: part.reshape(*bins, *shape) for name, shape, part in named}


def _answers(logits: Tensor, truth: Tensor) -> Answers:
    """Return the losses and classes of ``logits`` (B, K)."""
    losses = cross_entropy(logits, truth, reduction="none")
    return Answers(losses.double().cpu().numpy(), logits.argmax(1).cpu().numpy())


def learned_loss(
    experiment: Experiment, logits: Tensor, truth: Tensor, teacher: Tensor | None
) -> Tensor:
    """Return the mean loss of ``logits`` (B, K), and of a teacher's if there is one."""
    loss = cross_entropy(logits, truth)
    if teacher is None:
        return loss
    weight, tau = teaching(experiment)
    aim = softmax(teacher.to(logits.dtype) / tau, dim=1)
    divergence = kl_div(log_softmax(logits / tau, dim=1), aim, reduction="batchmean")
    return (1 - weight) * loss + weight * tau**2 * divergence


def counted(spikes: Sequence[Tensor], bounds: Tensor) -> tuple[Tensor, Tensor]:
    """Return the spikes of all L layers, and (L, 2) samples that are silent, and saturated.

    ``bounds`` (L, 2) are those of silence and saturation.
    """
    fired = torch.stack([num_spikes(layer) for layer in spikes])
    silent, saturated = fired < bounds[:, :1], fired >= bounds[:, 1:]
    return fired.sum(), torch.stack([silent.sum(1), saturated.sum(1)], 1)


def is_frozen(model: ModelConfig, round_index: int) -> bool:
    """Say whether norms use the averaged statistics in a round's training."""
    return model.norm_freeze_after is not None and round_index >= model.norm_freeze_after


def is_penalised(client: ClientConfig) -> bool:
    """Say whether some rates of hidden neurons are penalised."""
    return client.rate_strength > 0 and (client.rate_lower > 0 or client.rate_upper < 1)


def rate_penalty(client: ClientConfig, spikes: Sequence[Tensor]) -> Tensor | float:
    """Return the penalty of neurons outside ``rate_lower`` to ``rate_upper``, summed over layers.

    With r_j the mean over batch and bins of neuron j in ``spikes`` [(T, B, H)]: ``rate_strength``
    times the mean over j of max(0, rate_lower - r_j)^2 + max(0, r_j - rate_upper)^2.
    """
    if not is_penalised(client):
        return 0.0
    penalty: Tensor | float = 0.0
    for layer in spikes:
        rates = layer.mean((0, 1), dtype=torch.promote_types(layer.dtype, torch.float32))
        below, above = torch.relu(client.rate_lower - rates), torch.relu(rates - client.rate_upper)
        penalty = penalty + (below.square() + above.square()).mean()
    return client.rate_strength * penalty


class _Learned(NamedTuple):
    """What one batch gives: its loss, the loss's gradient (P,), and the network's activity."""

    loss: Tensor
    gradient: Tensor
    activity: Activity


@dataclass(frozen=True)
class _Totals:
    """Sums over the steps of a round; tensors, because reading one would wait for the device."""

    loss: Tensor | float = 0.0
    num_samples: int = 0
    fired: Tensor | int = 0
    num_chances: int = 0  # neurons times bins times samples
    counts: Tensor | int = 0  # (L, 2) samples that are silent, and saturated

    def add(self, found: _Learned, batch: int, bounds: Tensor) -> _Totals:
        """Add a step's; ``bounds`` (L, 2) are those of silence."""
        spikes = found.activity.spikes
        loss = self.loss + batch * found.loss.double()
        if not spikes:
            return _Totals(loss, self.num_samples + batch)
        fired, counts = counted(spikes, bounds)
        return _Totals(
            loss,
            self.num_samples + batch,
            self.fired + fired,
            self.num_chances + sum(layer.numel() for layer in spikes),
            self.counts + counts,
        )

    @property
    def activity(self) -> I64 | None:
        """(L, 3) int64, ``silence.COUNTS``."""
        if isinstance(self.counts, int):
            return None
        samples = torch.full_like(self.counts[:, :1], self.num_samples)
        return torch.cat([samples, self.counts], 1).cpu().numpy()
