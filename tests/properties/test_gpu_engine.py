"""The GPU engine computes what torch autograd and the other engines compute, in the same bits.

Without a GPU Triton's interpreter runs the kernels, one program after the other: small worlds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

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
from event_worlds import World, count_ties, events_of, largest_difference, oracle, worlds
from gpu_place import DEVICE
from hypothesis import HealthCheck, given, settings
from numpy.testing import assert_allclose, assert_array_equal

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.gpu.training import GpuTrainer
from hpcfed.learning.trainer import LocalUpdate
from hpcfed.samples.samples import Shape

TIE = 1e-5
one_epoch = partial(experiment, epochs=1)

# --- one batch, against torch autograd in float64 -------------------------------------------------


@pytest.mark.timeout(1200)  # a GPU compiles kernels for each network
def test_batches_without_ties_agree_with_the_oracle_to_1e_3(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Any network, 1 to 20 % of each layer's neurons spiking; spikes are identical."""
    compared, batches, worst = 0, 0, 0.0
    tied, steps = 0, 0

    @settings(
        max_examples=8,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    @given(world=worlds(np.float32))
    def compare(world: World) -> None:
        nonlocal compared, batches, worst, tied, steps
        ties, chances, close_maximum = count_ties(world, TIE)
        batches, tied, steps = batches + 1, tied + ties, steps + chances
        if ties or close_maximum:
            return
        compared += 1
        trainer, params = gpu(world.experiment, world.shape), world.params.astype(np.float32)
        gradient, loss = trainer.gradient(params, world.events, world.samples)
        spikes = trainer.hidden_spikes(params, world.events, world.samples)
        expected = oracle(world)
        for ours, theirs in zip(spikes, expected.spikes, strict=True):
            assert_array_equal(ours, theirs)
        assert loss == pytest.approx(expected.loss, rel=1e-5)
        worst = max(worst, largest_difference(world, gradient, expected))
        assert worst <= 1e-3

    compare()
    with capsys.disabled():
        print(f"\n  ties: {tied / steps:.1e} of {steps} neuron-steps; {compared} of {batches} "
              f"batches compared, gradients within {worst:.1e}")  # fmt: skip
    assert tied / steps <= 1e-4
    assert compared > batches / 2


def test_layers_beyond_128_neurons_agree_although_their_weights_are_read_in_every_bin() -> None:
    """196 recurrent neurons: rows of the matrix come in turns, some of them beyond its end."""
    tables = {
        "model": {"hidden": [196], "recurrent": True, "init_scale": 5.0},
        "client": SGD | {"batch_size": 18},
        "data": {"duration": 0.08, "num_bins": 8},
    }
    ours, theirs = (one_epoch(engine, **tables) for engine in ("gpu", "norse"))
    events, params = samples(num_bins=8), start(theirs)
    ids = np.arange(18)
    mine, expected = (
        trainer.evaluate(params, events, ids) for trainer in (gpu(ours), trainer_of(theirs))
    )
    assert 0.01 < expected.spikes[0] / (18 * 8 * 196) < 0.2
    assert_array_equal(mine.spikes, expected.spikes)
    one = [Client(0, ids)]
    (update,), (reference,) = (
        list(trainer.train(params, events, one, 0)) for trainer in (gpu(ours), trainer_of(theirs))
    )
    assert_same_update(update, reference)


# --- whole local trainings, against the norse engine ----------------------------------------------

TRAININGS = {
    "adam with weight decay": {"client": {"weight_decay": 0.05}},
    "sgd": {"client": SGD},
    "everything": {
        "client": SGD | {"momentum": 0.5, "weight_decay": 0.05, "proximal": 0.5, "clip_norm": 0.1}
    },
    "rate penalties": {"client": SGD | {"rate_lower": 0.1, "rate_upper": 0.15}},
    "all augmentation": {
        "client": SGD | {"schedule": "cosine", "schedule_rounds": 4},
        "data": {"time_jitter": 0.03, "channel_jitter": 3, "drop": 0.3},
        "model": {"init_scale": 5.0},
    },
    "steps beyond an epoch": {"client": SGD | {"epochs": None, "steps": 4}},
    "recurrent layers": {"model": {"hidden": [24, 17], "recurrent": True}, "client": SGD},
    "adaptive, maximum": {
        "model": {"neuron": "alif", "readout": "max", "reset_gradient": "full"},
        "client": SGD,
    },
    "integrate and fire, last bin": {
        "model": {"neuron": "if", "readout": "last", "init_scale": 2.0},
        "client": SGD,
    },
}


SHAPE = Shape((30,), 5)


def gpu(settings: Experiment, shape: Shape = SHAPE, most_clients: int | None = None) -> GpuTrainer:
    return GpuTrainer(settings, shape, DEVICE, most_clients)


@pytest.mark.parametrize("name", TRAININGS)
def test_local_training_gives_the_norse_engines_updates(name: str) -> None:
    """Of clients that are padded to the largest, in slots and in steps."""
    ours, theirs = (one_epoch(engine, **TRAININGS[name]) for engine in ("gpu", "norse"))
    events, params = samples(), start(theirs)
    mine, expected = (
        list(trainer.train(params, events, clients(), 1))
        for trainer in (gpu(ours), trainer_of(theirs))
    )
    for update, reference in zip(mine, expected, strict=True):
        assert_same_update(update, reference)
        assert 0.01 <= reference.hidden_rate <= 0.3


def test_counts_weigh_the_input_in_training_and_under_augmentation() -> None:
    rng = np.random.default_rng(4)
    values = (rng.random((60, 20, 30)) < 0.1) * rng.integers(1, 5, (60, 20, 30))
    counted = events_of(values, rng.integers(0, 5, 60), 5, counts=True)
    binary = dataclasses.replace(counted, counts=None)
    tables = {"client": SGD, "data": {"counts": True, "channel_jitter": 3, "drop": 0.2}}
    ours, theirs = (one_epoch(engine, **tables) for engine in ("gpu", "norse"))
    params, one = start(theirs), clients()[1:2]
    mine, expected, other = (
        next(iter(trainer.train(params, events, one, 0)))
        for trainer, events in ((gpu(ours), counted), (trainer_of(theirs), counted),
                                (gpu(ours), binary))
    )  # fmt: skip
    assert_same_update(mine, expected)
    assert np.abs(np.asarray(mine.delta) - np.asarray(other.delta)).max() > 1e-3


@pytest.mark.parametrize("model", [{}, {"hidden": [24, 17], "recurrent": True, "readout": "max"}])
def test_evaluation_gives_the_norse_engines_losses_predictions_and_spikes(
    model: dict[str, object],
) -> None:
    ours, theirs = (one_epoch(engine, model=model) for engine in ("gpu", "norse"))
    events, params, trainer = samples(), start(theirs), gpu(ours)
    for ids in (np.arange(60)[::-1], np.array([5, 3, 40]), np.array([17, 2, 9])):
        mine = trainer.evaluate(params, events, ids)
        expected = trainer_of(theirs).evaluate(params, events, ids)
        assert_allclose(mine.losses, expected.losses, rtol=1e-5, atol=1e-6)
        assert mine.losses.dtype == np.float64
        assert_array_equal(mine.predictions, expected.predictions)
        assert_array_equal(mine.spikes, expected.spikes)
        spikes = trainer.hidden_spikes(params, events, ids)
        layers = trainer_of(theirs).hidden_spikes(params, events, ids)
        for layer, reference in zip(spikes, layers, strict=True):
            assert layer.dtype == np.bool_
            assert_array_equal(layer, reference)
        assert [layer.sum() for layer in spikes] == mine.spikes.tolist()


# --- the same bits --------------------------------------------------------------------------------

SMALL = {
    "model": {"hidden": [9], "recurrent": True, "init_scale": 6.0},
    "client": SGD | {"batch_size": 4, "clip_norm": 0.5, "rate_lower": 0.1},
    "data": {"duration": 0.04, "num_bins": 4},
}


def bits(updates: Sequence[LocalUpdate]) -> list[tuple[bytes, float, float, float]]:
    """Return all that a federation takes of updates, a norm and a loss included."""
    found = []
    for update in updates:
        delta = update.delta
        assert not isinstance(delta, np.ndarray)
        found.append((np.asarray(delta).tobytes(), delta.norm(), update.loss, update.hidden_rate))
    return found


def many_clients(count: int = 16) -> list[Client]:
    """Return clients of one to five samples: batches of four, some of them short."""
    rng = np.random.default_rng(5)
    sizes = [1 + k % 4 + (k % 16 == 3) for k in range(count)]
    return [Client(3 * k, rng.permutation(60)[:size]) for k, size in enumerate(sizes)]


def test_groups_of_one_of_seven_and_of_all_clients_give_the_same_bits() -> None:
    settings, events = one_epoch("gpu", **SMALL), samples(num_bins=4)
    params = start(one_epoch("norse", **SMALL))
    count = 16 if DEVICE == "cpu" else 64  # the interpreter takes one program after the other
    results = [
        bits(list(gpu(settings, most_clients=most).train(params, events, many_clients(count), 2)))
        for most in (1, 7, count)
    ]
    # some have one sample, the same one
    assert len({delta for delta, *_ in results[0]}) >= count * 15 // 16
    assert 0.01 < np.mean([rate for *_, rate in results[0]]) < 0.3
    assert results[0] == results[1] == results[2]


def test_a_clients_bits_do_not_depend_on_who_is_trained_with_it_or_before_it() -> None:
    settings, events = one_epoch("gpu", **SMALL), samples(num_bins=4)
    params, trainer = start(one_epoch("norse", **SMALL)), gpu(settings)
    some = many_clients()[4:9]
    together = bits(list(trainer.train(params, events, some, 1)))
    assert bits(list(trainer.train(params, events, some, 1))) == together
    backwards = bits(list(trainer.train(params, events, some[::-1], 1)))
    alone = [bits(list(gpu(settings).train(params, events, [one], 1)))[0] for one in some]
    assert together == backwards[::-1] == alone


def test_a_client_of_few_samples_is_not_changed_by_padding_to_a_larger_one() -> None:
    """Batches of four in a block of sixteen slots, or beside a client whose batches need 48."""
    tables = SMALL | {"client": {"batch_size": 40}}
    settings, events = one_epoch("gpu", **tables), samples(num_bins=4)
    params = start(one_epoch("norse", **tables))
    few, many = Client(1, np.arange(4)), Client(2, np.arange(10, 50))
    (alone,) = bits(list(gpu(settings).train(params, events, [few], 0)))
    beside, _ = bits(list(gpu(settings).train(params, events, [few, many], 0)))
    assert alone == beside


def test_augmentation_has_the_same_bits_in_any_group() -> None:
    tables = SMALL | {"data": SMALL["data"] | {"time_jitter": 0.02, "drop": 0.3}}
    settings, events = one_epoch("gpu", **tables), samples(num_bins=4)
    params, some = start(one_epoch("norse", **tables)), many_clients()[2:6]
    results = [
        bits(list(gpu(settings, most_clients=most).train(params, events, some, 2)))
        for most in (1, 3)
    ]
    assert results[0] == results[1]


def test_evaluation_and_training_do_not_disturb_each_other() -> None:
    settings, events = one_epoch("gpu", **SMALL), samples(num_bins=4)
    params, trainer = start(one_epoch("norse", **SMALL)), gpu(settings)
    first = trainer.evaluate(params, events, np.arange(20))
    kept = params.tobytes()
    update = bits(list(trainer.train(params, events, many_clients()[8:10], 0)))
    second = trainer.evaluate(params, events, np.arange(20))
    assert params.tobytes() == kept
    assert first.losses.tobytes() == second.losses.tobytes()
    assert first.spikes.tolist() == second.spikes.tolist()
    assert bits(list(trainer.train(params, events, many_clients()[8:10], 0))) == update
