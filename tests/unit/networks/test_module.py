"""A torch module as a network: its parameters, its values, its state, and what is refused."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hpcfed
from hpcfed.clients.population import Client
from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.learning.engines import make_trainer
from hpcfed.learning.feed import step_ids
from hpcfed.learning.trainer import initial_of
from hpcfed.networks.contract import Pass
from hpcfed.networks.module import ModuleNetwork, fitted
from hpcfed.samples.samples import Shape, shape_of
from tests.array_world import SETTINGS, pair
from tests.own_modules import Neurons, Plain
from tests.tiny_events import patterns

BINS, CHANNELS, CLASSES = 15, 20, 4
LOCAL: dict[str, object] = {
    "data.duration": 0.15,
    "data.num_bins": BINS,
    "client.batch_size": 4,
    "client.epochs": 2,
    "client.engine": "norse",
    "client.optimizer": "sgd",
    "client.learning_rate": 0.1,
}


def experiment(kind: str = "plain", **changes: object) -> hpcfed.Experiment:
    model = {"model.kind": f"tests.own_modules:{kind}"}
    return parse_experiment("", [{**LOCAL, **model, **changes}])


def fit(network: nn.Module, seed: int = 0, **how: object) -> ModuleNetwork:
    own = hpcfed.module(network, **how)
    return fitted(own, torch.zeros(BINS, 1, CHANNELS), CLASSES, BINS, seed)


def plain_module(dropout: float = 0.0) -> Plain:
    torch.manual_seed(1)
    return Plain(CHANNELS, CLASSES, dropout)


def weights_of(network: ModuleNetwork) -> dict[str, Tensor]:
    found = network.layout.split(network.initial)
    return {name: torch.tensor(np.asarray(value)) for name, value in found.items()}


# --- what becomes of it ---------------------------------------------------------------------------


def test_parameters_are_masked_parts_and_buffers_that_move_are_statistics() -> None:
    network = fit(plain_module(), spiking=[Neurons])
    assert {part.name: part.shape for part in network.layout.parts} == {
        "enter.weight": (8, 20), "enter.bias": (8,), "norm.weight": (8,), "norm.bias": (8,),
        "neurons.leak": (1,), "leave.weight": (4, 8), "leave.bias": (4,),
        "norm.running_mean": (8,), "norm.running_var": (8,),
    }  # fmt: skip
    kinds = {part.name: (part.trained, part.masked) for part in network.layout.parts}
    assert {name for name, kind in kinds.items() if kind == (False, False)} == {
        "norm.running_mean",
        "norm.running_var",
    }
    assert set(kinds.values()) == {(True, True), (False, False)}


def test_layers_and_products_are_found_and_counted() -> None:
    """A spiking layer after 20 x 8 products, each bin; the readout sees what 8 neurons send."""
    network = fit(plain_module(), spiking=[Neurons])
    assert network.layers == (hpcfed.Layer("neurons", 8, 160),)
    assert [tuple(product) for product in network.products] == [
        ("enter.weight", 160, 20 * BINS), ("leave.weight", 32, 8 * BINS),
    ]  # fmt: skip
    inputs = torch.zeros(BINS, 3, CHANNELS)
    inputs[2:5, 1, :7] = 1
    found = network.forward(weights_of(network), inputs, Pass(learn=False))
    (spikes,) = found.spikes
    assert spikes.shape == (BINS, 3, 8)
    assert spikes.dtype == torch.bool
    learned = network.forward(weights_of(network), inputs, Pass(learn=True))
    assert learned.entering == {}
    assert found.entering["enter.weight"].tolist() == [21, 21]
    assert found.entering["leave.weight"].tolist() == [int(spikes.sum())] * 2


def test_penalties_on_rates_reach_the_weights() -> None:
    network = fit(plain_module(), spiking=[Neurons])
    weights = {name: value.requires_grad_() for name, value in weights_of(network).items()}
    inputs = torch.ones(BINS, 3, CHANNELS)
    (spikes,) = network.forward(weights, inputs, Pass(learn=True, rates=True)).spikes
    (gradient,) = torch.autograd.grad(spikes.mean(), weights["enter.weight"])
    assert gradient.abs().sum() > 0


def test_initial_values_are_those_of_a_module_made_under_the_seed_of_the_run() -> None:
    shape, before = Shape((CHANNELS,), CLASSES), torch.get_rng_state()
    first, again, other = (
        initial_of(make_trainer(experiment(seed=seed), shape)) for seed in (3, 3, 4)
    )
    assert first is not None
    assert other is not None
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert np.abs(first[:160]).max() <= 1 / np.sqrt(20)  # as torch draws a linear layer
    assert torch.equal(before, torch.get_rng_state())


def test_a_client_trains_as_a_loop_in_plain_torch_does() -> None:
    """Reference: the module itself, SGD by hand, a fresh state for each batch."""
    settings, events = experiment(), patterns(10)
    trainer, client = make_trainer(settings, shape_of(events)), Client(0, np.arange(10))
    start = initial_of(trainer)
    assert start is not None
    (update,) = trainer.train(start, events, [client], 0)
    theirs = trainer.layout.split(start + update.delta)
    network = Plain(CHANNELS, CLASSES)
    state = {n: torch.tensor(np.asarray(v)) for n, v in trainer.layout.split(start).items()}
    state["neurons.leak"] = state["neurons.leak"].reshape(())
    network.load_state_dict(state, strict=False)
    losses = []
    for ids in step_ids(settings, client, 0):
        network.neurons.v = 0.0
        inputs = torch.tensor(events.dense(ids))
        loss = nn.functional.cross_entropy(network(inputs), torch.tensor(events.labels[ids]))
        network.zero_grad()
        loss.backward()
        losses += [loss.item()] * len(ids)
        with torch.no_grad():
            for value in network.parameters():
                value -= 0.1 * value.grad
    assert len(losses) == 20
    assert update.loss == pytest.approx(np.mean(losses), rel=1e-6)
    for name, value in network.state_dict().items():
        if name in theirs:
            np.testing.assert_allclose(theirs[name].reshape(value.shape), value, atol=2e-6)
    assert abs(update.delta[-8:]).max() > 0  # running variances have moved
    assert update.activity is not None


def test_neurons_begin_at_rest_in_every_batch_and_in_every_thread() -> None:
    network = fit(plain_module(), spiking=[Neurons])
    weights, inputs = weights_of(network), torch.ones(BINS, 2, CHANNELS)
    first = network.forward(weights, inputs, Pass(learn=False))
    assert first.spikes[0].any()
    found: list[Tensor] = []

    def ask() -> None:
        found.append(network.forward(weights, inputs, Pass(learn=False)).logits)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(torch.equal(logits, first.logits) for logits in found)


def test_what_a_module_draws_follows_from_the_words_of_the_run_on_any_threads() -> None:
    events = patterns(16)
    clients = [Client(k, np.arange(k, 16, 4)) for k in range(4)]
    trained = []
    for threads in (1, 2):
        settings = experiment("dropping", **{"client.threads": threads})
        trainer = make_trainer(settings, shape_of(events))
        torch.manual_seed(threads)  # nobody asks torch's own generator
        start = initial_of(trainer)
        trained.append([u.delta for u in trainer.train(start, events, clients, 0)])
    np.testing.assert_array_equal(trained[0], trained[1])
    settings = experiment("plain")
    trainer = make_trainer(settings, shape_of(events))
    (calm, *_) = trainer.train(initial_of(trainer), events, clients, 0)
    assert (calm.delta != trained[0][0]).any()


class Tied(nn.Module):
    """Two layers of the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(CHANNELS, CHANNELS), nn.Linear(CHANNELS, CHANNELS)
        self.second.weight = self.first.weight
        self.readout = nn.Linear(CHANNELS, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (B, K) of inputs (T, B, C)."""
        return self.readout(torch.tanh(self.second(torch.tanh(self.first(inputs))))).mean(0)


def test_tied_weights_are_one_part_with_the_gradient_of_both_places() -> None:
    torch.manual_seed(0)
    module = Tied()
    network = fit(module)
    assert "second.weight" not in network.layout.names
    assert "second.bias" in network.layout.names
    inputs = torch.rand(BINS, 3, CHANNELS)
    weights = {n: v.requires_grad_() for n, v in weights_of(network).items()}
    logits = network.forward(weights, inputs, Pass(learn=True)).logits
    (gradient,) = torch.autograd.grad(logits.square().sum(), weights["first.weight"])
    (expected,) = torch.autograd.grad(module(inputs).square().sum(), module.first.weight)
    torch.testing.assert_close(gradient, expected)


class Cell(nn.Module):
    """A module for one bin, which takes a state and returns it in a tuple, or in a list."""

    def __init__(self, kind: type = tuple) -> None:
        super().__init__()
        self.kind = kind
        self.layer = nn.Linear(CHANNELS, CLASSES)

    def forward(self, one: Tensor, state: Tensor | None = None) -> Sequence[Tensor]:
        """Return the sum so far, twice."""
        found = self.layer(one) if state is None else state + self.layer(one)
        return self.kind((found, found))


@pytest.mark.parametrize("kind", [tuple, list])
def test_a_module_for_one_bin_is_given_bins_with_its_state_and_logits_are_the_mean(
    kind: type,
) -> None:
    module = Cell(kind)
    network = fit(module, each_bin=True)
    inputs = torch.rand(BINS, 2, CHANNELS)
    found = network.forward(weights_of(network), inputs, Pass(learn=False)).logits
    torch.testing.assert_close(found, module.layer(inputs).cumsum(0).mean(0))


def test_a_module_for_one_bin_is_refused_where_there_are_none() -> None:
    settings = experiment("binwise", **{"data.dataset": "digits"})
    with pytest.raises(InputError, match=r"come without time; set data\.encoder"):
        make_trainer(settings, Shape((1, 8, 8), CLASSES))


# --- runs -----------------------------------------------------------------------------------------


def test_a_federated_run_of_a_module_goes_from_its_values_to_a_file_and_back(
    tmp_path: Path,
) -> None:
    kind = {"model.kind": "tests.own_modules:plain", "uplink.mask": "bernoulli",
            "uplink.mask_probability": 0.5}  # fmt: skip
    made = hpcfed.run(
        parse_experiment("", [{**SETTINGS, **kind}]), out=tmp_path, data=pair(), quiet=True
    )
    assert made.rounds.hidden_rate.between(0.001, 0.999).all()
    assert made.rounds.accumulates_per_sample.gt(0).all()
    found = hpcfed.load(tmp_path, trust=True, data=pair())
    assert found.evaluate().accuracy == made.rounds.test_accuracy.iloc[-1]
    assert found.spikes()["neurons"].shape == (12, 10, 8)
    assert found.weights()["neurons.leak"].shape == (1,)
    with pytest.raises(InputError, match=r"imports tests\.own_modules:plain"):
        hpcfed.load(tmp_path, data=pair()).predict()


def test_images_go_through_a_module_of_convolutions(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 5, 5), np.uint8)
    kind = {"model.kind": "tests.own_modules:pixels", "partition.kind": "iid",
            "partition.num_clients": 2, "server.rounds": 1}  # fmt: skip
    made = hpcfed.run(
        parse_experiment("", [kind]), out=tmp_path,
        data=hpcfed.images(pixels, np.arange(20) % 2), quiet=True,
    )  # fmt: skip
    assert made.weights()["convolution.weight"].shape == (4, 1, 3, 3)
    assert made.weights()["norm.running_var"].tolist() != [1.0] * 4
    assert made.spikes() == {}


def test_what_is_frozen_is_not_sent_and_must_be_the_same_when_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(rounds: int) -> hpcfed.Run:
        kind = {"model.kind": "tests.own_modules:frozen", "server.rounds": rounds}
        settings = parse_experiment("", [{**SETTINGS, **kind}])
        return hpcfed.run(settings, out=tmp_path, data=pair(), resume=rounds > 1, quiet=True)

    made = run(1)
    assert "enter.weight" not in made.weights()
    assert "enter.bias" not in made.weights()
    assert (
        hpcfed.load(tmp_path, trust=True, data=pair()).predict().tolist() == made.predict().tolist()
    )
    monkeypatch.setenv("HPCFED_TEST_FROZEN", "0.2")
    with pytest.raises(InputError, match="other frozen parameters or constants"):
        hpcfed.load(tmp_path, trust=True, data=pair()).predict()
    with pytest.raises(InputError, match=r"other values of what the module of model\.kind holds"):
        run(2)
    monkeypatch.setenv("HPCFED_TEST_FROZEN", "0.1")
    assert len(run(2).rounds) == 2


# --- what cannot be meant -------------------------------------------------------------------------


class Odd(nn.Module):
    """A linear readout that does what a test says."""

    def __init__(self, layer: nn.Module, act=lambda logits: logits) -> None:
        super().__init__()
        self.layer, self.act = layer, act

    def forward(self, inputs: Tensor) -> object:
        """Return logits, or something else."""
        return self.act(self.layer(inputs))


def readout(**how: object) -> nn.Module:
    return nn.Linear(CHANNELS, CLASSES, **how)


def compiled(module: nn.Module) -> nn.Module:
    """Return what looks as torch.compile's module does, which takes eight seconds to import."""
    module._orig_mod = module.layer
    return module


def scripted(module: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.trace(module, torch.zeros(BINS, 1, CHANNELS))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Odd(nn.LazyLinear(CLASSES)), "layer.weight has no shape yet, as those of lazy"),
        (lambda: Odd(readout(dtype=torch.float64)), "layer.weight is float64; expected float32"),
        (lambda: Odd(nn.Identity()), "has no parameters that are trained"),
        (lambda: Odd(readout()), f"returned ({BINS}, 1, {CLASSES}) for one sample"),
        (lambda: Odd(readout(), lambda y: {"y": y}), "returned dict for one sample"),
        (lambda: Odd(nn.Linear(3, 3)), "fails on one sample of shape (15, 1, 20): RuntimeError"),
        (
            lambda: Odd(nn.Sequential(readout(), nn.BatchNorm1d(CLASSES, momentum=None))),
            "layer.1 averages over all batches",
        ),
        (lambda: Odd(readout(), lambda y: y.mean(0).detach()), "logits have no gradient for any"),
        (lambda: compiled(Odd(readout())), "is one of torch.compile"),
        (
            lambda: scripted(Odd(readout())),
            "fails on one sample of shape (15, 1, 20): RuntimeError",
        ),
        (lambda: Odd(readout(), threading.Lock()), "the module cannot be copied (TypeError"),
    ],
)
def test_a_module_that_cannot_be_trained_is_refused(make, words: str) -> None:
    with pytest.raises(InputError) as caught:
        fit(make())
    assert words in str(caught.value)


class Short(nn.Module):
    """A layer that gives spikes of other bins than there are."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the first three bins."""
        return x[:3]


def test_spikes_of_other_bins_are_refused_unless_none_are_counted() -> None:
    network = nn.Sequential(readout(), Short())
    odd = Odd(network, lambda y: y.mean(0))
    with pytest.raises(InputError, match=r"layer\.1 gave \(3, 1, 4\) in 1 calls .* spiking=\(\)"):
        fit(odd, spiking=[Short])
    assert fit(odd, spiking=()).layers == ()


def test_something_else_than_a_module_is_refused() -> None:
    with pytest.raises(InputError, match=r"given list; expected a torch\.nn\.Module"):
        hpcfed.module([])  # type: ignore[arg-type]
    for spiking in (Neurons, ["Neurons"]):
        with pytest.raises(InputError, match=r"spiking = .*Neurons.*; expected classes, as \["):
            hpcfed.module(nn.Linear(1, 1), spiking=spiking)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r'own_modules:bare": it returned Plain, .*hpcfed\.module'):
        make_trainer(experiment("bare"), Shape((CHANNELS,), CLASSES))


def test_latent_weights_are_not_those_of_a_module() -> None:
    binary = {"rule.kind": "straight-through"}
    from hpcfed.learning.rule import rule_of

    settings = experiment(**binary)
    with pytest.raises(InputError, match="begins with latent weights"):
        rule_of(settings).trainer(settings, Shape((CHANNELS,), CLASSES), "cpu")
