"""Probabilistic units: a plain twin in NumPy, gradients by differences, and bits that stay."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any  # settings of any type

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tiny_events import from_dense, patterns

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.learning.batches import batches
from hpcfed.learning.circuit import memory, plan
from hpcfed.learning.circuit.training import CircuitTrainer
from hpcfed.learning.rule import rule_of
from hpcfed.learning.trainer import LocalUpdate
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import Shape, shape_of

BINS, CHANNELS, CLASSES = 13, 4, 2


def experiment(kind: str = "glm", **tables: Any) -> Experiment:
    """Return an experiment on bins of 10 ms."""
    circuit = {"bases": 3, "window": 5, "start": 0.4, "width": 1.0} | tables.pop("circuit", {})
    client = {"optimizer": "sgd", "learning_rate": 0.002, "batch_size": 2}
    data = {"duration": BINS / 100, "num_bins": BINS}
    return Experiment.model_validate(
        {
            "data": data | tables.pop("data", {}),
            "model": {"tau_mem": 0.1, "tau_syn": 0.1},
            "client": client | tables.pop("client", {}),
            "rule": {"kind": kind, "circuit": circuit},
            "seed": 5,
            **tables,
        }
    )


def samples(count: int = 3, density: float = 0.25) -> EventSet:
    """Return random samples with counts of 1 to 3; always the same ones."""
    rng = np.random.default_rng(1)
    dense = rng.random((count, BINS, CHANNELS)) < density
    dense[:, 0, 0] = True  # no sample is empty
    events = from_dense(dense, np.arange(count) % CLASSES, CLASSES)
    counts = rng.integers(1, 4, len(events.channels)).astype(np.uint16)
    return replace(events, counts=counts)


def trainer_of(settings: Experiment, events: EventSet, dtype: Any = np.float64) -> CircuitTrainer:
    return CircuitTrainer(settings, shape_of(events), dtype)


def start(settings: Experiment, trainer: CircuitTrainer) -> np.ndarray:
    return plan.initial(settings, trainer.layout)


def train(
    settings: Experiment, events: EventSet, dtype: Any = np.float64, **client: Any
) -> LocalUpdate:
    """Return the update of client 3 with all samples, in round 2, from the first parameters."""
    trainer = trainer_of(settings, events, dtype)
    someone = Client(3, np.arange(events.num_samples), **client)
    (update,) = trainer.train(start(settings, trainer), events, [someone], 2)
    return update


# --- the twin -------------------------------------------------------------------------------------


@dataclass
class Twin:
    """The equations, entry by entry, with dense arrays: (basis, unit, value, unit, value)."""

    settings: Experiment
    num_inputs: int
    classes: int

    def __post_init__(self) -> None:
        circuit = self.settings.rule.circuit_settings
        self.circuit, self.hidden = circuit, circuit.hidden
        self.values = plan.num_values(self.settings)
        self.units = self.hidden + self.classes
        self.seen = self.num_inputs + self.hidden + (self.classes if circuit.lateral else 0)
        self.table = plan.raised_cosines(circuit.window, circuit.bases, circuit.width)
        self.own = plan.raised_cosines(circuit.window, 1, circuit.width)[0]
        self.is_wta = self.settings.rule.kind == "wta"
        self.by_update = (circuit.smoothing or ("update" if self.is_wta else "signal")) == "update"

    def unpack(self, flat: np.ndarray) -> list[np.ndarray]:
        """Return kernels, feedback (zeros without) and biases."""
        units, values, bases = self.units, self.values, self.circuit.bases
        size = bases * units * values * self.seen * values
        kernel = flat[:size].reshape(bases, units, values, self.seen, values)
        bias = flat[-units * values :].reshape(units, values)
        back = flat[size : size + units * values].reshape(units, values)
        parts = [kernel, back if self.circuit.feedback else 0 * bias, bias]
        return [part.astype(np.float64) for part in parts]

    def pack(self, parts: list[np.ndarray]) -> np.ndarray:
        """Return parameters (P,)."""
        kept = parts if self.circuit.feedback else [parts[0], parts[2]]
        return np.concatenate([part.ravel() for part in kept])

    def allowed(self) -> np.ndarray:
        """Return (unit, seen unit): whether there are synapses."""
        found = np.ones((self.units, self.seen), bool)
        for unit, source in itertools.product(range(self.units), range(self.seen)):
            other = source - self.num_inputs
            if other == unit:
                found[unit, source] = False
            if self.is_wta and unit < self.hidden <= other:
                found[unit, source] = False
        return found

    def probabilities(self, weights: list[np.ndarray], entering: list[np.ndarray]) -> np.ndarray:
        """Return (unit, C + 1), silence first."""
        kernel, back, bias = weights
        past, own = entering
        potential = np.einsum("kicjd,kjd->ic", kernel, past) + back * own + bias
        parts = np.exp(np.concatenate([np.zeros((self.units, 1)), potential], axis=1))
        return np.asarray(parts / parts.sum(axis=1, keepdims=True))

    def entering(self, history: list[np.ndarray]) -> list[np.ndarray]:
        """Return what enters synapses (basis, seen unit, value), and feedback (unit, value)."""
        past = np.zeros((self.circuit.bases, self.seen, self.values))
        own = np.zeros((self.units, self.values))
        for lag, spikes in enumerate(reversed(history[-self.circuit.window :])):
            for unit, value in enumerate(spikes):
                if value and unit < self.seen:
                    past[:, unit, value - 1] += self.table[:, lag]
                if value and unit >= self.num_inputs:
                    own[unit - self.num_inputs, value - 1] += self.own[lag]
        return [past, own]

    def train(
        self, flat: np.ndarray, inputs: np.ndarray, labels: list[int], words: np.ndarray
    ) -> tuple[np.ndarray, float, np.ndarray, int]:
        """Return parameters, mean log-likelihood, importance and hidden spikes.

        ``inputs`` (n, T, channels) are values, ``words`` (n, T, units).
        """
        circuit, weights = self.circuit, self.unpack(flat)
        rate = self.settings.client.learning_rate
        allowed = self.allowed()[None, :, None, :, None]
        total, spikes, importance = 0.0, 0, np.zeros(circuit.bases)
        reference = [circuit.silence] + self.values * [(1 - circuit.silence) / self.values]
        for sample, label in enumerate(labels):
            kinds = [[np.zeros_like(w) for w in weights] for _ in range(4)]
            eligibility, above, below, update = kinds
            signal, history = 0.0, []
            for t in range(inputs.shape[1]):
                entering = self.entering(history)
                chances = self.probabilities(weights, entering)
                state = [self.drawn(chances[i], words[sample, t, i]) for i in range(self.hidden)]
                state += [int(k == label) for k in range(self.classes)]
                logs = np.log(chances[np.arange(self.units), state])
                likelihood = logs[self.hidden :].sum()
                divergence = sum(logs[i] - np.log(reference[state[i]]) for i in range(self.hidden))
                now = likelihood - circuit.gamma * divergence
                signal = (
                    now if self.by_update else circuit.kappa * signal + (1 - circuit.kappa) * now
                )
                d = np.eye(self.values + 1)[state][:, 1:] - chances[:, 1:]
                slopes = d[None, :, :, None, None] * entering[0][:, None, None]
                gradients = [slopes * allowed, d * entering[1] * circuit.feedback, d]
                importance += np.abs(gradients[0]).sum(axis=(1, 2, 3, 4))
                steps = (t + 1) % circuit.every == 0
                for n, gradient in enumerate(gradients):
                    e = circuit.kappa * eligibility[n] + (1 - circuit.kappa) * gradient
                    eligibility[n] = e
                    above[n] = circuit.beta * above[n] + (1 - circuit.beta) * e**2 * signal
                    below[n] = circuit.beta * below[n] + (1 - circuit.beta) * e**2
                    change = (signal - above[n] / (below[n] + 1e-7)) * e
                    if self.by_update:
                        update[n] = circuit.kappa * update[n] + (1 - circuit.kappa) * change
                        change = update[n]
                    axis = 1 if n == 0 else 0
                    is_hidden = np.arange(self.units) < self.hidden
                    shape = [-1 if a == axis else 1 for a in range(e.ndim)]
                    weights[n] += steps * rate * np.where(is_hidden.reshape(shape), change, e)
                total += likelihood
                spikes += sum(value > 0 for value in state[: self.hidden])
                history.append(np.array([*inputs[sample, t], *state]))
        return self.pack(weights), total / inputs[:, :, 0].size, importance, spikes

    def drawn(self, chances: np.ndarray, word: int) -> int:
        """Return the value that a word stands for."""
        limits = np.rint(np.cumsum(chances[1:]) * 2**32)
        below = np.flatnonzero(int(word) < limits)
        return int(below[0]) + 1 if len(below) else 0


def read(events: EventSet, values: int) -> np.ndarray:
    """Return samples as values of inputs, (n, T, channels), where counts are values."""
    return np.minimum(events.dense(np.arange(events.num_samples)), values).transpose(1, 0, 2)


def order_of(settings: Experiment, events: EventSet) -> np.ndarray:
    """Return the samples of client 3 in round 2, in their order."""
    stream = Stream(settings.seed, Purpose.BATCH_ORDER, 2, 3)
    ids = np.arange(events.num_samples)
    return np.concatenate(list(batches(settings.client, ids, stream)))


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "visible": ("glm", {}),
    "feedback": ("glm", {"feedback": True}),
    "lateral": ("glm", {"lateral": True}),
    "hidden": ("glm", {"hidden": 3}),
    "all": ("glm", {"hidden": 3, "feedback": True, "lateral": True}),
    "all by update": (
        "glm",
        {"hidden": 3, "feedback": True, "lateral": True, "smoothing": "update"},
    ),
    "every": ("glm", {"hidden": 2, "every": 3, "feedback": True}),
    "every visible": ("glm", {"every": 4}),
    "slow and foreseen": ("glm", {"kappa": 0.9, "every": 3}),
    "values and foreseen": ("wta", {"values": 3}),
    "slow": ("glm", {"hidden": 2, "kappa": 0.9, "beta": 0.8, "lateral": True}),
    "slow visible": ("glm", {"kappa": 0.9, "every": 2, "feedback": True}),
    "no traces": ("glm", {"hidden": 2, "kappa": 0.0, "beta": 0.0}),
    "gamma": ("glm", {"hidden": 2, "gamma": 0.3, "silence": 0.4}),
    "circuits": ("wta", {"hidden": 3, "feedback": True, "lateral": True}),
    "circuits by signal": ("wta", {"hidden": 3, "lateral": True, "smoothing": "signal"}),
    "three values": ("wta", {"hidden": 2, "values": 3, "feedback": True, "every": 2}),
    "one value": ("wta", {"hidden": 2, "values": 1}),
}


@pytest.mark.parametrize("name", CASES)
def test_training_is_that_of_the_plain_twin(name: str) -> None:
    kind, circuit = CASES[name]
    events = samples()
    settings = experiment(kind, circuit=circuit, data={"counts": True})
    trainer = trainer_of(settings, events)
    twin = Twin(settings, CHANNELS, CLASSES)
    flat = start(settings, trainer)
    order = order_of(settings, events)
    words = Stream(settings.seed, Purpose.HIDDEN_SPIKES, 2, 3).words(3 * BINS * twin.units)
    expected, likelihood, importance, spikes = twin.train(
        flat,
        read(events, twin.values)[order].astype(int),
        events.labels[order].tolist(),
        words.reshape(3, BINS, twin.units),
    )
    update = train(settings, events)
    assert_allclose(update.delta, expected - flat, rtol=1e-7, atol=1e-9)  # float32 travels
    assert update.loss == pytest.approx(-likelihood, rel=1e-9)
    assert update.figures == {"log_likelihood": -update.loss}
    assert_allclose(update.importance, importance, rtol=1e-9)
    if twin.hidden:
        assert update.hidden_rate == spikes / (3 * BINS * twin.hidden)
        assert update.activity is not None
        assert update.activity[0, 0] == 3
    else:
        assert np.isnan(update.hidden_rate)
        assert update.activity is None
    assert np.abs(expected - flat).max() > 1e-3
    fast = train(settings, events, np.float32)
    assert_allclose(fast.delta, expected - flat, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kappa", [0.0, 0.2, 0.9])
@pytest.mark.parametrize(
    ("bins", "channels", "classes", "kind", "circuit"),
    [
        (1, 1, 2, "glm", {}),
        (2, 3, 2, "glm", {"every": 2}),
        (16, 9, 9, "glm", {"bases": 8, "window": 10, "width": 1.5}),
        (17, 5, 3, "wta", {"values": 2, "every": 5}),
        (70, 40, 2, "glm", {"bases": 8, "window": 10, "every": 7}),
        (97, 2, 33, "glm", {"bases": 1, "window": 2}),
        (130, 6, 5, "wta", {"values": 3, "bases": 8, "window": 60, "width": 2.2}),
    ],
)
def test_foreseen_samples_teach_what_their_bins_do_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
    kappa: float,
    bins: int,
    channels: int,
    classes: int,
    kind: str,
    circuit: dict[str, Any],
) -> None:
    rng = np.random.default_rng(bins)
    dense = rng.random((4, bins, channels)) < rng.random((4, 1, channels))
    dense[1], dense[:, 0, 0] = False, True  # one spike alone; no sample is empty
    events = from_dense(dense, np.arange(4) % classes, classes)
    counts = rng.integers(1, 5, len(events.channels)).astype(np.uint16)
    events = replace(events, counts=counts)
    data = {"duration": bins / 100, "num_bins": bins, "counts": True}
    settings = experiment(kind, circuit=circuit | {"kappa": kappa}, data=data)
    assert plan.is_foreseen(settings)
    at_once = train(settings, events)
    monkeypatch.setattr(plan, "is_foreseen", lambda settings: False)
    one_by_one = train(settings, events)
    assert_allclose(at_once.delta, one_by_one.delta, rtol=1e-6, atol=1e-9)  # float32 travels
    assert np.abs(at_once.delta).max() > 1e-5
    assert at_once.loss == pytest.approx(one_by_one.loss, rel=1e-12)
    assert_allclose(at_once.importance, one_by_one.importance, rtol=1e-10)


@pytest.mark.parametrize("every", [57, 80])
def test_seldom_steps_of_foreseen_samples_are_finite(
    monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    events = patterns(3, num_bins=80)
    data = {"duration": 0.8, "num_bins": 80}
    settings = experiment(circuit={"every": every, "kappa": 0.2}, data=data)
    at_once = train(settings, events, np.float32)
    monkeypatch.setattr(plan, "is_foreseen", lambda settings: False)
    one_by_one = train(settings, events, np.float32)
    assert np.isfinite(at_once.delta).all()
    assert_allclose(at_once.delta, one_by_one.delta, rtol=0, atol=1e-6)
    assert np.abs(at_once.delta).max() > 1e-5


@pytest.mark.parametrize(
    "circuit", [{"hidden": 1}, {"feedback": True}, {"lateral": True}, {"bins": 5}]
)
def test_what_is_not_known_beforehand_is_not_foreseen(circuit: dict[str, Any]) -> None:
    assert not plan.is_foreseen(experiment(circuit=circuit))
    many = {"num_bins": plan.MOST_BINS + 1, "duration": 10.0}
    assert not plan.is_foreseen(experiment(data=many))
    half = {"num_bins": plan.MOST_BINS // 2, "duration": 10.0}
    assert plan.is_foreseen(experiment(data=half))
    assert not plan.is_foreseen(experiment(data=half, circuit={"window": 100}))


def test_traces_are_gradients_of_the_units_log_probabilities() -> None:
    bins, shown = 6, {"hidden": 2, "feedback": True, "lateral": True, "kappa": 0.0, "bins": 6}
    settings = experiment(circuit=shown, client={"learning_rate": 1e-12})
    events = samples(1)
    trainer, twin = trainer_of(settings, events), Twin(settings, CHANNELS, CLASSES)
    flat = start(settings, trainer)
    (update,) = trainer.train(flat, events, [Client(0, np.arange(1))], 0)
    words = Stream(settings.seed, Purpose.HIDDEN_SPIKES, 0, 0).words(bins * twin.units)
    history: list[np.ndarray] = []
    for t in range(bins):
        entering = twin.entering(history)
        chances = twin.probabilities(twin.unpack(flat), entering)
        state = [twin.drawn(chances[i], words[t * twin.units + i]) for i in range(twin.hidden)]
        state += [1, 0]  # the label is 0
        history.append(np.array([*read(events, 1)[0, t], *state], int))

    def logarithm(parameters: np.ndarray) -> float:
        chances = twin.probabilities(twin.unpack(parameters), entering)
        return float(np.log(chances[np.arange(twin.units), state]).sum())

    step = 1e-5 * np.eye(len(flat))
    expected = np.array([logarithm(flat + s) - logarithm(flat - s) for s in step]) / 2e-5
    expected[flat == 0] = 0  # there are no synapses
    kept = len(flat)
    head = memory.size(trainer._circuit, kept, smooths_signal=True) - 4 * kept
    assert update.memory is not None
    seen = update.memory[4 : 6 + len(trainer._circuit.bases)]
    fresh = np.repeat(seen == bins - 1, trainer._circuit.rows).astype(float)
    reached = memory.to_parameters(trainer._circuit, fresh)
    traces = update.memory[head : head + kept] * reached
    assert_allclose(traces, expected, rtol=0, atol=1e-6)
    assert np.count_nonzero(traces) > 30


# --- what the equations leave open ----------------------------------------------------------------


@pytest.mark.parametrize("smoothing", ["signal", "update"])
def test_circuits_of_one_value_are_neurons_bit_for_bit(smoothing: str) -> None:
    circuit = {"hidden": 3, "feedback": True, "smoothing": smoothing}
    neurons = train(experiment("glm", circuit=circuit), samples(), np.float32)
    circuits = train(experiment("wta", circuit=circuit | {"values": 1}), samples(), np.float32)
    assert_array_equal(neurons.delta, circuits.delta)
    assert np.abs(neurons.delta).max() > 1e-3


def test_silent_channels_change_nothing_and_stay_as_they_are() -> None:
    events = samples()
    wide = replace(events, num_channels=CHANNELS + 3)
    settings = experiment(circuit={"hidden": 2})
    narrow_trainer, trainer = trainer_of(settings, events), trainer_of(settings, wide)
    flat = start(settings, trainer)
    shapes = trainer.layout.shapes[0]
    hidden_last = [*range(CHANNELS), *range(CHANNELS + 3, shapes[2])]
    kernel, bias = flat[: -shapes[1]].reshape(shapes), flat[-shapes[1] :]
    narrow = np.concatenate([kernel[:, :, hidden_last].ravel(), bias])
    client = [Client(0, np.arange(3))]
    (one,) = narrow_trainer.train(narrow, events, client, 0)
    (other,) = trainer.train(flat, wide, client, 0)
    found = np.asarray(other.delta)[: -shapes[1]].reshape(shapes)
    assert_array_equal(found[:, :, hidden_last].ravel(), np.asarray(one.delta)[: -shapes[1]])
    assert not found[:, :, CHANNELS : CHANNELS + 3].any()


def sensor(channels: list[list[int]], counts: list[list[int]], plane: tuple[int, ...]) -> EventSet:
    """Return one sample whose bins have these channels and counts, and then nothing."""
    times = np.repeat(np.arange(len(channels)), [len(one) for one in channels])
    flat = np.concatenate(channels).astype(np.int64)
    repeats = np.concatenate(counts).astype(np.int64)
    size = int(np.prod(plane)) if plane else CHANNELS
    events = bin_samples(
        [(np.repeat((times + 0.5) / 100, repeats), np.repeat(flat, repeats))],
        [0],
        [0],
        binning=Binning(BINS / 100, BINS, counts=True),
        num_channels=size,
        names=(("a", "b"), ("somebody",)),
    )
    return replace(events, plane=plane)


def test_a_pixel_has_the_polarity_with_more_spikes_and_of_equal_ones_the_higher() -> None:
    # pixels 0 to 3; channel 4 + p is polarity 1 of pixel p
    both = sensor([[0, 1, 4, 5, 6], [3, 7]], [[2, 1, 1, 3, 1], [1, 1]], (2, 2, 2))
    alone = sensor([[0, 1, 2], [3]], [[1, 2, 2], [2]], ())  # values as counts
    settings = experiment("wta", data={"counts": True})
    assert_array_equal(train(settings, both).delta, train(settings, alone).delta)


def test_neurons_see_each_channel_of_a_sensor() -> None:
    both = sensor([[0, 1, 4, 5, 6], [3, 7]], [[2, 1, 1, 3, 1], [1, 1]], (2, 2, 2))
    trainer = trainer_of(experiment("glm"), both)
    assert trainer.layout.shapes[0] == (3, 2, 8)


def test_without_counts_each_spike_has_the_first_value() -> None:
    counted, settings = samples(), experiment("wta")
    ones = replace(counted, counts=np.ones_like(counted.counts))
    assert_array_equal(train(settings, counted).delta, train(settings, ones).delta)


def test_initial_parameters_are_within_the_start_and_zero_without_a_synapse() -> None:
    settings = experiment("wta", circuit={"hidden": 2, "lateral": True, "feedback": True})
    trainer = trainer_of(settings, samples())
    params = start(settings, trainer)
    twin = Twin(settings, CHANNELS, CLASSES)
    allowed = np.broadcast_to(
        twin.allowed()[None, :, None, :, None], twin.unpack(params)[0].shape
    ).ravel()
    kernel = params[: allowed.size]
    assert_array_equal(kernel != 0, allowed)
    assert np.abs(params).max() <= 0.4
    assert np.abs(params).max() > 0.35
    (update,) = trainer.train(params, samples(), [Client(0, np.arange(3))], 0)
    assert not np.asarray(update.delta)[: allowed.size][~allowed].any()
    words = Stream(settings.seed, Purpose.INITIAL_WEIGHTS).uniforms(len(params))
    assert_allclose(params[-1], 0.4 * (2 * words[-1] - 1), rtol=1e-6)


def test_bases_are_groups_that_masks_may_thin_out_and_the_rest_is_sent_whole() -> None:
    settings = experiment("wta", circuit={"hidden": 2, "feedback": True})
    parts = trainer_of(settings, samples()).layout.parts
    assert [(p.name, p.shape, p.groups, p.masked) for p in parts] == [
        ("kernel", (3, 8, 12), 3, True),
        ("feedback", (8,), 1, False),
        ("bias", (8,), 1, False),
    ]


# --- bits that stay -------------------------------------------------------------------------------


def test_updates_do_not_depend_on_the_order_of_clients_or_on_threads() -> None:
    events, circuit = samples(7), {"hidden": 3, "lateral": True}
    clients = [Client(n, np.arange(n, 7)) for n in range(5)]
    found = []
    for threads, order in ((1, [0, 1, 2, 3, 4]), (1, [4, 2, 0, 3, 1]), (2, [3, 4, 1, 0, 2])):
        settings = experiment(circuit=circuit, client={"threads": threads})
        trainer = trainer_of(settings, events, np.float32)
        chosen = [clients[n] for n in order]
        updates = list(trainer.train(start(settings, trainer), events, chosen, 1))
        by_client = dict(zip(order, updates, strict=True))
        found.append(np.stack([np.asarray(by_client[n].delta) for n in range(5)]))
    assert_array_equal(found[0], found[1])
    assert_array_equal(found[0], found[2])
    assert len(np.unique(found[0], axis=0)) == 5


def by_bins(bins: int, total: int, circuit: dict[str, Any], kind: str) -> tuple[Any, ...]:
    """Return parameters after rounds of ``bins``, ``total`` in all, hidden rate and importance."""
    events = samples(3)
    settings = experiment(kind, circuit=circuit | {"bins": bins})
    trainer = trainer_of(settings, events, np.float32)
    params, kept = start(settings, trainer), None
    likelihood, importance = 0.0, np.zeros(3)
    for number in range(total // bins):
        client = Client(2, np.array([0, 1, 2]), memory=kept)
        (update,) = trainer.train(params, events, [client], number)
        params, kept = params + np.asarray(update.delta), update.memory
        likelihood += bins * update.figures["log_likelihood"]
        importance += update.importance
        assert kept is not None
        assert len(kept) == memory.size(
            trainer._circuit, trainer.layout.size, plan.smooths_signal(settings)
        )
    assert kept is not None
    rest = kept[-len(params) :]
    return params + rest, likelihood, importance


@pytest.mark.parametrize(
    ("kind", "circuit"),
    [
        ("glm", {}),
        ("glm", {"hidden": 3, "feedback": True, "lateral": True, "every": 2}),
        ("wta", {"hidden": 2, "feedback": True}),
    ],
)
def test_short_rounds_go_on_bit_for_bit_where_long_ones_are(
    kind: str, circuit: dict[str, Any]
) -> None:
    total = 7 * BINS * 4  # nine samples and more: three passes
    whole = by_bins(total, total, circuit, kind)
    for bins in (1, 7, BINS, 2 * BINS):
        params, likelihood, importance = by_bins(bins, total, circuit, kind)
        assert_array_equal(params, whole[0])
        assert likelihood == pytest.approx(whole[1], rel=1e-12)
        assert_allclose(importance, whole[2], rtol=1e-12)


@pytest.mark.parametrize("hidden", [{"hidden": 3}, {"feedback": True}])
def test_rounds_of_whole_passes_are_those_without_bins(hidden: dict[str, Any]) -> None:
    events = samples(3)
    someone = [Client(2, np.arange(3))]
    trainer = trainer_of(experiment(circuit=hidden | {"bins": 3 * BINS}), events, np.float32)
    other = trainer_of(experiment(circuit=hidden), events, np.float32)
    params = start(experiment(circuit=hidden), other)
    (first,) = trainer.train(params, events, someone, 0)
    (second,) = other.train(params, events, someone, 0)
    assert_array_equal(first.delta, second.delta)
    assert second.memory is None


def test_a_client_that_diverged_leaves_nothing_to_the_next() -> None:
    events, settings = samples(), experiment(circuit={"hidden": 2, "feedback": True})
    trainer, someone = trainer_of(settings, events, np.float32), [Client(0, np.arange(3))]
    params = start(settings, trainer)
    (before,) = trainer.train(params, events, someone, 0)
    (broken,) = trainer.train(np.full_like(params, np.nan), events, someone, 0)
    (after,) = trainer.train(params, events, someone, 0)
    assert np.isnan(broken.delta).any()
    assert_array_equal(before.delta, after.delta)


# --- evaluation -----------------------------------------------------------------------------------


def scores_of(twin: Twin, flat: np.ndarray, inputs: np.ndarray, words: np.ndarray) -> Any:
    """Return the scores (K,) of one sample (T, channels), and the units' spikes (T, units)."""
    weights, history, scores, spikes = twin.unpack(flat), [], np.zeros(twin.classes), []
    for t in range(len(inputs)):
        chances = twin.probabilities(weights, twin.entering(history))
        state = [twin.drawn(chances[i], words[t, i]) for i in range(twin.units)]
        scores += 1 - chances[twin.hidden :, 0]
        history.append(np.array([*inputs[t], *state], int))
        spikes.append(state)
    return scores / len(inputs), np.array(spikes)


@pytest.mark.parametrize("draws", [None, 3])
def test_a_class_is_as_probable_as_its_share_of_expected_spikes(draws: int | None) -> None:
    circuit, events = {"hidden": 3, "feedback": True, "lateral": True}, samples(4)
    tables = {} if draws is None else {"evaluation": {"draws": draws}}
    settings = experiment("wta", circuit=circuit, data={"counts": True}, **tables)
    trainer, twin = trainer_of(settings, events), Twin(settings, CHANNELS, CLASSES)
    flat, ids = start(settings, trainer), np.array([2, 0, 3])
    scores, spikes = np.zeros((draws or 1, 3, CLASSES)), []
    for draw, row in itertools.product(range(draws or 1), range(3)):
        stream = Stream(settings.seed, Purpose.EVALUATED_SPIKES, draw, int(ids[row]))
        words = stream.words(BINS * twin.units).reshape(BINS, -1)
        inputs = read(events, 2)[ids[row]]
        scores[draw, row], fired = scores_of(twin, flat, inputs, words)
        spikes.append(fired)
    result = trainer.evaluate(flat, events, ids)
    mean = scores.mean(axis=0)
    expected = mean / mean.sum(axis=1, keepdims=True)
    assert_allclose(np.exp(result.logits), expected, rtol=1e-9)
    assert_allclose(result.losses, -np.log(expected[[0, 1, 2], events.labels[ids]]), rtol=1e-9)
    assert_array_equal(result.predictions, expected.argmax(axis=1))
    first = np.stack(spikes[:3])[:, :, :3] > 0
    assert_array_equal(result.neurons, first.sum(axis=(0, 1)))
    assert_array_equal(result.spikes, [first.sum()])
    assert_array_equal(trainer.hidden_spikes(flat, events, ids), [first])
    assert_array_equal(trainer.trace(flat, events, 2).spikes, spikes[0])
    if draws is None:
        assert result.committee is None
        return
    every = scores / scores.sum(axis=2, keepdims=True)
    assert result.committee is not None
    assert_allclose(result.committee.deviation, every.std(axis=0), rtol=1e-9)
    entropies = -(every * np.log(every)).sum(axis=2).mean(axis=0)
    assert_allclose(result.committee.expected_entropy, entropies, rtol=1e-9)
    assert_allclose(np.exp(result.committee.middle.logits), every[0], rtol=1e-9)


def test_without_hidden_units_and_feedback_one_pass_says_all() -> None:
    events, settings = samples(4), experiment(evaluation={"draws": 5})
    trainer, ids = trainer_of(settings, events), np.arange(4)
    result = trainer.evaluate(start(settings, trainer), events, ids)
    assert result.committee is not None
    assert not result.committee.deviation.any()
    assert_array_equal(result.committee.middle.logits, result.logits)
    assert trainer.layers == ()
    assert trainer.hidden_spikes(start(settings, trainer), events, ids) == []
    assert result.spikes.shape == (0,)


def test_a_clamped_trace_shows_the_label() -> None:
    settings = experiment(circuit={"hidden": 2})
    trainer, twin = trainer_of(settings, samples()), Twin(settings, CHANNELS, CLASSES)
    flat = start(settings, trainer)
    found = trainer.trace(flat, samples(), 1, clamped=True)
    assert_array_equal(found.spikes[:, 2:], np.tile([0, 1], (BINS, 1)))
    inputs, history = read(samples(), 1)[1], []
    for t in range(BINS):
        chances = twin.probabilities(twin.unpack(flat), twin.entering(history))
        assert_allclose(found.probabilities[t], chances, rtol=1e-12)
        assert_allclose(found.potentials[t, :, 0], np.log(chances[:, 1] / chances[:, 0]))
        history.append(np.array([*inputs[t], *found.spikes[t]], int))


@pytest.mark.parametrize("circuit", [{}, {"hidden": 4, "gamma": 0.1, "silence": 0.7}])
def test_targets_become_more_probable_and_classes_are_told_apart(circuit: dict[str, Any]) -> None:
    events = patterns(40)
    settings = experiment(
        circuit=circuit,
        data={"duration": 0.15, "num_bins": 15},
        client={"learning_rate": 0.02},
    )
    trainer = trainer_of(settings, events, np.float32)
    params, found = start(settings, trainer), []
    for number in range(8):
        (update,) = trainer.train(params, events, [Client(0, np.arange(40))], number)
        params = params + np.asarray(update.delta)
        found.append(update.figures["log_likelihood"])
    assert found[-1] > found[3] > found[0]
    result = trainer.evaluate(params, events, np.arange(40))
    assert np.mean(result.predictions == events.labels) > 0.8


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tables", "reason"),
    [
        ({"client": {"optimizer": "adam"}}, 'client.optimizer = "sgd"'),
        ({"client": {"momentum": 0.5}}, "client.momentum"),
        ({"client": {"weight_decay": 0.1}}, "client.weight_decay"),
        ({"client": {"proximal": 0.1}}, "client.proximal"),
        ({"client": {"clip_norm": 0.1}}, "client.clip_norm"),
        ({"client": {"rate_upper": 0.5}}, "client.rate_upper"),
        ({"client": {"engine": "event"}}, "client.engine"),
        ({"data": {"drop": 0.1}}, "data.drop"),
        ({"data": {"dataset": "digits"}}, "images"),
        ({"data": {"dataset": "regression"}}, "targets between"),
        ({"circuit": {"every": BINS + 1}}, "rule.circuit.every"),
        ({"circuit": {"bins": 5}, "client": {"epochs": 2}}, "rule.circuit.bins"),
        ({"circuit": {"bins": 5}, "client": {"steps": 2}}, "rule.circuit.bins"),
    ],
)
def test_what_has_no_meaning_here_is_refused(tables: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        experiment(**tables)


def test_a_sensor_of_more_polarities_than_values_is_refused() -> None:
    with pytest.raises(InputError, match=r"values = 1.* 2 polarities"):
        CircuitTrainer(experiment("wta", circuit={"values": 1}), Shape((2, 3, 3), 2, True))


def test_images_and_targets_between_classes_are_refused() -> None:
    trainer = trainer_of(experiment(), samples())
    images = object.__new__(ImageSet)
    for others, reason in (
        (images, "ImageSet"),
        (replace(samples(), targets=np.zeros(3, np.float32)), "targets"),
    ):
        with pytest.raises(InputError, match=reason):
            trainer.train(np.zeros(1, np.float32), others, [], 0)


def test_more_draws_than_a_stream_has_words_are_refused() -> None:
    settings = experiment(circuit={"hidden": 2}, data={"num_bins": 100_000, "duration": 1000.0})
    circuit = plan.circuit(settings, Shape((CHANNELS,), CLASSES), np.float32)
    plan.check_words(circuit, 42949)  # 42949 x 100 000 x 4 < 2^34
    with pytest.raises(InputError, match=r"client\.epochs"):
        plan.check_words(circuit, 42950)


@pytest.mark.parametrize("kind", ["glm", "wta"])
def test_what_is_sent_of_synapses_that_do_not_exist_is_not_used_and_taken_back(kind: str) -> None:
    settings, events = experiment(kind, circuit={"hidden": 2, "lateral": True}), samples()
    trainer = trainer_of(settings, events)
    clean, someone = start(settings, trainer), Client(3, np.arange(events.num_samples))
    missing = ~plan.exist(settings, trainer.layout)
    assert missing.any()
    noisy = np.where(missing, np.float32(0.5), clean)
    (expected,), (found,) = (
        trainer.train(params, events, [someone], 2) for params in (clean, noisy)
    )
    assert_array_equal(found.delta, np.where(missing, np.float32(-0.5), expected.delta))
    ids = np.arange(events.num_samples)
    results = [trainer.evaluate(params, events, ids) for params in (clean, noisy)]
    assert_array_equal(results[0].logits, results[1].logits)


def test_the_rule_measures_the_log_likelihood_and_draws_its_own_start() -> None:
    settings = experiment()
    rule = rule_of(settings)
    trainer = rule.trainer(settings, shape_of(samples()), "cpu")
    assert [figure.name for figure in rule.figures] == ["log_likelihood"]
    assert rule.initial is not None
    assert_array_equal(rule.initial(settings, trainer.layout), start(settings, trainer))
