"""Learning from a teacher's answers: the formula, its gradient, and nothing of it without one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from gpu_place import DEVICE
from numpy.testing import assert_allclose
from tiny_events import patterns

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.learning.autograd.training import NorseTrainer
from hpcfed.learning.engines import make_trainer
from hpcfed.learning.event.training import EventTrainer
from hpcfed.learning.gpu.training import GpuTrainer
from hpcfed.learning.rule import rule_of
from hpcfed.learning.trainer import Trainer
from hpcfed.networks.contract import Pass
from hpcfed.networks.layout import initial_params
from hpcfed.networks.network import build_network
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import shape_of

IDS = np.arange(3, 16)  # of 18 samples: no multiple of a kernel's rows
READOUTS = ("mean", "last", "max")


def settings(weight: float | None = 0.7, readout: str = "mean", **client: object) -> Experiment:
    """Return a network that spikes from the start; ``weight`` None: without a teacher."""
    teacher = {} if weight is None else {
        "teacher": "run.h5", "teacher_weight": weight, "teacher_temperature": 3.0,
    }  # fmt: skip
    return Experiment.model_validate(
        {
            "data": {"duration": 0.15, "num_bins": 15},
            "model": {"hidden": [12], "init_scale": 4.0, "readout": readout},
            "client": {"batch_size": 8, "learning_rate": 0.01, **teacher, **client},
            "seed": 3,
        }
    )


def samples(teacher: bool = True) -> EventSet:
    """Return events, with logits of a teacher; one class is impossible to it."""
    events = patterns(18)
    logits = np.random.default_rng(1).normal(0, 3, (18, 4)).astype(np.float32)
    logits[4, 2] = -1e30
    return replace(events, teacher=logits if teacher else None)


def start(experiment: Experiment, events: EventSet) -> np.ndarray:
    layout = EventTrainer(experiment, shape_of(events)).layout
    return initial_params(experiment.model, layout, 3)


def loss_by_hand(logits: np.ndarray, events: EventSet, experiment: Experiment) -> float:
    """Return the mean loss of ``logits`` (B, K) of IDS, as the formula is written."""
    weight, tau = experiment.client.distillation

    def softmax(z: np.ndarray) -> np.ndarray:
        powers = np.exp(z - z.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True)

    right = softmax(logits)[np.arange(len(IDS)), events.labels[IDS]]
    own, aim = softmax(logits / tau), softmax(events.teacher[IDS].astype(float) / tau)
    logs = np.where(aim > 0, np.log(np.where(aim > 0, aim, 1) / own), 0)
    divergence = (aim * logs).sum(1)
    return float(np.mean(-(1 - weight) * np.log(right) + weight * tau**2 * divergence))


@pytest.mark.parametrize("readout", READOUTS)
def test_the_event_engines_loss_and_gradient_are_those_of_the_formula(readout: str) -> None:
    """By central differences in the readout's weights, in which the loss is smooth."""
    experiment, events = settings(readout=readout), samples()
    trainer = EventTrainer(experiment, shape_of(events), np.float64)
    params = start(experiment, events).astype(np.float64)
    gradient, loss = trainer.gradient(params, events, IDS)
    found = trainer.evaluate(params, events, IDS)
    assert loss == pytest.approx(loss_by_hand(found.logits, events, experiment), rel=1e-12)
    for place in range(len(params) - 48, len(params), 7):
        step = np.zeros(len(params))
        step[place] = 1e-5
        ends = [trainer.gradient(params + way * step, events, IDS)[1] for way in (1, -1)]
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-9)


def test_the_norse_engines_loss_and_gradient_are_those_of_the_formula() -> None:
    """By central differences in all logits, in float64."""
    experiment, events = settings(engine="norse"), samples()
    trainer = make_trainer(experiment, shape_of(events))
    assert isinstance(trainer, NorseTrainer)
    logits = np.random.default_rng(0).normal(0, 2, (len(IDS), 4))
    leaf = torch.tensor(logits, requires_grad=True)
    loss = trainer._loss(events, IDS, leaf)
    assert loss.item() == pytest.approx(loss_by_hand(logits, events, experiment), rel=1e-7)
    (gradient,) = torch.autograd.grad(loss, leaf)
    for place in np.ndindex(*logits.shape):
        step = np.zeros_like(logits)
        step[place] = 1e-5
        ends = [loss_by_hand(logits + way * step, events, experiment) for way in (1, -1)]
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("readout", READOUTS)
def test_all_engines_have_the_same_gradient(readout: str) -> None:
    experiment, events = settings(readout=readout), samples()
    params, shape = start(experiment, events), shape_of(events)
    expected, loss = EventTrainer(experiment, shape, np.float64).gradient(params, events, IDS)
    norse = NorseTrainer(experiment, build_network(experiment, shape))
    learned = norse._learned(
        torch.tensor(params, dtype=torch.float64),
        events.dense(IDS).astype(np.float64),
        partial(norse._loss, events, IDS),
        Pass(learn=True),
    )
    assert_allclose(learned.gradient.numpy(), expected, rtol=1e-5, atol=1e-7)
    assert float(learned.loss) == pytest.approx(loss, rel=1e-6)
    theirs, their_loss = GpuTrainer(experiment, shape, DEVICE).gradient(params, events, IDS)
    assert_allclose(theirs, expected, rtol=1e-3, atol=1e-5)
    assert their_loss == pytest.approx(loss, rel=1e-5)


def trained(trainer: Trainer, experiment: Experiment, events: EventSet) -> tuple[bytes, float]:
    client = Client(5, np.arange(16))
    (update,) = trainer.train(start(experiment, events), events, [client], 1)
    return np.asarray(update.delta).tobytes(), update.loss


@pytest.mark.parametrize("engine", ["event", "norse", "gpu"])
def test_a_teacher_of_weight_0_changes_no_bit_and_one_of_more_does(engine: str) -> None:
    def ends(weight: float | None, *, teacher: bool) -> tuple[bytes, float]:
        experiment, events = settings(weight, engine=engine), samples(teacher=teacher)
        device = DEVICE if engine == "gpu" else "cpu"
        return trained(make_trainer(experiment, shape_of(events), device), experiment, events)

    plain = ends(None, teacher=False)
    assert ends(0.0, teacher=True) == plain
    assert ends(None, teacher=True) == plain
    taught, loss = ends(0.7, teacher=True)
    assert taught != plain[0]
    assert loss != plain[1]


@pytest.mark.parametrize("engine", ["event", "norse"])
def test_evaluation_knows_no_teacher(engine: str) -> None:
    experiment, events = settings(engine=engine), samples()
    trainer, params = make_trainer(experiment, shape_of(events)), start(experiment, events)
    plain = trainer.evaluate(params, samples(teacher=False), IDS)
    assert trainer.evaluate(params, events, IDS).losses.tolist() == plain.losses.tolist()


def test_a_student_that_answers_as_its_teacher_learns_nothing_more() -> None:
    experiment, events = settings(1.0), samples()
    trainer = EventTrainer(experiment, shape_of(events), np.float64)
    params = start(experiment, events).astype(np.float64)
    logits = trainer.evaluate(params, events, np.arange(18)).logits
    alike = replace(events, teacher=(logits + 7.0).astype(np.float32))  # softmax knows no shift
    gradient, loss = trainer.gradient(params, alike, IDS)
    assert abs(loss) < 1e-10
    assert np.abs(gradient).max() < 1e-6


def test_binary_weights_learn_from_a_teacher_alike_in_both_engines() -> None:
    losses = []
    for engine in ("event", "norse"):
        tables = settings(engine=engine).model_dump() | {"rule": {"kind": "straight-through"}}
        experiment, events = Experiment.model_validate(tables), samples()
        rule = rule_of(experiment)
        trainer = rule.trainer(experiment, shape_of(events), "cpu")
        params = rule.initial(experiment, trainer.layout)
        (update,) = trainer.train(params, events, [Client(0, np.arange(8))], 0)
        losses.append(update.loss)
        (plain,) = trainer.train(params, samples(teacher=False), [Client(0, np.arange(8))], 0)
        assert plain.loss != update.loss
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"rule": {"kind": "local"}}, r"learns otherwise.*backprop"),
        ({"rule": {"kind": "glm"}, "client": {"optimizer": "sgd"}}, "learns otherwise"),
        ({"rule": {"kind": "bayes", "local": {}}}, r"\[rule.local\] learns otherwise"),
        ({"rule": {"kind": "my_rules:RULE"}}, "my_rules:RULE"),
        ({"data": {"dataset": "regression"}}, "targets between them"),
    ],
)
def test_what_cannot_learn_from_a_teacher_refuses_it(
    tables: dict[str, dict[str, object]], words: str
) -> None:
    tables["client"] = {"teacher": "run.h5"} | tables.get("client", {})
    with pytest.raises((InputError, ValueError), match=words):
        Experiment.model_validate(tables)


def test_the_keys_of_a_teacher_need_one() -> None:
    with pytest.raises(ValueError, match="teacher_weight is for a teacher"):
        Experiment.model_validate({"client": {"teacher_weight": 0.5}})
