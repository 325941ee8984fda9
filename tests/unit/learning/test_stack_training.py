"""Stacks of layers train and are evaluated as autograd's, with the same bits in any company."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any  # a kernel

import numba
import numpy as np
import pytest
from stack_worlds import (
    assert_same_evaluation,
    assert_same_gradient,
    sensed,
    shaken,
    with_teacher,
)
from tiny_images import images, settings

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.learning.autograd.training import NorseTrainer
from hpcfed.learning.engines import make_trainer, resolve_engine
from hpcfed.learning.stack import plan as stack_plan
from hpcfed.learning.stack import training as stack_training
from hpcfed.learning.stack.memory import make_work
from hpcfed.learning.stack.training import StackTrainer
from hpcfed.learning.stack.work import Work
from hpcfed.learning.trainer import LocalUpdate
from hpcfed.networks.network import build_network
from hpcfed.samples.events import EventSet
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import shape_of

Tables = dict[str, dict[str, object]]
JOBS = Path(__file__).parents[3] / "jobs"
TRIANGLE = {"surrogate_scale": None, "init_scale": 6.0}
LEAKS = TRIANGLE | {"tau_mem": 0.02, "tau_syn": 0.02, "readout": "mean"}

pytestmark = pytest.mark.timeout(900)  # the first test compiles kernels


def model(*hidden: object, **keys: object) -> Tables:
    return {"model": {"hidden": list(hidden)} | keys}


# --- gradients ------------------------------------------------------------------------------------

IMAGES = {
    "no norm": model("8c3", 12, norm=None, init_scale=3.0),
    "bntt": model("8c3", "20c3", "p2", 12),
    "batch, shifted": model("8c3", "m2", "20c3", "p2", 12, norm="batch", norm_shift=True),
    "tebn, shifted": model("8c3", "m2", "20c3s2", "p", 12, 7, norm="tebn", norm_shift=True),
    "tebn": model("8c3", "p2", 7, norm="tebn"),
    "group, shifted": model("8c3", "m2", "20c5p1", "p2", 12, norm="group", norm_shift=True),
    "odd groups": model("7c3", "m2", "21c5p1", "p", 5, norm="group"),
    "groups": model("8c3", "p2", "8c3g2", "72c3s2g4", 7),
    "depthwise": model("6c3", "6c3g6", "20c1", 7),
    "dense layers without norm": model("8c3", 12, 7, norm_dense=False),
    "norms that stay": model("8c3", "p2", 7, norm="batch", norm_federate="local"),
    "lif": model(
        "8c3", "p2", 12, neuron="lif", surrogate="superspike", surrogate_slope=10.0, **LEAKS
    ),
    "lif, full": model("8c3", "p2", 12, neuron="lif", reset_gradient="full", **LEAKS),
    "alif, tanh, last bin": model(
        "8c3", "p2", 12, neuron="alif", surrogate="tanh", reset_gradient="full",
        **LEAKS | {"readout": "last"},
    ),
    "alif": model("8c3", "m2", 12, neuron="alif", **LEAKS),
    "integrate and fire": model("8c3", "p2", 12, neuron="if", reset_gradient="full"),
    "superspike, scaled": model("8c3", "p2", 12, surrogate="superspike", surrogate_slope=3.0),
    "reset to zero, full": model("8c3", "p2", "16c3", 12, reset="zero", reset_gradient="full"),
    "reset to zero": model("8c3", "m2", 12, reset="zero", leak=0.8, threshold=0.7),
    "no reset": model("8c3", "p2", "16c3", 12, reset="none"),
    "firing first": model("8c3", "p2", "16c3", 12, fire_first=True, reset="zero"),
    "firing first, full": model("8c3", "p2", "16c3", 12, fire_first=True, reset_gradient="full"),
    "one bin": model("8c3", "p2", "16c3", 12) | {"data": {"num_bins": 1}},
    "one bin, firing first": model("8c3", 12, fire_first=True) | {"data": {"num_bins": 1}},
    "dense": model(12, 7),
    "dense, wide": model(600, 70),
    "direct": model("8c3s3p2", "16c1", 12, 7) | {"data": {"encoder": "direct"}},
    "direct, maximum first": model("m2", "8c3", 7) | {"data": {"encoder": "direct"}},
    "direct, average first": model("p2", "8c3", 7) | {"data": {"encoder": "direct"}},
    "poisson": model("8c3s3p2", "m2", "16c1", 12) | {"data": {"encoder": "poisson"}},
    "poisson, maximum first": model("m3", "8c3", 12) | {"data": {"encoder": "poisson"}},
    "signed, maximum first": model("m2", "8c3", 12),
    "pools one after the other": model("8c3", "p2", "m2", 12),
    "pools that leave a rim": model("8c2p0", "p2", "8c3", "m2", 12),
    "global pool last": model("8c3", "16c3", "p"),
    "average pool last": model("8c3", "16c3", "p2"),
    "a convolution last": model("8c3", "5c3"),
    "dropout": model("8c3", "d0.3", "16c3", "p2", "d0.5", 12),
    "dropout of the input": model("d0.2", "8c3", "p2", "d0.5", "m2", 12),
    "dropout last": model("8c3", "m2", 12, "d0.5"),
    "rate penalty": model("8c3", "16c3", 12)
    | {"client": {"rate_lower": 0.1, "rate_upper": 0.2, "rate_strength": 3.0}},
    "rate penalty, firing first": model("8c3", "16c3", 12, fire_first=True)
    | {"client": {"rate_lower": 0.1, "rate_upper": 0.2, "rate_strength": 3.0}},
    "wide": model("70c3", "m2", "80c3", "p2", 100),
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_gradients_of_images_are_autograds(name: str) -> None:
    shape = (3, 8, 8) if name == "wide" else (1, 8, 8)
    spikes = assert_same_gradient(settings("event", **IMAGES[name]), images(4, shape))
    assert spikes[0] > 0 or name == "one bin, firing first"


FAR_OFF = {
    "one to four registers": model("8c3", "20c3", "36c3", "70c3", 9),
    "stride, no border, wide border": model("20c3", "8c3s2p0", "8c3p2", 9),
    "firing first, full": model("20c3", "8c3", fire_first=True, reset_gradient="full"),
    "alif": model("20c3", "8c3", neuron="alif", **LEAKS),
    "rate penalty": model("8c3", "16c3")
    | {"client": {"rate_lower": 0.1, "rate_upper": 0.2, "rate_strength": 3.0}},
}


@pytest.mark.parametrize("name", FAR_OFF)
@pytest.mark.parametrize("share", [0.0, 2.0], ids=["all", "those with a slope"])
def test_gradients_of_spikes_are_of_all_or_of_those_neurons_that_have_a_slope(
    name: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The surrogate of the others is zero; a share of slopes decides which."""
    monkeypatch.setattr(stack_plan, "_MARKED", (share,) * 4)
    experiment, shown = settings("event", **FAR_OFF[name]), images(3, (2, 7, 5))
    stack = StackTrainer(experiment, shape_of(shown))._network.stack  # the test looks inside
    assert stack.marks.max() >= 0
    assert set(stack.switches[:, 2]) == {share}
    assert_same_gradient(experiment, shown)


@pytest.mark.parametrize("shape", [(2, 7, 5), (1, 1, 1), (3, 1, 9), (3, 17, 2)])
def test_gradients_of_odd_sizes_are_autograds(shape: tuple[int, int, int]) -> None:
    odd = settings("event", **model("5c2", "16c4s2p3", "33c3", 10))
    assert_same_gradient(odd, images(3, shape))


@pytest.mark.parametrize("number", [1, 2, 13])
def test_gradients_of_any_batch_are_autograds(number: int) -> None:
    assert_same_gradient(settings("event"), images(number))


def test_gradients_beside_a_teacher_are_autograds() -> None:
    client = {"teacher": "runs/one.h5", "teacher_weight": 0.7, "teacher_temperature": 3.0}
    taught = settings("event", client=client)
    assert_same_gradient(taught, with_teacher(images(5)))


SENSED = {
    "binary": model("8c3", "p2", 9),
    "counts": model("8c3", "p2", 9) | {"data": {"counts": True}},
    "maximum first": model("m2", "8c3", 9) | {"data": {"counts": True}},
    "dense with norms": model(20, 9) | {"data": {"counts": True}},
}


def sensor(name: str, engine: str = "event", **tables: dict[str, object]) -> Experiment:
    found = {key: dict(value) for key, value in SENSED[name].items()}
    found["data"] = {"dataset": "tonic:nmnist"} | found.get("data", {}) | tables.pop("data", {})
    return settings(engine, **found | tables)


@pytest.mark.parametrize("name", SENSED)
def test_gradients_of_a_sensors_events_are_autograds(name: str) -> None:
    assert_same_gradient(sensor(name), sensed(4, 4, counts=name != "binary"))


@pytest.mark.parametrize("hidden", [["6c3"], [11], ["17c3s2"]])
def test_gradients_of_one_layer_are_within_1e_5_in_float32(hidden: list[object]) -> None:
    """One layer: in a second one a potential next to the threshold may spike in one of them."""
    for norm in (None, "bntt", "group"):
        single = settings("event", model={"hidden": hidden, "norm": norm, "init_scale": 3.0})
        assert_same_gradient(single, images(4), np.float32, 1e-5)


# --- evaluation -----------------------------------------------------------------------------------


def pair(experiment: Experiment, samples: ImageSet | EventSet) -> tuple[StackTrainer, NorseTrainer]:
    shape = shape_of(samples)
    theirs = NorseTrainer(experiment, build_network(experiment, shape))
    return StackTrainer(experiment, shape), theirs


EVALUATED = (
    "no norm", "bntt", "batch, shifted", "tebn, shifted", "group, shifted", "lif", "alif",
    "firing first", "one bin", "direct", "poisson", "dropout", "dropout last",
    "signed, maximum first", "pools that leave a rim",
)  # fmt: skip


@pytest.mark.parametrize("name", EVALUATED)
def test_evaluation_is_norses(name: str) -> None:
    experiment, samples = settings("event", **IMAGES[name]), images(11, (1, 8, 8))
    ours, theirs = pair(experiment, samples)
    assert_same_evaluation(ours, theirs, shaken(experiment, ours.layout), samples)


def test_evaluation_of_a_sensors_events_is_norses() -> None:
    experiment, samples = sensor("counts"), sensed(9, 4)
    ours, theirs = pair(experiment, samples)
    assert_same_evaluation(ours, theirs, shaken(experiment, ours.layout), samples)


def test_trainers_say_the_same_of_their_network() -> None:
    for name in ("bntt", "pools that leave a rim", "dense"):
        ours, theirs = pair(settings("event", **IMAGES[name]), images(2, (1, 8, 8)))
        assert ours.layout == theirs.layout
        assert ours.layers == theirs.layers
        assert ours.products == theirs.products
        assert ours.operations(0) == theirs.operations(0)


# --- whole trainings ------------------------------------------------------------------------------

TWO = {"epochs": None, "steps": 2}
TRAININGS = {
    "momentum": {"client": TWO},
    "weight decay": {"client": TWO | {"momentum": 0.5, "weight_decay": 0.05}},
    "proximal": {"client": TWO | {"proximal": 0.8}},
    "clipped": {"client": TWO | {"clip_norm": 0.05}},
    "adam": {"client": TWO | {"optimizer": "adam", "learning_rate": 0.002, "momentum": None}},
    "cropped and flipped": {"client": TWO, "data": {"crop_padding": 2, "flip": True}},
    "direct": {"client": TWO, "data": {"encoder": "direct"}},
    "poisson": {"client": TWO, "data": {"encoder": "poisson"}},
    "whole batches": {"client": {"epochs": 1, "drop_last": True}},
    "tails": {"client": {"epochs": 1, "drop_last": False}},
    "dropout": {"client": TWO, "model": {"hidden": ["6c3", "d0.3", "p2", 9, "d0.5"]}},
    "batch": {"client": TWO, "model": {"norm": "batch", "norm_shift": True}},
    "tebn": {"client": TWO, "model": {"norm": "tebn"}},
    "group": {"client": TWO, "model": {"norm": "group"}},
    "no norm": {"client": TWO, "model": {"norm": None}},
    "frozen": {"client": TWO, "model": {"norm": "batch", "norm_freeze_after": 1}},
    "local": {"client": TWO, "model": {"norm_federate": "local"}},
    "groups": {
        "client": TWO | {"weight_decay": 0.05},
        "model": {"hidden": ["6c3", "p2", "6c3g3", 9]},
    },
    "lif": {"client": TWO, "model": {"neuron": "lif"} | LEAKS},
}


def clients() -> list[Client]:
    """Return clients of 9, 8 and 5 samples: whole batches of four, and tails of one."""
    ids = np.split(np.random.default_rng(1).permutation(22), [9, 17])
    return [Client(3 * index + 1, part) for index, part in enumerate(ids)]


def with_locals(trainer: StackTrainer, params: np.ndarray, some: list[Client]) -> list[Client]:
    kept = params[trainer.layout.num_shared :].astype(np.float32)
    return [Client(one.index, one.samples, local=kept) for one in some] if len(kept) else some


def assert_same_training(experiment: Experiment, samples: ImageSet | EventSet) -> None:
    """Require updates within 1e-4 of their norm, and the same spikes.

    Of two bins and steps: a potential within rounding of the threshold spikes in one engine alone,
    and each spike that differs makes others differ. There are few of them here, and none is close.
    """
    ours, theirs = pair(experiment, samples)
    params = shaken(experiment, ours.layout)
    some = with_locals(ours, params, clients())
    start = params.astype(np.float32)
    found, expected = (list(one.train(start, samples, some, 1)) for one in (ours, theirs))
    for mine, reference in zip(found, expected, strict=True):
        assert mine.hidden_rate == pytest.approx(reference.hidden_rate, rel=1e-12)
        assert mine.loss == pytest.approx(reference.loss, rel=1e-5)
        assert mine.activity is not None
        assert reference.activity is not None
        assert mine.activity.tolist() == reference.activity.tolist()
        for name in ("delta", "local"):
            one, other = (np.asarray(getattr(update, name)) for update in (mine, reference))
            assert one.dtype == np.float32
            assert one.shape == other.shape
            assert np.linalg.norm(one - other) <= 1e-4 * np.linalg.norm(other)
        assert np.linalg.norm(np.asarray(mine.delta)) > 0


def small(name: str, engine: str = "event", **client: object) -> Experiment:
    tables: Tables = {key: dict(value) for key, value in TRAININGS[name].items()}
    tables["model"] = {"hidden": ["6c3", "p2", 9]} | tables.get("model", {})
    tables["data"] = {"num_bins": 2} | tables.get("data", {})
    tables["client"] |= client
    return settings(engine, **tables)


@pytest.mark.parametrize("name", TRAININGS)
def test_local_training_is_norses(name: str) -> None:
    assert_same_training(small(name), images(22))


@pytest.mark.parametrize("name", SENSED)
@pytest.mark.parametrize("changes", [{}, {"time_jitter": 0.01, "channel_jitter": 2, "drop": 0.2}])
def test_local_training_on_a_sensors_events_is_norses(
    name: str, changes: dict[str, object]
) -> None:
    data = {"num_bins": 2, "duration": 0.02} | changes
    experiment = sensor(name, client=dict(TWO), data=data)
    assert_same_training(experiment, sensed(22, 2, counts=name != "binary"))


# --- the same bits --------------------------------------------------------------------------------


def bytes_of(array: object) -> bytes:
    return np.asarray(array).tobytes()


def bits(updates: list[LocalUpdate]) -> list[tuple[bytes, bytes, float, float]]:
    return [
        (
            np.asarray(one.delta).tobytes(),
            one.loss,
            one.hidden_rate,
            np.asarray(one.local).tobytes(),
        )
        for one in updates
    ]


SAME = ("cropped and flipped", "dropout", "group", "tails", "local")


@pytest.mark.parametrize("name", SAME)
def test_threads_orders_and_trainers_change_no_bit(name: str) -> None:
    samples, results = images(22), []
    for threads in (1, 2, 2):
        experiment = small(name, threads=threads)
        trainer, _ = pair(experiment, samples)
        params = shaken(experiment, trainer.layout)
        some = with_locals(trainer, params, clients())
        start = params.astype(np.float32)
        results.append(bits(list(trainer.train(start, samples, some, 1))))
        results.append(bits(list(trainer.train(start, samples, some[::-1], 1)))[::-1])
        results.append([bits(list(trainer.train(start, samples, [one], 1)))[0] for one in some])
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("name", ["bntt", "group, shifted", "direct", "dropout"])
def test_a_samples_evaluation_does_not_depend_on_the_others(name: str) -> None:
    experiment, samples = settings("event", **IMAGES[name]), images(19, (1, 8, 8))
    trainer, _ = pair(experiment, samples)
    params = shaken(experiment, trainer.layout).astype(np.float32)
    together = trainer.evaluate(params, samples, np.arange(19))
    assert together.logits is not None
    for ids in (np.arange(19)[::-1], np.array([17]), np.array([3, 18, 3, 0])):
        found = trainer.evaluate(params, samples, ids)
        assert found.logits is not None
        assert found.logits.tobytes() == together.logits[ids].tobytes()
        assert found.losses.tobytes() == together.losses[ids].tobytes()
        assert found.predictions.tolist() == together.predictions[ids].tolist()
    parts = [trainer.evaluate(params, samples, ids) for ids in np.split(np.arange(19), [5, 6])]
    assert np.sum([part.spikes for part in parts], 0).tolist() == together.spikes.tolist()


def test_what_a_work_space_held_before_changes_no_bit() -> None:
    for name in ("dropout", "group", "tebn"):
        experiment, samples = small(name), images(22)
        trainer, _ = pair(experiment, samples)
        start = shaken(experiment, trainer.layout).astype(np.float32)
        first = bits(list(trainer.train(start, samples, clients(), 1)))
        (work,) = trainer._spare
        for part in ("weights", "first", "second", "back", "values",
                     "traces", "summed", "logits", "slopes", "ordered",
                     "gains", "middles", "sums", "through", "moments", "mean"):  # fmt: skip
            getattr(work, part)[:] = np.nan
        assert bits(list(trainer.train(start, samples, clients(), 1))) == first


def test_what_is_compiled_beforehand_is_what_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of images that may be written or not, augmented or not, and of a sensor's events."""
    writable = replace(images(22), pixels=images(22).pixels.copy())
    worlds = [
        (small("momentum"), images(22)),
        (small("cropped and flipped"), images(22)),
        (small("cropped and flipped"), writable),
        (sensor("counts", data={"num_bins": 2}, client=dict(TWO)), sensed(22, 2)),
    ]
    kernels = stack_training.train_client, stack_training.evaluate_samples
    before = [set(kernel.signatures) for kernel in kernels]
    foreseen: list[tuple[Any, tuple[object, ...]]] = []
    monkeypatch.setattr(stack_training, "prepare", lambda *calls: foreseen.extend(calls))
    for experiment, samples in worlds:
        trainer, _ = pair(experiment, samples)
        start = shaken(experiment, trainer.layout).astype(np.float32)
        list(trainer.train(start, samples, clients(), 0))
        trainer.evaluate(start, samples, np.arange(3))
    for kernel, known in zip(kernels, before, strict=True):
        types = {tuple(map(numba.typeof, given)) for one, given in foreseen if one is kernel}
        assert types <= set(kernel.signatures) <= types | known


# --- memory ---------------------------------------------------------------------------------------


def allocated(work: Work) -> int:
    """Return the bytes of all arrays."""
    arrays = [one for one in work if isinstance(one, np.ndarray)] + list(work.row)
    return sum(array.nbytes for array in arrays)


@pytest.mark.parametrize("batch", [1, 8, 32])
@pytest.mark.parametrize(
    "hidden",
    [
        ["8c3", "p2", 9], ["64c3", "p2", "128c3", "p2", 256], [300, 200],
        ["3c1", "m2", "70c5", "p"],
        ["16c3", "d0.3", "16c3", "d0.5", 40], ["4c7s2p3", "128c1", 1000],
    ],
    ids=str,
)  # fmt: skip
def test_a_steps_bytes_are_those_that_are_allocated(hidden: list[object], batch: int) -> None:
    for norm in ("bntt", "group"):
        experiment = settings("event", model={"hidden": hidden, "norm": norm})
        trainer = StackTrainer(experiment, shape_of(images(1, (3, 32, 32), 10)))
        stack, lengths = trainer._network.stack, trainer._lengths
        real = allocated(make_work(stack, lengths, batch, np.float32, 0, True))
        assert real <= trainer.step_bytes(batch) <= 1.5 * real + (64 << 20)


# --- what is taken, and what is not ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("tables", "lack"),
    [
        (model("4c3", kind="ann", neuron="lif", surrogate="superspike"), 'model.kind = "ann"'),
        (model("4c3", surrogate="circ"), 'model.surrogate = "circ"'),
        (model("4c3", ["4c3"]), "residual blocks"),
        (model("4c3", ["repeat", "4c3"]), "repeated blocks"),
        (model("4x3"), "depthwise-separable convolutions"),
        (
            model("4c3", 9, recurrent=True),
            "recurrent weights beside convolutions, norms and images",
        ),
        (
            model("4c3", neuron="lif", **LEAKS | {"readout": "max"}),
            'model.readout = "max" for convolutions, norms and images',
        ),
    ],
)  # fmt: skip
def test_what_the_engine_lacks_is_refused_and_auto_takes_norse(tables: Tables, lack: str) -> None:
    expected = f'client.engine = "event" has no {lack}; set client.engine = "norse", or "auto"'
    with pytest.raises(InputError, match=re.escape(expected)):
        resolve_engine(settings("event", **tables))
    assert resolve_engine(settings("auto", **tables)) == "norse"


def test_auto_takes_the_stacks_of_the_jobs() -> None:
    for name in ("digits", "fedsnn"):
        experiment = parse_experiment((JOBS / f"{name}.toml").read_text(), [])
        assert resolve_engine(experiment) == "event"
    assert isinstance(make_trainer(settings("auto"), shape_of(images(1))), StackTrainer)


def test_groups_whose_zeros_would_be_multiplied_are_left_to_norse_unless_asked_for() -> None:
    assert resolve_engine(settings("auto", **model("4c3", "4c3g2"))) == "norse"
    assert resolve_engine(settings("event", **model("4c3", "4c3g2"))) == "event"
