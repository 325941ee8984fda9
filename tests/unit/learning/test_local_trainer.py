"""Learning by local readouts: the published code's steps, a plain twin, and bits that stay."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any  # what a JSON file holds

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose
from tiny_events import from_dense

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.learning import equations
from hpcfed.learning.batches import batches
from hpcfed.learning.latents import REAL, RELAXED, SIGN, Binary, relax
from hpcfed.learning.local import plan
from hpcfed.learning.local.kernels import learn, train_client
from hpcfed.learning.local.neurons import rest, run_bin
from hpcfed.learning.local.readout import find_gradient
from hpcfed.learning.local.tables import Constants, Inputs, Learning, Workspace, make_work
from hpcfed.learning.local.training import LocalTrainer
from hpcfed.learning.silence import limits
from hpcfed.networks.layout import initial_params
from hpcfed.networks.stack import dense_layers
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import Shape

CHANNELS, BINS, WIDTHS = 7, 16, (9, 8)
RULES: dict[int, dict[str, object]] = {
    REAL: {"kind": "local"},
    SIGN: {"kind": "straight-through"},
    RELAXED: {"kind": "bayes"},
}


def experiment(kind: int = REAL, num_bins: int = BINS, **tables: dict[str, object]) -> Experiment:
    """Return an experiment of two layers, with bins of 10 ms."""
    rule = RULES[kind] | {"local": {"tau_ref": 0.02, "burn_in": 3} | tables.pop("local", {})}
    client = {"batch_size": 4, "epochs": 2, "optimizer": "sgd", "learning_rate": 0.2}
    return Experiment.model_validate(
        {
            "data": {"duration": num_bins / 100, "num_bins": num_bins} | tables.pop("data", {}),
            "model": {"hidden": WIDTHS, "tau_mem": 0.1, "tau_syn": 0.06} | tables.pop("model", {}),
            "client": client | tables.pop("client", {}),
            "rule": rule | tables.pop("rule", {}),
            "stop": {"silent": {"alpha": 35}, "saturated": 0.55},  # some samples are
            "seed": 3,
            **tables,
        }
    )


def samples(num_classes: int = 2, count: int = 10, num_bins: int = BINS) -> EventSet:
    """Return random samples; always the same ones."""
    rng = np.random.default_rng(num_classes)
    dense = rng.random((count, num_bins, CHANNELS)) < 0.3
    dense[:, 0, 0] = True  # no sample is empty
    return from_dense(dense, np.arange(count) % num_classes, num_classes)


def binary(kind: int, limit: float = 6.0) -> Binary:
    """Return what is to know of the latent weights of two layers."""
    fan_in = np.array([CHANNELS, WIDTHS[0]])
    bounds = np.cumsum([0, *(fan_in * WIDTHS)])
    return Binary(kind, 1.0, 0.3, 0.02, limit, bounds, fan_in**-0.5)


def trainer_of(
    settings: Experiment, events: EventSet, kind: int = REAL, **more: Any
) -> LocalTrainer:
    shape = Shape((events.num_channels,), len(events.class_names))
    dtype = more.pop("dtype", np.float64)
    found = None if kind == REAL else lambda layout: binary(kind, **more)
    return LocalTrainer(settings, shape, found, dtype)


def start(settings: Experiment, trainer: LocalTrainer) -> np.ndarray:
    return initial_params(settings.model, trainer.layout, settings.seed)


# --- the published code ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Published:
    """Steps of the released code in bins of 1 ms, and the same world for our kernels."""

    file: dict[str, Any]
    network: Constants
    inputs: Inputs
    work: Workspace

    def learning(self, kind: int, file: dict[str, Any]) -> Learning:
        """Return plain SGD on latent weights that nothing cuts off."""
        fan_in = np.array([5, 6])
        rule = Binary(
            kind, 1.0, 0.0, file.get("rho", 0.0), 18.0, np.array([0, 30, 60]), fan_in**-0.5
        )
        optimiser = equations.optimiser(experiment(), file["lr"], np.float64)
        return Learning(optimiser, rule, np.zeros(5, np.uint32), True)

    def latents(self) -> np.ndarray:
        """Return (P,) those of the beginning."""
        return flat(self.file["latent0"])

    def assert_forward(self, step: dict[str, Any]) -> None:
        """Require the step's weights, U, S, readouts and loss."""
        work, scales = self.work, np.repeat(np.array([5, 6]) ** -0.5, 30)
        assert_close(work.weights / scales, flat(step["weights"]))
        for layer, columns in enumerate((slice(0, 6), slice(6, 11))):
            assert_close(work.potential.reshape(3, 11)[:, columns], step["U"][layer])
            assert_close(work.spikes.reshape(3, 11)[:, columns], step["S"][layer])
        assert_close(work.readout, step["readout"])
        assert_close(work.losses.sum() / 3, step["loss"])


def flat(layers: list[Any]) -> np.ndarray:
    """Return the numbers of two layers, one after the other."""
    return np.concatenate([np.ravel(layer) for layer in layers]).astype(np.float64)


def assert_close(ours: Any, theirs: Any) -> None:
    assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.fixture
def published(test_data: Path) -> Published:
    """Return the steps in shared/reference_rules/bisnn_step.json."""
    place = test_data.parent / "reference_rules" / "bisnn_step.json"
    file = json.loads(place.read_text(encoding="utf-8"))
    settings = experiment(
        num_bins=10,
        local={
            "tau_ref": file["tau_ref"] / 1000,
            "burn_in": file["bayes"]["steps"][0]["t"],
        },
        data={"duration": 0.01},
        model={
            "hidden": [6, 5],
            "tau_mem": file["tau_mem"] / 1000,
            "tau_syn": file["tau_syn"] / 1000,
        },
    )
    network = plan.constants(settings, Shape((5,), 2), dense_layers(settings.model, 5), np.float64)
    signs = np.concatenate([np.array(layer) for layer in file["readouts"]], axis=1)
    network = network._replace(readouts=signs)
    dense = np.array(file["input"]).transpose(1, 0, 2)  # they are (T, B, C)
    events = from_dense(dense, np.ravel(file["target"]).astype(int), num_classes=2)
    inputs = trainer_inputs(events)
    return Published(file, network, inputs, make_work(network, 3, np.float64))


def trainer_inputs(events: EventSet) -> Inputs:
    """Return all samples in their order."""
    return plan.inputs_of(events, np.arange(events.num_samples))


def test_straight_through_steps_are_those_of_the_published_code(published: Published) -> None:
    file = published.file["straight_through"]
    learning, received = published.learning(SIGN, file), published.latents()
    work, scales = published.work, np.repeat(np.array([5, 6]) ** -0.5, 30)
    for step in file["steps"]:
        network = published.network._replace(num_bins=step["t"] + 1)
        train_client(network, learning, published.inputs, np.array([0, 3]), received, work)
        published.assert_forward(step)
        assert_close(work.first, flat(step["grad"]))  # SGD keeps what it was given
        assert_close(received + work.latents, flat(step["latent_after"]))
        assert_allclose(np.abs(work.weights), scales, rtol=1e-12)


@numba.njit
def run(network, inputs, t, work):  # type: ignore[no-untyped-def]
    """Take all samples through a bin."""
    if t == 0:
        rest(work)
    run_bin(network, inputs, (0, len(inputs.samples)), t, work)


@numba.njit
def differentiate(network, inputs, work):  # type: ignore[no-untyped-def]
    """Write the gradient of the bin."""
    find_gradient(network, inputs, (0, len(inputs.samples)), work)


@numba.njit
def update(learning, number, received, work):  # type: ignore[no-untyped-def]
    """Learn from the gradient."""
    learn(learning, number, received, work)


def test_bayesian_steps_are_those_of_the_published_code(published: Published) -> None:
    file, work = published.file["bayes"], published.work
    learning, received = published.learning(RELAXED, file), published.latents()
    scales, drawn, slopes = np.repeat(np.array([5, 6]) ** -0.5, 30), np.empty(60), np.empty(60)
    steps = {step["t"]: step for step in file["steps"]}
    work.latents[:] = received
    for t in range(10):
        if t == 0 or t in steps:
            uniforms = steps[t]["uniforms"] if t else file["uniforms_before_burnin"]
            words = np.floor(flat(uniforms) * 2.0**32).astype(np.uint32)
            relax(work.latents, words, file["tau"], drawn, slopes)
            work.weights[:], work.slopes[:] = scales * drawn, scales * slopes
            parts = work.weights[:30].reshape(6, 5), work.weights[30:].reshape(5, 6)
            work.across[:] = np.concatenate([part.T.ravel() for part in parts])
        run(published.network, published.inputs, t, work)
        if t in steps:
            differentiate(published.network, published.inputs, work)
            published.assert_forward(steps[t])
            assert_close(work.gradient * scales, flat(steps[t]["grad"]))
            assert_close(work.slopes / scales, flat(steps[t]["scale"]))
            update(learning, t - 1, received, work)
            assert_close(work.latents, flat(steps[t]["latent_after"]))


# --- the plain twin -------------------------------------------------------------------------------


def products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return left (m, n) times right (n, k), in which sums go one after the other."""
    total = np.zeros((len(left), right.shape[1]), left.dtype)
    for column, row in zip(left.T, right, strict=True):
        total = total + column[:, None] * row
    return total


class Twin:
    """A network of two layers as its equations say it, in ``dtype``."""

    def __init__(self, settings: Experiment, num_classes: int, dtype: type = np.float64) -> None:
        local, model = settings.rule.local_settings, settings.model
        self.dtype, self.burn_in = dtype, local.burn_in
        self.keep = [
            dtype(np.exp(-settings.dt / tau))
            for tau in (model.tau_mem, model.tau_syn, local.tau_ref)
        ]
        outputs, stream = (1 if num_classes == 2 else num_classes), Stream(3, Purpose.NETWORK)
        words = stream.words(outputs * sum(WIDTHS))
        signs = np.where(words < 2**31, 1.0, -1.0).astype(dtype)
        cut = outputs * WIDTHS[0]
        self.readouts = [signs[:cut].reshape(outputs, -1), signs[cut:].reshape(outputs, -1)]

    def matrices(self, weights: np.ndarray) -> list[np.ndarray]:
        """Return the two matrices (out, in) in ``weights`` (P,)."""
        cut = WIDTHS[0] * CHANNELS
        return [weights[:cut].reshape(WIDTHS[0], -1), weights[cut:].reshape(WIDTHS[1], -1)]

    def rest(self, batch: int) -> list[list[np.ndarray]]:
        """Return P, Q, R and s of each layer before the first bin."""
        return [
            [np.zeros((batch, n), self.dtype) for n in (fan_in, fan_in, width, width)]
            for fan_in, width in zip((CHANNELS, WIDTHS[0]), WIDTHS, strict=True)
        ]

    def bin(
        self, state: list[list[np.ndarray]], inputs: np.ndarray, weights: np.ndarray
    ) -> list[np.ndarray]:
        """Move the state one bin on; return U of each layer (B, width)."""
        potentials, (membrane, synapse, refractory) = [], self.keep
        for layer, matrix in zip(state, self.matrices(weights), strict=True):
            p, q, r, s = layer
            p, q, r = membrane * p + q, synapse * q + inputs, refractory * r + s
            potentials.append(products(p, matrix.T) - r)
            inputs = (potentials[-1] >= 0).astype(self.dtype)
            layer[:] = p, q, r, inputs
        return potentials

    def read(self, layer: int, spikes: np.ndarray) -> np.ndarray:
        """Return the readout r (B, K')."""
        readout = self.readouts[layer].astype(np.float64)
        return spikes.astype(np.float64) @ readout.T / np.sqrt(WIDTHS[layer])

    def losses(self, readout: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the cross-entropy of r (B,), and its gradient (B, K')."""
        logits = np.concatenate([0 * readout, readout], 1) if readout.shape[1] == 1 else readout
        parts = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        given = np.eye(parts.shape[1])[labels]
        return -np.log((parts * given).sum(1)), (parts - given)[:, -readout.shape[1] :]

    def gradient(
        self, state: list[list[np.ndarray]], potentials: list[np.ndarray], labels: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Return the gradient (P,) of a bin, and the last layer's loss, summed over samples."""
        parts = []
        for number, (layer, potential) in enumerate(zip(state, potentials, strict=True)):
            losses, slopes = self.losses(self.read(number, layer[3]), labels)
            slopes = (slopes / (len(labels) * np.sqrt(WIDTHS[number]))).astype(self.dtype)
            errors = products(slopes, self.readouts[number])
            errors = errors * ((potential > -0.5) & (potential <= 0.5))
            parts.append(products(errors.T, layer[0]).ravel())
        return np.concatenate(parts), float(losses.sum())


@dataclass
class Descent:
    """SGD or Adam on a vector, and weights that are drawn from it."""

    settings: Experiment
    latents: np.ndarray
    rule: Binary
    stream: Stream
    steps: int = 0

    def __post_init__(self) -> None:
        self.first, self.second = np.zeros_like(self.latents), np.zeros_like(self.latents)

    def draw(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (P,), and what their gradient is multiplied by; both with the scales."""
        latents, scales = self.latents, np.repeat(self.rule.scales, np.diff(self.rule.bounds))
        scales = scales.astype(latents.dtype)
        if self.rule.kind == REAL:
            return latents, np.ones_like(latents)
        if self.rule.kind == SIGN:
            return np.where(latents >= 0, scales, -scales), scales
        tau = self.rule.temperature
        uniform = self.stream.uniforms(len(latents), number * len(latents))
        moved = (latents + np.log(uniform / (1 - uniform)) / 2) / tau
        return scales * np.tanh(moved), scales * (np.cosh(latents) / np.cosh(moved)) ** 2 / tau

    def step(self, gradient: np.ndarray) -> None:
        """Take a step with the gradient (P,) of the loss by the latents."""
        client, rule, latents = self.settings.client, self.rule, self.latents
        self.steps += 1
        rate = latents.dtype.type(client.learning_rate)
        if rule.kind == RELAXED:
            latents = latents - rate * rule.strength * (latents - rule.prior)
        if client.optimizer == "sgd":
            self.first = latents.dtype.type(client.momentum) * self.first + gradient
            latents = latents - rate * self.first
        else:
            self.first = 0.9 * self.first + 0.1 * gradient
            self.second = 0.999 * self.second + 0.001 * gradient**2
            mean, square = self.first / (1 - 0.9**self.steps), self.second / (1 - 0.999**self.steps)
            latents = latents - rate * mean / (np.sqrt(square) + 1e-8)
        self.latents = np.clip(latents, -rule.limit, rule.limit) if rule.kind != REAL else latents


@dataclass(frozen=True)
class TwinUpdate:
    """What a client's training gives: the latents, and (L, samples) spikes of each sample."""

    latents: np.ndarray
    loss: float
    fired: np.ndarray


def train_twin(
    settings: Experiment, events: EventSet, params: np.ndarray, rule: Binary, client: Client
) -> TwinUpdate:
    """Train a client in round 2."""
    twin = Twin(settings, len(events.class_names), params.dtype.type)
    words = partial(Stream, 3, round=2, client=client.index)
    descent = Descent(settings, params.copy(), rule, words(Purpose.WEIGHT_NOISE))
    each_bin, bins = settings.rule.bayes_settings.noise == "bin", events.num_bins
    losses, fired = [], []
    order = batches(settings.client, client.samples, words(Purpose.BATCH_ORDER))
    for number, ids in enumerate(order):
        state, counts = twin.rest(len(ids)), np.zeros((2, len(ids)), int)
        for t, inputs in enumerate(events.dense(ids).astype(twin.dtype)):
            if t == 0 or t >= twin.burn_in:
                weights, slopes = descent.draw(number * bins + (t if each_bin else 0))
            potentials = twin.bin(state, inputs, weights.astype(twin.dtype))
            counts += np.array([layer[3].sum(1) for layer in state]).astype(int)
            if t >= twin.burn_in:
                gradient, loss = twin.gradient(state, potentials, events.labels[ids])
                losses.append(loss)
                descent.step(gradient * slopes)
        fired.append(counts)
    total, learned = np.concatenate(fired, 1), bins - twin.burn_in
    return TwinUpdate(descent.latents, sum(losses) / (total.shape[1] * learned), total)


WORLDS = [
    (REAL, 2, np.float64, {}),
    (REAL, 3, np.float64, {"client": {"optimizer": "adam", "learning_rate": 0.05}}),
    (REAL, 2, np.float32, {}),
    (SIGN, 2, np.float64, {"client": {"learning_rate": 3.0}}),
    (SIGN, 3, np.float64, {"client": {"momentum": 0.9}}),
    (SIGN, 2, np.float32, {"client": {"learning_rate": 3.0}}),
    (RELAXED, 2, np.float64, {"rule": {"bayes": {"noise": "bin"}}}),
    (RELAXED, 3, np.float64, {"rule": {"bayes": {"noise": "batch"}}}),
    (RELAXED, 2, np.float64, {"rule": {"bayes": {"noise": "bin"}}, "local": {"burn_in": 0}}),
]


@pytest.mark.parametrize(("kind", "classes", "dtype", "tables"), WORLDS)
def test_training_is_that_of_a_plain_twin(
    kind: int, classes: int, dtype: type, tables: dict[str, dict[str, object]]
) -> None:
    settings, events = experiment(kind, **tables), samples(classes)
    trainer = trainer_of(settings, events, kind, dtype=dtype)
    params, client = start(settings, trainer), Client(5, np.array([8, 1, 3, 0, 9, 4, 6]))
    (update,) = trainer.train(params, events, [client], 2)
    twin = train_twin(settings, events, params.astype(dtype), binary(kind), client)
    near = 1e-6 if dtype is np.float64 else 1e-4
    delta = np.asarray(update.delta)
    assert delta.dtype == np.float32
    assert_allclose(delta, twin.latents - params, rtol=near, atol=near)
    for part in trainer.layout.split(delta).values():
        assert np.count_nonzero(np.abs(part) > 1e-4) > part.size / 3
    assert update.loss == pytest.approx(twin.loss, rel=near)
    neurons, bounds = sum(WIDTHS), limits(settings, trainer.layers)
    assert update.hidden_rate == twin.fired.sum() / (twin.fired.shape[1] * BINS * neurons)
    counts = [
        [len(row), sum(row < least), sum(row >= most)]
        for row, (least, most) in zip(twin.fired, bounds, strict=True)
    ]
    assert update.activity is not None
    assert update.activity.tolist() == counts


def test_signs_of_weights_change_while_the_twin_trains() -> None:
    """Else a straight-through twin would say little."""
    settings, events = experiment(SIGN, client={"learning_rate": 3.0}), samples()
    trainer = trainer_of(settings, events, SIGN)
    params, client = start(settings, trainer), Client(5, np.arange(10))
    (update,) = trainer.train(params, events, [client], 2)
    changed = (params >= 0) != (params + np.asarray(update.delta) >= 0)
    assert 5 < np.count_nonzero(changed) < len(params) - 5


def test_the_gradient_is_that_of_a_loss_whose_spikes_rise_with_the_potential() -> None:
    """Finite differences: where g is 1, s is replaced by its value and the change of U."""
    settings = experiment(
        num_bins=9,
        local={"burn_in": 8},
        client={"epochs": 1, "batch_size": 10, "learning_rate": 1.0},
    )
    events = samples(3, num_bins=9)
    trainer, twin = trainer_of(settings, events), Twin(settings, 3)
    params = start(settings, trainer)
    (update,) = trainer.train(params, events, [Client(0, np.arange(10))], 0)
    state = twin.rest(10)
    for inputs in events.dense(np.arange(10)).astype(float):
        potentials = twin.bin(state, inputs, params.astype(float))

    def loss(weights: np.ndarray) -> float:
        total = 0.0
        for number, matrix in enumerate(twin.matrices(weights)):
            moved = products(state[number][0], matrix.T) - state[number][2] - potentials[number]
            rises = (potentials[number] > -0.5) & (potentials[number] <= 0.5)
            readout = twin.read(number, state[number][3] + rises * moved)
            total += twin.losses(readout, events.labels)[0].mean()
        return total

    expected = np.empty(len(params))
    for entry in range(len(params)):
        step = np.zeros(len(params))
        step[entry] = 1e-5
        expected[entry] = (loss(params + step) - loss(params - step)) / 2e-5
    assert_allclose(-np.asarray(update.delta), expected, atol=1e-6)
    assert np.count_nonzero(expected) > len(params) / 4


def test_the_surrogate_is_one_from_above_minus_a_half_to_a_half() -> None:
    """One neuron that one spike enters in bin 0: U is w - 1 in bin 1, where alone it learns."""
    settings = experiment(
        num_bins=2, model={"hidden": [1]}, local={"burn_in": 1}, client={"epochs": 1}
    )
    events = from_dense(np.array([[[1], [0]]]), [0], num_classes=2)
    trainer = trainer_of(settings, events)
    sign = 1.0 if Stream(3, Purpose.NETWORK).words(1) < 2**31 else -1.0
    at_rest, firing = -0.2 * sign * 0.5, -0.2 * sign / (1 + np.exp(-sign))
    for weight, expected in [(0.5, 0), (0.75, at_rest), (1.5, firing), (1.75, 0)]:
        params = np.array([weight], np.float32)
        (update,) = trainer.train(params, events, [Client(0, np.array([0]))], 0)
        assert float(update.delta[0]) == pytest.approx(expected, rel=1e-6)


# --- evaluation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3])
def test_evaluation_is_that_of_a_plain_twin(classes: int) -> None:
    """Weights of +-c, so that some neurons are exactly on their threshold."""
    settings, events = experiment(), samples(classes, count=40)
    trainer, ids = trainer_of(settings, events), np.array([*range(5, 40), 1])
    weights = np.where(start(settings, trainer) >= 0, 0.5, -0.5).astype(np.float32)
    twin = Twin(settings, classes)
    state, raster, said, ties = twin.rest(len(ids)), [], [], 0
    for inputs in events.dense(ids).astype(float):
        potentials = twin.bin(state, inputs, weights.astype(float))
        ties += sum(np.count_nonzero(layer == 0) for layer in potentials[:1])
        raster.append(np.concatenate([layer[3] for layer in state], 1))
        readout = twin.read(1, state[1][3])
        said.append(
            [np.exp(-twin.losses(readout, np.full(len(ids), k))[0]) for k in range(classes)]
        )
    probabilities = np.mean(said[3:], 0).T
    result = trainer.evaluate(weights, events, ids)
    assert result.logits is not None
    assert ties > len(ids) * WIDTHS[0]  # more than those of the first bin
    assert_allclose(np.exp(result.logits), probabilities, rtol=1e-9)
    assert_allclose(result.losses, -np.log(probabilities[np.arange(36), events.labels[ids]]))
    assert result.predictions.tolist() == probabilities.argmax(1).tolist()
    spikes = np.stack(raster, 1)
    assert result.neurons is not None
    assert result.neurons.tolist() == spikes.sum((0, 1)).tolist()
    assert result.spikes.tolist() == [spikes[..., :9].sum(), spikes[..., 9:].sum()]
    found = trainer.hidden_spikes(weights, events, ids)
    assert [layer.shape for layer in found] == [(36, BINS, 9), (36, BINS, 8)]
    assert (np.concatenate(found, 2) == spikes).all()


def test_a_sample_says_the_same_in_any_batch() -> None:
    settings, events = experiment(), samples(3, count=40)
    trainer = trainer_of(settings, events, dtype=np.float32)
    weights = start(settings, trainer)
    whole = trainer.evaluate(weights, events, np.arange(40))
    alone = [trainer.evaluate(weights, events, np.array([number])) for number in range(40)]
    assert whole.logits is not None
    assert whole.logits.tolist() == [one.logits[0].tolist() for one in alone]


def test_targets_are_learned_and_asked_for_in_the_place_of_labels() -> None:
    events = samples()
    soft = replace(events, targets=(np.arange(10) / 16).astype(np.float32))
    hard = replace(events, targets=events.labels.astype(np.float32))
    settings = experiment()
    trainer, client = trainer_of(settings, events), Client(0, np.arange(10))
    params = start(settings, trainer)
    plain, same, other = (
        next(trainer.train(params, kind, [client], 0)) for kind in (events, hard, soft)
    )
    assert np.array_equal(plain.delta, same.delta)
    assert not np.array_equal(plain.delta, other.delta)
    result = trainer.evaluate(params, soft, np.arange(10))
    assert result.logits is not None
    expected = -np.sum([1 - soft.targets, soft.targets] * result.logits.T, 0)
    assert_allclose(result.losses, expected, rtol=1e-12)


def test_a_half_target_pulls_neither_way() -> None:
    """Where the readout says 0, as that of two neurons of opposite signs does."""
    settings = experiment(model={"hidden": [2]}, client={"epochs": 1, "batch_size": 1})
    signs = [Stream(seed, Purpose.NETWORK).words(2) < 2**31 for seed in range(20)]
    seed = next(number for number, (one, other) in enumerate(signs) if one != other)
    settings = settings.model_copy(update={"seed": seed})
    events = replace(samples(count=1), targets=np.array([0.5], np.float32))
    trainer = trainer_of(settings, events)
    both = np.ones(trainer.layout.size, np.float32)  # two neurons that do the same
    (update,) = trainer.train(both, events, [Client(0, np.array([0]))], 0)
    assert not np.any(update.delta)
    assert update.loss == pytest.approx(np.log(2))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_sample_without_a_class_can_be_evaluated(classes: int) -> None:
    events = samples(classes)
    unknown, settings, ids = replace(events, labels=np.full(10, -1)), experiment(), np.arange(10)
    trainer = trainer_of(settings, events)
    params = start(settings, trainer)
    known, other = (trainer.evaluate(params, kind, ids) for kind in (events, unknown))
    assert other.logits is not None
    assert np.array_equal(other.logits, known.logits)
    assert np.isfinite(other.losses).all()


# --- what enters ----------------------------------------------------------------------------------


def test_counts_enter_as_so_many_spikes() -> None:
    """A neuron that three spikes enter in bin 0, with weight w: U is 3 w - 1 in bin 1.

    It has fired at rest, so that R is 1, and in bin 2 exp(-dt / tau_ref) if it did not fire again.
    """
    settings = experiment(
        num_bins=3, model={"hidden": [1], "tau_mem": 0.01, "tau_syn": 0.01}, local={"burn_in": 1}
    )
    counted = bin_samples(
        [(np.array([0.001, 0.002, 0.003]), np.zeros(3, np.int64))],
        [0],
        np.zeros(1, np.int64),
        binning=Binning(0.03, 3, counts=True),
        num_channels=1,
        names=(("no", "yes"), ("somebody",)),
    )
    trainer = trainer_of(settings, counted)
    enough, less = (np.array([third / 3], np.float32) for third in (1.01, 0.99))
    fired = [trainer.hidden_spikes(w, counted, np.array([0]))[0].ravel() for w in (enough, less)]
    assert 2 * np.exp(-1) * 0.99 > np.exp(-0.5)  # w P against R in bin 2
    assert fired[0].tolist()[:2] == [True, True]
    assert fired[1].tolist() == [True, False, True]


def test_a_neuron_that_nothing_enters_spikes_once() -> None:
    """At rest it is on its threshold; its refractory trace never dies out, even in float32."""
    dense = np.zeros((1, 500, CHANNELS), bool)
    dense[0, -1, 0] = True
    events, settings = from_dense(dense, [0], 2), experiment(num_bins=500, model={"hidden": [4]})
    trainer = trainer_of(settings, events, dtype=np.float32)
    weights = np.ones(trainer.layout.size, np.float32)
    (spikes,) = trainer.hidden_spikes(weights, events, np.array([0]))
    assert spikes[0].sum(1).tolist() == [4, *[0] * 499]


# --- bits and bounds ------------------------------------------------------------------------------


def deltas(kind: int, threads: int, order: list[int]) -> dict[int, bytes]:
    """Return the bits that clients of 3, 4, 2 and 1 samples send, trained in this order."""
    settings = experiment(kind, client={"threads": threads}, rule={})
    events = samples()
    trainer = trainer_of(settings, events, kind, dtype=np.float32)
    parts = np.split(np.arange(10), [3, 7, 9])
    clients = [Client(7 * number + 2, parts[number]) for number in order]
    updates = trainer.train(start(settings, trainer), events, clients, 1)
    return {
        client.index: np.asarray(update.delta).tobytes()
        for client, update in zip(clients, updates, strict=True)
    }


@pytest.mark.parametrize("kind", [REAL, SIGN, RELAXED])
def test_neither_threads_nor_the_order_of_clients_change_a_bit(kind: int) -> None:
    alone = deltas(kind, 1, [0, 1, 2, 3])
    assert len(set(alone.values())) == 4
    assert deltas(kind, 2, [0, 1, 2, 3]) == alone
    assert deltas(kind, 1, [3, 1, 0, 2]) == alone
    assert deltas(kind, 2, [2, 3]) == {n: bits for n, bits in alone.items() if n in (16, 23)}


@pytest.mark.parametrize(("kind", "rate"), [(SIGN, 100.0), (RELAXED, 20.0)])
def test_latent_weights_stay_within_their_limit(kind: int, rate: float) -> None:
    settings, events, largest = experiment(kind, client={"learning_rate": rate}), samples(), []
    for limit in (18.0, 1.5):
        trainer = trainer_of(settings, events, kind, limit=limit)
        params = start(settings, trainer)
        (update,) = trainer.train(params, events, [Client(0, np.arange(10))], 0)
        largest.append(np.abs(params + np.asarray(update.delta)).max())
    assert largest[0] > 1.6
    assert largest[1] == pytest.approx(1.5, rel=1e-6)


def test_the_parameters_are_the_layers_matrices_alone() -> None:
    trainer = trainer_of(experiment(), samples(3))
    assert trainer.layout.names == ("hidden0.input", "hidden1.input")
    assert trainer.layout.shapes == ((9, 7), (8, 9))
    assert [layer.neurons for layer in trainer.layers] == [9, 8]


def test_two_classes_are_learned() -> None:
    """Each has its own busy channels, and weights begin as bad as any."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    busy = np.where(np.arange(CHANNELS) % 2 == labels[:, None], 0.5, 0.05)
    events = from_dense(rng.random((40, BINS, CHANNELS)) < busy[:, None], labels, 2)
    settings = experiment(client={"epochs": 40, "learning_rate": 0.1})
    trainer = trainer_of(settings, events, dtype=np.float32)
    params = start(settings, trainer)
    (update,) = trainer.train(params, events, [Client(0, np.arange(30))], 0)
    before, after = (
        trainer.evaluate(weights, events, np.arange(30, 40)).losses.mean()
        for weights in (params, params + np.asarray(update.delta))
    )
    assert after < 0.8 * before


# --- refusals -------------------------------------------------------------------------------------


def test_a_burn_in_that_leaves_no_bin_is_refused() -> None:
    trainer_of(experiment(local={"burn_in": BINS - 1}), samples())
    with pytest.raises(InputError, match=r"rule.local.burn_in = 16 .* data.num_bins = 16"):
        trainer_of(experiment(local={"burn_in": BINS}), samples())


def test_images_are_refused() -> None:
    images = ImageSet(
        np.zeros((1, 1, 2, 2), np.uint8), np.zeros(1, int), np.zeros(1, int), ("a", "b"), ("one",)
    )
    trainer = trainer_of(experiment(), samples())
    with pytest.raises(InputError, match="the data are a ImageSet"):
        trainer.evaluate(np.zeros(135, np.float32), images, np.array([0]))
