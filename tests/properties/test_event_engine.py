"""The event engine computes what torch autograd computes: any network, batch and setting."""

from __future__ import annotations

import dataclasses

import numba
import numpy as np
import pytest
from engine_trainings import (
    SGD,
    assert_same_update,
    clients,
    experiment,
    samples,
    start,
    trainer_of,
)
from event_worlds import LEAKY, World, count_ties, events_of, largest_difference, oracle, worlds
from hypothesis import HealthCheck, assume, given, settings
from numpy.testing import assert_allclose, assert_array_equal

from hpcfed.config import Experiment
from hpcfed.learning.event import plan as event_plan
from hpcfed.learning.event import training as event_training
from hpcfed.learning.event.training import EventTrainer
from hpcfed.learning.trainer import LocalUpdate
from hpcfed.samples.samples import shape_of

TIE = 1e-5
THOROUGH = settings(
    max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)

# --- one batch, against torch autograd in float64 -------------------------------------------------


@THOROUGH
@given(world=worlds())
def test_spikes_are_identical_and_gradients_within_1e_9_in_float64(world: World) -> None:
    _, _, close_maximum = count_ties(world, 1e-11)
    assume(not close_maximum)
    assert_exact(world)


@settings(THOROUGH, max_examples=15)
@given(world=worlds(models=LEAKY))
def test_leaky_neurons_have_the_spikes_and_gradients_of_torch(world: World) -> None:
    assert_exact(world)


def assert_exact(world: World) -> None:
    """Require torch's spikes, and its loss and gradients in float64 to 1e-9."""
    trainer = EventTrainer(world.experiment, world.shape, dtype=np.float64)
    gradient, loss = trainer.gradient(world.params, world.events, world.samples)
    spikes = trainer.hidden_spikes(world.params, world.events, world.samples)
    expected = oracle(world)
    for ours, theirs in zip(spikes, expected.spikes, strict=True):
        assert_array_equal(ours, theirs)
    assert loss == pytest.approx(expected.loss, rel=1e-9)
    assert gradient.shape == world.params.shape
    assert largest_difference(world, gradient, expected) <= 1e-9


def test_batches_without_ties_agree_to_1e_4_in_float32(capsys: pytest.CaptureFixture[str]) -> None:
    """A tie is a voltage within 1e-5 of the threshold; they are at most 1e-4 of neuron-steps."""
    counted = {"ties": 0, "steps": 0, "batches": 0, "compared": 0}
    worst = 0.0

    @THOROUGH
    @given(world=worlds(np.float32))
    def compare(world: World) -> None:
        nonlocal worst
        ties, steps, close_maximum = count_ties(world, TIE)
        counted["ties"] += ties
        counted["steps"] += steps
        counted["batches"] += 1
        if ties or close_maximum:
            return
        counted["compared"] += 1
        trainer = EventTrainer(world.experiment, world.shape, dtype=np.float32)
        params = world.params.astype(np.float32)
        gradient, loss = trainer.gradient(params, world.events, world.samples)
        spikes = trainer.hidden_spikes(params, world.events, world.samples)
        expected = oracle(world)
        for ours, theirs in zip(spikes, expected.spikes, strict=True):
            assert_array_equal(ours, theirs)
        assert loss == pytest.approx(expected.loss, rel=1e-5)
        difference = largest_difference(world, gradient, expected)
        worst = max(worst, difference)
        assert difference <= 1e-4

    compare()
    rate = counted["ties"] / counted["steps"]
    with capsys.disabled():
        print(f"\n  ties: {rate:.1e} of {counted['steps']} neuron-steps; {counted['compared']} of "
              f"{counted['batches']} batches compared, gradients within {worst:.1e}")  # fmt: skip
    assert rate <= 1e-4
    assert counted["compared"] > counted["batches"] / 2


def test_a_tanh_keeps_its_digits_far_from_the_threshold() -> None:
    """There it is 5e-4, and 1 - tanh^2 in float32 would have four digits left."""
    tables = {
        "data": {"duration": 0.01, "num_bins": 1},
        "model": {"hidden": [5, 1], "neuron": "if", "threshold": 1.5, "surrogate": "tanh",
                  "surrogate_slope": 3.0},
    }  # fmt: skip
    settings = Experiment.model_validate(tables)
    events = events_of(np.ones((3, 1, 4), np.int64), np.array([0, 1, 1]), 2, counts=False)
    trainer = EventTrainer(settings, shape_of(events), dtype=np.float32)
    # no neuron of the first layer spikes: the second one stays at rest
    params = np.linspace(0.1, 0.3, trainer.layout.size).astype(np.float32)
    world = World(settings, trainer.layout, params.astype(np.float64), events, np.arange(3), [])
    gradient, _ = trainer.gradient(params, events, world.samples)
    expected = oracle(world)
    first = next(part for name, part, _ in world.layout.slices() if name == "hidden0.input")
    assert np.abs(expected.gradient[first]).max() > 0
    assert not expected.spikes[0].any()
    assert largest_difference(world, gradient, expected) <= 1e-6


# --- whole local trainings, against the norse engine ----------------------------------------------

TRAININGS = {
    "adam": {},
    "adam with weight decay": {"client": {"weight_decay": 0.05}},
    "sgd": {"client": SGD},
    "sgd with momentum": {"client": SGD | {"momentum": 0.9}},
    "sgd with momentum and weight decay": {"client": SGD | {"momentum": 0.5, "weight_decay": 0.05}},
    "proximal": {"client": SGD | {"proximal": 0.8}},
    "proximal with adam": {"client": {"proximal": 0.8}},
    "clipped": {"client": SGD | {"clip_norm": 0.05}},
    "everything": {
        "client": SGD | {"momentum": 0.5, "weight_decay": 0.05, "proximal": 0.5, "clip_norm": 0.1}
    },
    "rate penalties": {"client": SGD | {"rate_lower": 0.1, "rate_upper": 0.15}},
    "time jitter": {"client": SGD, "data": {"time_jitter": 0.03}},
    "channel jitter": {"client": SGD, "data": {"channel_jitter": 3}},
    "drop": {"client": SGD, "data": {"drop": 0.3}},
    "all augmentation": {
        "client": SGD,
        "data": {"time_jitter": 0.03, "channel_jitter": 3, "drop": 0.3},
        "model": {"init_scale": 5.0},
    },
    "steps beyond an epoch": {"client": SGD | {"epochs": None, "steps": 7}},
    "fewer steps than an epoch": {"client": SGD | {"epochs": None, "steps": 2}},
    "batches of one": {"client": SGD | {"batch_size": 1, "epochs": 1, "learning_rate": 0.05}},
    "one batch of all": {"client": SGD | {"batch_size": 64}},
    "schedule": {"client": SGD | {"schedule": "cosine", "schedule_rounds": 4}},
    "recurrent layers": {"model": {"hidden": [24, 17], "recurrent": True}, "client": SGD},
    "adaptive, maximum": {"model": {"neuron": "alif", "readout": "max"}, "client": SGD},
    "integrate and fire, last bin": {
        "model": {"neuron": "if", "readout": "last", "init_scale": 2.0},
        "client": SGD,
    },
    "leaky, mean current": {
        "model": {"neuron": "leaky", "readout": "current", "surrogate_scale": 0.5},
        "client": SGD,
    },
}


@pytest.mark.parametrize("name", TRAININGS)
def test_local_training_gives_the_norse_engines_updates(name: str) -> None:
    """Three rounds, each from where norse's mean update has led; every client, one by one."""
    ours, theirs = (experiment(engine, **TRAININGS[name]) for engine in ("event", "norse"))
    events, params = samples(), start(theirs)
    trainers = trainer_of(ours), trainer_of(theirs)
    for round_index in range(3):
        mine, expected = (
            list(trainer.train(params, events, clients(), round_index)) for trainer in trainers
        )
        for update, reference in zip(mine, expected, strict=True):
            assert_same_update(update, reference)
            assert 0.01 <= reference.hidden_rate <= 0.3
        params = params + np.mean([update.delta for update in expected], axis=0)


def test_counts_weigh_the_input_in_training() -> None:
    rng = np.random.default_rng(4)
    values = (rng.random((60, 20, 30)) < 0.1) * rng.integers(1, 5, (60, 20, 30))
    counted = events_of(values, rng.integers(0, 5, 60), 5, counts=True)
    binary = dataclasses.replace(counted, counts=None)
    tables = {"client": SGD, "data": {"counts": True}}
    for augmentation in ({}, {"channel_jitter": 3, "drop": 0.2}):
        tables["data"] |= augmentation
        ours, theirs = (experiment(engine, **tables) for engine in ("event", "norse"))
        params = start(theirs)
        mine, expected, other = (
            next(trainer_of(settings).train(params, events, clients(), 0))
            for settings, events in ((ours, counted), (theirs, counted), (ours, binary))
        )
        assert_same_update(mine, expected)
        assert np.abs(mine.delta - other.delta).max() > 1e-3


@pytest.mark.parametrize("model", [{}, {"hidden": [24, 17], "recurrent": True, "readout": "max"}])
def test_evaluation_gives_the_norse_engines_losses_predictions_and_spikes(
    model: dict[str, object],
) -> None:
    ours, theirs = (experiment(engine, model=model) for engine in ("event", "norse"))
    events, params = samples(), start(theirs)
    for ids in (np.arange(60)[::-1], np.array([5, 3, 40]), np.array([17])):
        mine, expected = (
            trainer_of(settings).evaluate(params, events, ids) for settings in (ours, theirs)
        )
        assert_allclose(mine.losses, expected.losses, rtol=1e-5, atol=1e-6)
        assert mine.losses.dtype == np.float64
        assert_array_equal(mine.predictions, expected.predictions)
        assert_array_equal(mine.spikes, expected.spikes)
        spikes, layers = (
            trainer_of(settings).hidden_spikes(params, events, ids) for settings in (ours, theirs)
        )
        for layer, reference in zip(spikes, layers, strict=True):
            assert layer.dtype == np.bool_
            assert_array_equal(layer, reference)
        assert [layer.sum() for layer in spikes] == mine.spikes.tolist()


# --- the same bits --------------------------------------------------------------------------------


def bits(updates: list[LocalUpdate]) -> list[tuple[bytes, float, float]]:
    return [(update.delta.tobytes(), update.loss, update.hidden_rate) for update in updates]


VARIED = {
    "model": {"hidden": [24, 17], "recurrent": True},
    "data": {"time_jitter": 0.03, "drop": 0.3},
}


PATHS = {
    "recurrent": VARIED,
    "all bins in one call": {"data": VARIED["data"]},
    "adaptive, full reset": {"model": {"neuron": "alif", "reset_gradient": "full"}},
    "several layers": {"model": {"hidden": [24, 17]}},
    "maximum": {"model": {"readout": "max"}},
    "tanh": {"model": {"surrogate": "tanh"}},
    "rate penalties": {"client": SGD | {"rate_lower": 0.1, "rate_upper": 0.15}},
}


SCRATCH = (  # what a call must not read before it writes
    *("weights", "first", "second", "trace", "voltages", "current", "voltage", "level", "spike"),
    *("derivative", "summed", "logits", "outputs", "losses"),
)


def settings_of(path: str, **client: int) -> Experiment:
    tables = PATHS[path]
    return experiment("event", **tables | {"client": tables.get("client", {}) | client})


@pytest.mark.parametrize("path", PATHS)
def test_any_number_of_threads_gives_the_same_bits(path: str) -> None:
    results = []
    for threads in (1, 2, 3):
        settings = settings_of(path, threads=threads, epochs=4)
        params = start(settings)
        for _ in range(3):
            results.append(bits(list(trainer_of(settings).train(params, samples(), clients(), 1))))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("path", PATHS)
def test_a_clients_bits_do_not_depend_on_who_is_trained_with_it_or_before_it(path: str) -> None:
    settings = settings_of(path, threads=2)
    params, trainer, events = start(settings), trainer_of(settings), samples()
    together = bits(list(trainer.train(params, events, clients(), 1)))
    backwards = bits(list(trainer.train(params, events, clients()[::-1], 1)))
    alone = [bits(list(trainer.train(params, events, [one], 1)))[0] for one in clients()]
    assert together == backwards[::-1] == alone


@pytest.mark.parametrize("path", PATHS)
def test_what_a_work_space_held_before_does_not_matter(path: str) -> None:
    settings = settings_of(path)
    params, trainer, events = start(settings), trainer_of(settings), samples()
    first = bits(list(trainer.train(params, events, clients(), 1)))
    losses = trainer.evaluate(params, events, np.arange(40)).losses.tobytes()
    for work in trainer._spare:
        for name in SCRATCH:
            getattr(work, name)[:] = np.nan
    assert bits(list(trainer.train(params, events, clients(), 1))) == first
    assert trainer.evaluate(params, events, np.arange(40)).losses.tobytes() == losses


@pytest.mark.parametrize("path", ["all bins in one call", "adaptive, full reset", "rate penalties"])
def test_one_sample_at_once_gives_the_bits_of_several(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One at once are samples whose trace is large; their number is that of the plan."""
    results = []
    for most, rows in ((event_plan._LARGE_TRACE, 4), (0, 1)):
        monkeypatch.setattr(event_plan, "_LARGE_TRACE", most)
        settings = settings_of(path)
        params, trainer, events = start(settings), trainer_of(settings), samples()
        assert trainer._network.plan.rows == rows
        updates = bits(list(trainer.train(params, events, clients(), 1)))
        found = trainer.evaluate(params, events, np.arange(41))
        (spikes,) = trainer.hidden_spikes(params, events, np.arange(41))
        results.append((updates, found.losses.tobytes(), found.spikes.tolist(), spikes.tobytes()))
    assert results[0] == results[1]


def test_what_is_compiled_beforehand_is_what_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = []
    monkeypatch.setattr(event_training, "prepare", lambda *calls: prepared.extend(calls))
    settings = experiment("event", client={"epochs": 1})
    params, trainer = start(settings), trainer_of(settings)
    list(trainer.train(params, samples(), clients()[:1], 0))
    trainer.evaluate(params, samples(), np.arange(3))
    assert len(prepared) == 3
    for kernel, arguments in prepared:
        assert tuple(map(numba.typeof, arguments)) in kernel.signatures


def test_a_samples_evaluation_does_not_depend_on_the_other_trainings_of_its_trainer() -> None:
    settings = experiment("event", **VARIED)
    params, trainer, events = start(settings), trainer_of(settings), samples()
    first = trainer.evaluate(params, events, np.arange(40))
    kept = params.tobytes()
    list(trainer.train(params, events, clients(), 0))
    second = trainer.evaluate(params, events, np.arange(40))
    assert params.tobytes() == kept
    assert first.losses.tobytes() == second.losses.tobytes()
    assert first.spikes.tolist() == second.spikes.tolist()
