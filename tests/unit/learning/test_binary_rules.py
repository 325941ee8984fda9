"""Straight-through and Bayesian training by the engines, what is sent of it, and committees."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_trainings import SGD, assert_same_update, clients, experiment, samples
from tiny_events import patterns

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.config.file import parse_experiment
from hpcfed.config.rule import BinaryConfig
from hpcfed.errors import InputError
from hpcfed.learning.latents import draw_all
from hpcfed.learning.probabilities import entropy, softmax
from hpcfed.learning.rule import rule_of
from hpcfed.learning.rules import binary
from hpcfed.learning.rules.binary import BinaryTrainer
from hpcfed.networks.layout import Layout, Part, initial_params
from hpcfed.samples.samples import Shape

SHAPE = Shape((30,), 5)
ENGINES = ("norse", "event")
RULES = ({"kind": "straight-through"}, {"kind": "bayes"})
MERGING = [{"kind": "bayes", "binary": {"sends": "bits"}},
           {"kind": "straight-through", "binary": {"sends": "bits"}},
           {"kind": "bayes", "binary": {"sends": "probabilities"}}]  # fmt: skip


def settings(engine: str, rule: dict[str, object], **tables: object) -> Experiment:
    """Return an experiment with binary weights of +-4 / sqrt(fan-in), Adam at 0.1."""
    shared = {"scale": 4.0} | dict(rule.get("binary", {}))
    client = {"learning_rate": 0.1} | dict(tables.pop("client", {}))
    plain = experiment(engine, client=client, **tables)
    values = plain.model_dump(exclude_none=True) | {"rule": rule | {"binary": shared}}
    if shared.get("sends") == "bits":
        values["uplink"] = values["uplink"] | {"dtype": "sign"}
    return Experiment.model_validate(values)


def trainer_of(found: Experiment) -> BinaryTrainer:
    return rule_of(found).trainer(found, SHAPE, "cpu")


def start(found: Experiment) -> np.ndarray:
    return rule_of(found).initial(found, trainer_of(found).layout)


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "model", [{}, {"recurrent": True}, {"hidden": [20, 33], "neuron": "alif", "readout": "max"}]
)
@pytest.mark.parametrize("client", [SGD, SGD | {"proximal": 0.1, "clip_norm": 0.05}])
def test_engines_train_the_same_latent_weights(rule, model, client) -> None:
    rule = rule | {"binary": {"scale": 3.7}}  # at 4 sums of such weights meet ALIF's threshold
    found = [settings(engine, rule, model=model, client=client) for engine in ("event", "norse")]
    first = start(found[0])
    ours, theirs = (list(trainer_of(one).train(first, samples(), clients(), 4)) for one in found)
    for one, other in zip(ours, theirs, strict=True):
        assert np.abs(one.delta).max() > 0
        assert_same_update(one, other)


@pytest.mark.parametrize("engine", ["event", "norse"])
def test_a_step_is_the_gradient_at_the_drawn_weights_turned_back(engine: str) -> None:
    """One batch by SGD: latent weights move by the rate times k times what real ones would."""
    rule = {"kind": "bayes", "bayes": {"strength": 0.01, "prior": 0.3, "temperature": 0.7}}
    sgd = {"optimizer": "sgd", "learning_rate": 0.5, "epochs": None, "steps": 1, "batch_size": 60}
    found = settings(engine, rule, client=sgd)
    trainer, latents = trainer_of(found), start(found)
    client = Client(3, np.arange(40))
    (update,) = trainer.train(latents, samples(), [client], 2)

    weights, slopes = np.empty_like(latents), np.empty_like(latents)
    address = Stream(found.seed, Purpose.WEIGHT_NOISE, 2, 3).address
    draw_all(trainer.binary, latents, address, 0, weights, slopes)
    plain = Experiment.model_validate(found.model_dump(exclude_none=True) | {"rule": None})
    real = rule_of(plain).trainer(plain, SHAPE, "cpu")
    (moved,) = real.train(weights, samples(), [client], 2)
    prior = 0.5 * np.log(0.3 / 0.7)
    expected = slopes * moved.delta - 0.5 * 0.01 * (latents - prior)
    np.testing.assert_allclose(update.delta, expected, rtol=1e-3, atol=1e-6)
    assert update.loss == pytest.approx(moved.loss, rel=1e-5)


def test_noise_in_each_bin_draws_other_weights_in_each_bin() -> None:
    """Latent weights get the sum over bins of what the weights of each bin would."""
    rule = {"kind": "bayes", "bayes": {"noise": "bin", "strength": 0.0}}
    sgd = {"optimizer": "sgd", "learning_rate": 1.0, "epochs": None, "steps": 1, "batch_size": 60}
    found = settings("norse", rule, client=sgd, model={"readout": "current", "recurrent": True})
    trainer, latents = trainer_of(found), start(found)
    (update,) = trainer.train(latents, samples(), [Client(3, np.arange(40))], 2)
    total = np.zeros(len(latents))
    import torch

    from hpcfed.learning.autograd.training import matrices
    from hpcfed.networks.contract import Pass
    from hpcfed.networks.network import build_network

    network, bins = build_network(found, SHAPE), 20
    every = [np.empty((bins, len(latents)), np.float32) for _ in range(2)]
    address = Stream(found.seed, Purpose.WEIGHT_NOISE, 2, 3).address
    for t in range(bins):
        place = t * len(latents)
        draw_all(trainer.binary, latents, address, place, every[0][t], every[1][t])
    assert len(np.unique(every[0][:, 0])) == bins
    leaf = torch.from_numpy(every[0]).requires_grad_()
    order = Stream(found.seed, Purpose.BATCH_ORDER, 2, 3)
    ids = np.arange(40)[order.permutation(40)]
    inputs = torch.from_numpy(samples().dense(ids))
    logits = network.forward(matrices(network.layout, leaf), inputs, Pass(learn=True)).logits
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(samples().labels[ids]))
    (gradient,) = torch.autograd.grad(loss, leaf)
    total = (gradient.numpy().astype(np.float64) * every[1]).sum(0)
    np.testing.assert_allclose(update.delta, -total, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("engine", ["event", "norse"])
def test_latent_weights_stay_within_the_limit(engine: str) -> None:
    rule = {"kind": "straight-through", "binary": {"limit": 1.01}}
    found = settings(engine, rule, client={"learning_rate": 3.0})
    first = start(found)
    for update in trainer_of(found).train(first, samples(), clients(), 0):
        latents = first + update.delta
        assert np.abs(latents).max() <= 1.0100001
        assert (np.abs(latents) > 1.009).sum() > 10


@pytest.mark.parametrize("rule", [*RULES, *MERGING])
def test_updates_do_not_depend_on_threads_or_company(rule) -> None:
    found = settings("event", rule)
    first = start(found)
    alone = [next(iter(trainer_of(found).train(first, samples(), [c], 1))) for c in clients()]
    two = settings("event", rule, client={"threads": 2})
    together = list(trainer_of(two).train(first, samples(), clients(), 1))
    for one, other in zip(alone, together, strict=True):
        assert one.delta.tobytes() == other.delta.tobytes()


def test_latent_weights_begin_at_one_size_with_the_signs_of_the_usual_start() -> None:
    found = settings("event", {"kind": "bayes", "binary": {"start": 2.5}})
    usual = initial_params(found.model, trainer_of(found).layout, found.seed)
    assert start(found).tolist() == np.where(usual >= 0, 2.5, -2.5).tolist()


def test_norms_keep_real_weights_beside_binary_ones() -> None:
    text = '[model]\nhidden = ["4c3", "p2", 8]\nnorm = "bntt"\nneuron = "leaky"\n'
    text += 'readout = "current"\n[data]\ndataset = "digits"\nnum_bins = 4\n'
    found = parse_experiment(text, ["rule.kind=straight-through", "client.learning_rate=0.5"])
    shape = Shape((1, 8, 8), 10)
    rule = rule_of(found)
    trainer = rule.trainer(found, shape, "cpu")
    first, layout = rule.initial(found, trainer.layout), trainer.layout
    from hpcfed.datasets import load

    data = load(found.data).train
    (update,) = trainer.train(first, data, [Client(0, np.arange(30))], 0)
    weights = trainer.most_probable(first + update.delta)
    for part, (name, place, _) in zip(layout.parts, layout.slices(), strict=True):
        values = np.unique(np.abs(weights[place]))
        if part.init == "model":
            assert len(values) == 1, name
            assert values[0] == pytest.approx(1 / np.sqrt(part.fan_in), rel=1e-6)
        else:
            assert weights[place].tolist() == (first + update.delta)[place].tolist()


# --- what is sent, and what becomes of it ---------------------------------------------------------


@pytest.fixture(scope="module")
def merge(test_data: Path) -> dict:
    """Return closed forms for 4 clients and 3 weights."""
    return json.loads((test_data.parent / "reference_rules" / "bernoulli_merge.json").read_text())


def weighted(values: list[list[float]], weights: list[int]) -> np.ndarray:
    return np.average(np.array(values, float), axis=0, weights=weights)


def config(**shared: object) -> BinaryConfig:
    return BinaryConfig.model_validate({"limit": 18.0} | shared)


def test_probabilities_become_the_latent_weights_of_the_reference(merge) -> None:
    chances = [binary.probabilities(np.array(row)).tolist() for row in merge["latents"]]
    mean = weighted(chances, merge["samples"])
    np.testing.assert_allclose(mean, merge["mean_probability"], rtol=1e-12)
    found = binary.merged(config(sends="probabilities"), mean, 4, np.zeros(3, np.float32))
    np.testing.assert_allclose(found, merge["latent_of_mean_probability"], rtol=1e-12, atol=1e-15)


def test_votes_become_the_latent_weights_of_the_reference(merge) -> None:
    signs = [[2 * bit - 1 for bit in row] for row in merge["bits"]]
    mean = weighted(signs, merge["samples"])
    votes = (1 + mean) / 2 * merge["votes_total"]
    np.testing.assert_allclose(votes, merge["integer_votes_for_plus_one"], rtol=1e-12)
    received = np.array(merge["received"], np.float32)
    found = binary.merged(config(sends="bits"), mean, 4, received)
    expected = merge["latent_of_votes_clipped_at_0.01"]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    majority = binary.merged(config(sends="bits", merge="majority", start=3.0), mean, 4, received)
    assert majority.tolist() == [3 * side for side in merge["majority"]]


def test_one_sided_votes_are_clipped() -> None:
    mean = np.array([1.0, -1.0])
    found = binary.merged(config(sends="bits"), mean, 3, np.zeros(2, np.float32))
    np.testing.assert_allclose(found, [0.5 * np.log(99), -0.5 * np.log(99)], rtol=1e-12)


def test_bits_follow_the_posterior_within_four_standard_errors() -> None:
    latents = np.array([-2.0, -0.3, 0.0, 0.05, 1.0, 2.5], np.float32)
    chances = 1 / (1 + np.exp(-2.0 * latents))
    draws = [
        binary.sampled(latents, binary.CompiledStream(0, Purpose.POSTERIOR_BITS, r, 1))
        for r in range(10_000)
    ]
    error = np.sqrt(chances * (1 - chances) / 10_000)
    assert (np.abs(np.mean(draws, axis=0) - chances) < 4 * error).all()


@pytest.mark.parametrize(
    ("sends", "kind"), [("bits", "bayes"), ("bits", "straight-through"), ("probabilities", "bayes")]
)
def test_clients_send_what_their_latent_weights_say(sends: str, kind: str) -> None:
    rule = {"kind": kind, "binary": {"sends": sends}}
    trained = settings("event", {"kind": kind})
    first = start(trained)
    plain = list(trainer_of(trained).train(first, samples(), clients(), 6))
    found = settings("event", rule)
    for client, real, sent in zip(
        clients(), plain, trainer_of(found).train(first, samples(), clients(), 6), strict=True
    ):
        chances = 1 / (1 + np.exp(-2.0 * (first + real.delta).astype(np.float64)))
        if sends == "probabilities":
            np.testing.assert_allclose(sent.delta, chances, rtol=1e-6)
        elif kind == "straight-through":
            assert sent.delta.tolist() == np.where(first + real.delta >= 0, 1, -1).tolist()
        else:
            stream = Stream(found.seed, Purpose.POSTERIOR_BITS, 6, client.index)
            uniform = stream.uniforms(len(first))
            clear = np.abs(uniform - chances) > 1e-6
            assert np.array_equal(sent.delta[clear], np.where(uniform < chances, 1, -1)[clear])


def test_latent_weights_that_are_no_numbers_are_not_hidden_behind_bits() -> None:
    found = settings("event", {"kind": "bayes", "binary": {"sends": "bits"}})
    trainer = trainer_of(found)
    broken = np.full(trainer.layout.size, 0.5, np.float32)
    broken[3] = np.nan
    real = replace(next(iter(trainer.inner.train(start(found), samples(), clients()[:1], 0))),
                   delta=broken)  # fmt: skip
    trainer.inner = Fixed(trainer.inner, real)
    (sent,) = trainer.train(start(found), samples(), clients()[:1], 0)
    assert np.isnan(sent.delta).all()


class Fixed:
    """An engine whose training gives one update."""

    def __init__(self, inner, update) -> None:
        self.layout, self._update = inner.layout, update

    def train(self, *_):
        """Yield it."""
        yield self._update


# --- evaluation -----------------------------------------------------------------------------------


def test_the_most_probable_weights_are_signs_times_a_scale() -> None:
    found = settings("event", {"kind": "bayes"})
    trainer, latents = trainer_of(found), start(found)
    ids = np.arange(20)
    direct = trainer.inner.evaluate(trainer.most_probable(latents), samples(), ids)
    assert trainer.evaluate(latents, samples(), ids).logits.tolist() == direct.logits.tolist()
    weights = trainer.most_probable(latents)
    scale = np.repeat([4 / np.sqrt(30), 4 / np.sqrt(24)], [24 * 30, 24 * 5])
    np.testing.assert_allclose(weights, np.where(latents >= 0, scale, -scale), rtol=1e-6)


@pytest.mark.parametrize("engine", ["event", "norse"])
def test_a_committee_answers_with_the_mean_of_its_members(engine: str) -> None:
    values = settings(engine, {"kind": "bayes"}).model_dump(exclude_none=True)
    found = Experiment.model_validate(values | {"evaluation": {"draws": 4}})
    trainer = trainer_of(found)
    latents = 0.4 * start(found)
    ids = np.arange(11)
    answer = trainer.evaluate(latents, samples(), ids)
    size, chances = len(latents), 1 / (1 + np.exp(-0.8 * start(found).astype(np.float64)))
    words = Stream(found.seed, Purpose.COMMITTEE).uniforms(4 * size).reshape(4, size)
    scale = np.abs(trainer.most_probable(latents))
    every = np.stack([
        softmax(trainer.inner.evaluate(member.astype(np.float32), samples(), ids).logits)
        for member in np.where(words < chances, scale, -scale)
    ])  # fmt: skip
    np.testing.assert_allclose(softmax(answer.logits), every.mean(0), rtol=1e-10)
    labels = samples().labels[ids]
    right = every.mean(0)[np.arange(11), labels]
    np.testing.assert_allclose(answer.losses, -np.log(right), rtol=1e-10)
    assert answer.predictions.tolist() == every.mean(0).argmax(1).tolist()
    np.testing.assert_allclose(answer.committee.expected_entropy, entropy(every).mean(0))
    np.testing.assert_allclose(answer.committee.deviation, every.std(0), atol=1e-12)
    middle = trainer.inner.evaluate(trainer.most_probable(latents), samples(), ids)
    assert answer.committee.middle.losses.tolist() == middle.losses.tolist()
    assert answer.spikes.tolist() == middle.spikes.tolist()


def test_a_committee_of_certain_weights_is_one_network() -> None:
    values = settings("event", {"kind": "bayes"}).model_dump(exclude_none=True)
    found = Experiment.model_validate(values | {"evaluation": {"draws": 3}})
    trainer, certain = trainer_of(found), 18 * start(found)
    answer = trainer.evaluate(certain, samples(), np.arange(9))
    np.testing.assert_allclose(answer.losses, answer.committee.middle.losses, rtol=1e-9)
    total = entropy(softmax(answer.logits))
    np.testing.assert_allclose(answer.committee.expected_entropy, total, rtol=1e-9)


def test_members_are_drawn_anew_for_other_parameters() -> None:
    values = settings("event", {"kind": "bayes"}).model_dump(exclude_none=True)
    found = Experiment.model_validate(values | {"evaluation": {"draws": 3}})
    trainer, first = trainer_of(found), start(found)
    before = trainer.evaluate(first, samples(), np.arange(9)).losses
    trainer.evaluate(-first, samples(), np.arange(9))
    assert trainer.evaluate(first, samples(), np.arange(9)).losses.tolist() == before.tolist()


def test_targets_between_classes_are_for_engines_that_know_them() -> None:
    """Half of each class: the norse engine's loss is the mean of both, the event engine refuses."""
    found = {name: experiment(name, client={"batch_size": 60, "epochs": 1}) for name in ENGINES}
    events, two = patterns(60, num_bins=20, num_channels=30, num_classes=2), Shape((30,), 2)
    soft = replace(events, targets=np.full(60, 0.5, np.float32))
    (norse, event) = (rule_of(one).trainer(one, two, "cpu") for one in found.values())
    params = initial_params(found["norse"].model, norse.layout, 0)
    ids = np.arange(10)
    both = [
        norse.evaluate(params, replace(events, labels=np.full(60, k)), ids).losses for k in (0, 1)
    ]
    np.testing.assert_allclose(
        norse.evaluate(params, soft, ids).losses, np.mean(both, 0), rtol=1e-6
    )
    with pytest.raises(InputError, match="targets between two classes"):
        event.evaluate(params, soft, ids)


def test_more_words_than_a_stream_has_are_refused() -> None:
    found = settings("event", {"kind": "bayes"}, client={"epochs": None, "steps": 2_000_000})
    with pytest.raises(InputError, match="random words"):
        next(iter(trainer_of(found).train(start(found), samples(), clients(), 0)))


# --- combinations without meaning -----------------------------------------------------------------


BITS = ["rule.kind=bayes", "rule.binary.sends=bits", "uplink.dtype=sign"]
MASKED = ["uplink.mask=bernoulli", "uplink.mask_probability=0.5"]


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        (["rule.kind=straight-through", "rule.binary.sends=probabilities"], "have none"),
        (["rule.kind=bayes", "rule.binary.sends=bits"], 'uplink.dtype = "sign"'),
        (
            ["rule.kind=bayes", "rule.binary.sends=probabilities", "uplink.dtype=sign"],
            "probabilities have none",
        ),
        ([*BITS, *MASKED], 'server.average = "received"'),
        ([*BITS, "uplink.mask=top-k", "server.average=received"], "picks the largest changes"),
        ([*BITS, "uplink.error_feedback=true"], "error_feedback"),
        ([*BITS, "server.average=all"], "divides by clients that send nothing"),
        ([*BITS, "server.rescale=true"], "server.rescale"),
        (["rule.kind=bayes", "rule.binary.merge=majority"], "merge is for bits"),
        (["rule.kind=bayes", "client.engine=gpu"], 'no rule.kind = "bayes"'),
        (["rule.kind=bayes", "rule.bayes.noise=bin", "client.engine=event"], "whole batch"),
        (
            ["rule.kind=bayes", "rule.bayes.noise=bin", "model.kind=ann"],
            "spiking networks of dense",
        ),
        (["rule.kind=straight-through", "rule.bayes.prior=0.3"], "rule.bayes is for bayes"),
        (["rule.kind=backprop", "rule.binary.start=2"], "rule.binary is for"),
        (["rule.kind=bayes", "rule.binary.start=7"], "start is above rule.binary.limit"),
        (["rule.kind=straight-through", "evaluation.draws=3"], "evaluation.draws is for random"),
        (["evaluation.draws=3"], "evaluation.draws is for random"),
        (["evaluation.unknown=true"], "set data.classes"),
    ],
)
def test_combinations_without_meaning_are_refused_with_a_reason(sets, reason) -> None:
    with pytest.raises(InputError, match=reason):
        parse_experiment("", sets)


@pytest.mark.parametrize(
    "sets",
    [
        [*BITS, *MASKED, "server.average=received"],
        [*BITS, "uplink.noise=0.1"],
        [*BITS, "server.learning_rate=0.25", "server.optimizer=momentum"],
        ["rule.kind=bayes", "uplink.dtype=sign", "uplink.error_feedback=true"],
        ["rule.kind=bayes", "rule.bayes.noise=bin"],
        ["rule.kind=straight-through", "model.kind=ann"],
    ],
)
def test_combinations_with_a_meaning_are_taken(sets) -> None:
    assert parse_experiment("", sets).rule is not None


def test_parts_that_cannot_be_bits_are_refused() -> None:
    with_bias = Layout((Part("weights", (3, 4)), Part("bias", (3,), init="zeros")))
    text = '[model]\nhidden = ["4c3", 8]\nnorm = "bntt"\n[data]\ndataset = "digits"\n'
    found = parse_experiment(text, [*BITS])
    rule = rule_of(found)
    rule.trainer(found, Shape((1, 8, 8), 10), "cpu")  # norms are sent whole
    with pytest.raises(InputError, match="is not binary"):
        binary._check_parts(found.rule, with_bias)
    with pytest.raises(InputError, match="no weights to be binary"):
        binary._check_parts(found.rule, Layout(with_bias.parts[1:]))
