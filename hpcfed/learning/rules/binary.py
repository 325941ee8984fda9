"""Binary weights: latent weights that engines learn by, what clients send of them, and committees.

The parameters of a run are the latent weights l; a weight is +1 or -1 times a scale, +1 with
probability s(2 l), s the logistic function (``learning.latents``). Clients send one of

==============  =======================================  ===================================
latents         the change of l                          l + their mean; of Bernoulli
                                                         posteriors this is the damped product
                                                         of partitioned variational inference
                                                         (Ashman et al. 2022, arXiv 2202.12275)
probabilities   s(2 l)                                   half the log-odds of their mean
bits            a sample of the posterior, or sign(l)    half the log-odds of the part of votes
                                                         for + (FedPM: Isik et al. 2023, arXiv
                                                         2209.15328; FedVote: Liu et al. 2021,
                                                         arXiv 2110.02998), or the majority
==============  =======================================  ===================================

all weighted as clients are in any average. A committee draws its members from the posterior, the
same for every batch and rank. P parameters, B batch, K classes, S members.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.philox import CompiledStream
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import MOST_WORDS
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.config.rule import BAYES, BinaryConfig, RuleConfig
from hpcfed.errors import InputError
from hpcfed.learning.engines import device_of_rank, make_trainer
from hpcfed.learning.probabilities import entropy, softmax, truth
from hpcfed.learning.rule import Exchange, Rule
from hpcfed.learning.trainer import (
    BatchResult,
    Committee,
    LocalUpdate,
    Trainer,
    at_depth,
    operations_of,
    products_of,
)
from hpcfed.networks.contract import Layer, Product
from hpcfed.networks.layout import Layout, initial_params
from hpcfed.samples.samples import Samples, Shape

if TYPE_CHECKING:
    from hpcfed.learning.latents import Binary

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_MOST_KEPT = 1 << 26  # weights of a committee that are kept: 256 MiB


def rule(experiment: Experiment) -> Rule:
    """Return the rule of an experiment with binary weights."""
    settings = experiment.learning_rule.binary_settings
    value = None if settings.sends == "latents" else partial(merged, settings)
    return Rule(
        _make_trainer,
        Exchange() if value is None else Exchange(sends="value", value=value),
        initial=initial_latents,
        device=_device,
    )


def probabilities(latents: F32 | F64) -> F64:
    """Return the probability of + of each latent weight: float64."""
    return np.asarray(1.0 / (1.0 + np.exp(-2.0 * latents.astype(np.float64))))


def log_odds(chances: F64, settings: BinaryConfig) -> F64:
    """Return latent weights of probabilities of +, which are clipped, and so are these."""
    kept = np.clip(chances, settings.vote_clip, 1 - settings.vote_clip)
    return np.clip(0.5 * np.log(kept / (1 - kept)), -settings.limit, settings.limit)


def merged(settings: BinaryConfig, mean: F64, num_clients: int, received: F32) -> F64:
    """Return latent weights from the mean of what arrived: probabilities, or votes of +1 and -1.

    A tie of votes goes to the side where the latent weight was.
    """
    if settings.sends == "probabilities":
        return log_odds(mean, settings)
    if settings.merge == "majority":
        before = np.where(received >= 0, 1.0, -1.0)
        return settings.start * np.where(mean == 0, before, np.sign(mean))
    return log_odds((1 + mean) / 2, settings)


def initial_latents(experiment: Experiment, layout: Layout) -> F32:
    """Return the first parameters (P,): latent weights of one size, others as ever."""
    params = initial_params(experiment.model, layout, experiment.seed)
    start = np.float32(experiment.learning_rule.binary_settings.start)
    for part, (_, place, _) in zip(layout.parts, layout.slices(), strict=True):
        if _is_binary(part.init):
            params[place] = np.where(params[place] >= 0, start, -start)
    return params


def binary_of(experiment: Experiment, layout: Layout) -> Binary:
    """Return what the latent weights of ``layout`` stand for."""
    from hpcfed.learning.latents import RELAXED, SIGN, Binary

    config = experiment.learning_rule
    settings, bayes = config.binary_settings, config.bayes_settings
    scales = [
        settings.scale / np.sqrt(part.fan_in) if _is_binary(part.init) else 0.0
        for part in layout.parts
    ]
    return Binary(
        kind=RELAXED if config.kind == BAYES else SIGN,
        temperature=bayes.temperature,
        prior=0.5 * float(np.log(bayes.prior / (1 - bayes.prior))),
        strength=bayes.strength,
        limit=settings.limit,
        bounds=np.cumsum([0, *(part.size for part in layout.parts)]),
        scales=np.array(scales),
    )


def most_probable(params: F32, binary: Binary) -> F32:
    """Return the most probable weights (P,) of latent weights (P,): those of their signs."""
    return _weights(binary, params, params >= 0)


def _weights(binary: Binary, params: F32, positive: NDArray[np.bool_]) -> F32:
    weights, bounds = params.copy(), binary.bounds
    for first, stop, scale in zip(bounds, bounds[1:], binary.scales, strict=False):
        if scale:
            signs = np.where(positive[first:stop], scale, -scale)
            weights[first:stop] = signs.astype(np.float32)
    return weights


@dataclass
class BinaryTrainer:
    """Trains latent weights by an engine, and evaluates the weights they stand for."""

    experiment: Experiment
    inner: Trainer
    binary: Binary
    _members: tuple[F32, list[F32]] | None = None

    @property
    def layout(self) -> Layout:
        """The engine's layout; binary parts hold latent weights."""
        return self.inner.layout

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The hidden layers."""
        return self.inner.layers

    @property
    def products(self) -> tuple[Product, ...]:
        """What the engine counts of."""
        return products_of(self.inner)

    def step_bytes(self, batch: int) -> int | None:
        """Return about how much memory a step on ``batch`` samples takes; None if nobody knows."""
        one = getattr(self.inner, "step_bytes", None)
        return None if one is None else one(batch)

    def operations(self, depth: int) -> int:
        """Return a pass's multiply-accumulates, a sample and a bin, with so many iterations."""
        return operations_of(self.inner, depth)

    def at_depth(self, depth: int) -> BinaryTrainer:
        """Return a trainer that evaluates with so many iterations."""
        return replace(self, inner=at_depth(self.inner, depth))

    def train(
        self, params: F32, samples: Samples, clients: Sequence[Client], round_index: int
    ) -> Iterator[LocalUpdate]:
        """Yield what each client sends of what it has learned, in the order given."""
        for client in clients:
            self._check_words(len(client.samples))
        updates = self.inner.train(params, samples, clients, round_index)
        for client, update in zip(clients, updates, strict=True):
            yield self._sent(params, update, round_index, client.index)

    def evaluate(self, params: F32, samples: Samples, ids: I64) -> BatchResult:
        """Evaluate the most probable weights, or a committee."""
        middle = self.inner.evaluate(self.most_probable(params), samples, ids)
        evaluation = self.experiment.evaluation
        if evaluation is None or not evaluation.draws:
            return middle
        found = [
            self.inner.evaluate(member, samples, ids)
            for member in self._committee(params, evaluation.draws)
        ]
        return together(middle, found, truth(samples, ids))

    def hidden_spikes(self, params: F32, samples: Samples, ids: I64) -> list[NDArray[np.bool_]]:
        """Return the most probable weights' spikes of each hidden layer as (B, T, H) bool."""
        return self.inner.hidden_spikes(self.most_probable(params), samples, ids)

    def most_probable(self, params: F32) -> F32:
        """Return the most probable weights (P,) of latent weights (P,)."""
        return most_probable(params, self.binary)

    def member(self, params: F32, number: int) -> F32:
        """Return the weights (P,) of one member of the committee; a word for each entry."""
        stream = CompiledStream(self.experiment.seed, Purpose.COMMITTEE)
        return _weights(self.binary, params, sampled(params, stream, number * len(params)))

    def _committee(self, params: F32, draws: int) -> Iterable[F32]:
        """Return the S members, kept for the next batch unless they are many."""
        if draws * len(params) > _MOST_KEPT:
            return (self.member(params, number) for number in range(draws))
        if self._members is None or not np.array_equal(self._members[0], params):
            self._members = params.copy(), [self.member(params, m) for m in range(draws)]
        return self._members[1]

    def _sent(self, params: F32, update: LocalUpdate, round_index: int, client: int) -> LocalUpdate:
        config, head = self.experiment.learning_rule, self.layout.num_masked
        sends = config.binary_settings.sends
        if sends == "latents":
            return update
        delta = np.array(update.delta)
        if not np.isfinite(delta).all():  # a bit would not say so
            return replace(update, delta=np.full_like(delta, np.nan))
        latents = params[:head] + delta[:head]
        if sends == "probabilities":
            delta[:head] = probabilities(latents)
        elif config.kind == BAYES:
            seed = self.experiment.seed
            stream = CompiledStream(seed, Purpose.POSTERIOR_BITS, round_index, client)
            delta[:head] = np.where(sampled(latents, stream), 1, -1)
        else:
            delta[:head] = np.where(latents >= 0, 1, -1)
        return replace(update, delta=delta)

    def _check_words(self, num_samples: int) -> None:
        """Raise InputError for a round with more weights to draw than a stream has words."""
        client, bins = self.experiment.client, self.experiment.data.num_bins
        batches = -(-num_samples // client.batch_size)
        steps = batches * client.epochs if client.epochs is not None else client.steps or 0
        if steps * bins * self.layout.size > MOST_WORDS:
            raise InputError(
                f"client.epochs or client.steps: {steps} steps of {bins} bins and "
                f"{self.layout.size} weights are more than 2^34 random words a round; take fewer"
            )


def sampled(latents: F32, stream: CompiledStream, start: int = 0) -> NDArray[np.bool_]:
    """Return whether each weight (P,) is +, drawn from its posterior by words from ``start`` on."""
    limits = np.rint(probabilities(latents) * 2.0**32).astype(np.uint64)
    return np.asarray(stream.words(len(latents), start) < limits)


def together(middle: BatchResult, members: Sequence[BatchResult], parts: F64) -> BatchResult:
    """Return the answer of a committee; ``parts`` is (B, K), how much of each class there is."""
    every = np.stack([softmax(np.asarray(member.logits)) for member in members])
    mean = every.mean(axis=0)
    with np.errstate(divide="ignore"):
        logs = np.log(mean)
    losses = -np.where(parts > 0, parts * logs, 0.0).sum(axis=1)
    committee = Committee(entropy(every).mean(axis=0), every.std(axis=0), middle)
    return replace(
        middle, losses=losses, predictions=mean.argmax(axis=1), logits=logs, committee=committee
    )


def _make_trainer(experiment: Experiment, shape: Shape, device: str) -> Trainer:
    config, binary = experiment.learning_rule, partial(binary_of, experiment)
    if config.is_local:
        from hpcfed.learning.local.training import LocalTrainer

        inner: Trainer = LocalTrainer(experiment, shape, binary)
    else:
        inner = make_trainer(experiment, shape, device, binary)
    _check_parts(config, inner.layout)
    return BinaryTrainer(experiment, inner, binary(inner.layout))


def _check_parts(config: RuleConfig, layout: Layout) -> None:
    """Raise InputError where no weight, or what masks may thin out and is real, would be sent."""
    if not any(_is_binary(part.init) for part in layout.parts):
        raise InputError(f'rule.kind = "{config.kind}": the network has no weights to be binary')
    if config.binary_settings.sends == "latents":
        return
    for part in layout.parts:
        if part.masked != _is_binary(part.init):
            raise InputError(
                f'rule.binary.sends = "{config.binary_settings.sends}": the part {part.name} of '
                "the network is not binary, and masks may thin it out, or the other way round; "
                'send "latents"'
            )


def _is_binary(init: str) -> bool:
    return init == "model"


def _device(experiment: Experiment, local_rank: int) -> str:
    return "cpu" if experiment.learning_rule.is_local else device_of_rank(experiment, local_rank)
