"""Modules of norse, snnTorch and SpikingJelly train, are counted, and answer as by themselves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import hpcfed
from hpcfed.config.file import parse_experiment
from tests.array_world import SETTINGS, pair

BIASED = 8


def norse_network(inputs: int, classes: int) -> nn.Module:
    """Return a sequence with states; the leaky integrator at its end has no spikes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import norse.torch as norse
    lif = norse.LIFParameters(tau_mem_inv=torch.tensor(50.0), tau_syn_inv=torch.tensor(50.0))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = norse.SequentialState(
                nn.Linear(inputs, BIASED), norse.LIF(lif, dt=0.01), nn.Linear(BIASED, classes),
                norse.LI(dt=0.01),
            )  # fmt: skip

        def forward(self, events: Tensor) -> Tensor:
            return self.inner(4 * events)[0].mean(0)

    return Net()


def norse_recurrent(inputs: int, classes: int) -> nn.Module:
    """Return a recurrent layer, whose weights are its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import norse.torch as norse

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = norse.LIFRecurrent(inputs, BIASED, dt=0.01)
            self.readout = nn.Linear(BIASED, classes)

        def forward(self, events: Tensor) -> Tensor:
            return self.readout(self.hidden(8 * events)[0]).mean(0)

    return Net()


def snntorch_network(inputs: int, classes: int) -> nn.Module:
    """Return a sequence for one bin, whose neurons keep their state; the leak is learned."""
    import snntorch

    return nn.Sequential(
        nn.Linear(inputs, BIASED),
        snntorch.Leaky(beta=0.9, init_hidden=True, learn_beta=True, threshold=0.5),
        nn.Linear(BIASED, classes),
        snntorch.Leaky(beta=0.9, init_hidden=True, output=True, reset_mechanism="none"),
    )


def spikingjelly_network(inputs: int, classes: int) -> nn.Module:
    """Return layers for all bins at once, with a norm between them."""
    from spikingjelly.activation_based import layer, neuron

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter = layer.Linear(inputs, BIASED, step_mode="m")
            self.norm = layer.SeqToANNContainer(nn.BatchNorm1d(BIASED))
            self.lif = neuron.ParametricLIFNode(step_mode="m")
            self.readout = layer.Linear(BIASED, classes, step_mode="m")

        def forward(self, events: Tensor) -> Tensor:
            return self.readout(self.lif(self.norm(self.enter(events)))).mean(0)

    return Net()


Make = Callable[[int, int], nn.Module]
NETWORKS: dict[str, tuple[str, Make, dict[str, bool], tuple[str, ...]]] = {
    "norse_network": ("norse", norse_network, {}, ("inner.1",)),
    "norse_recurrent": ("norse", norse_recurrent, {}, ("hidden",)),
    "snntorch_network": ("snntorch", snntorch_network, {"each_bin": True}, ("1", "3")),
    "spikingjelly_network": ("spikingjelly", spikingjelly_network, {}, ("lif",)),
}


def __getattr__(name: str) -> object:
    """Return the function that ``model.kind`` names."""
    if not name.startswith("kind_"):
        raise AttributeError(name)
    _, make, how, _ = NETWORKS[name.removeprefix("kind_")]
    return lambda experiment, inputs, num_classes: hpcfed.module(make(inputs, num_classes), **how)


@pytest.fixture(scope="module", params=NETWORKS)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """Return a network's name and its run of three rounds."""
    name = request.param
    library = NETWORKS[name][0]
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    changes = {"model.kind": f"{__name__}:kind_{name}", "server.rounds": 3,
               "client.learning_rate": 0.02, "client.epochs": 4}  # fmt: skip
    experiment = parse_experiment("", [{**SETTINGS, **changes}])
    out = tmp_path_factory.mktemp(name)
    return name, hpcfed.run(experiment, out=out, data=pair(), quiet=True)


def test_it_trains_and_its_spikes_are_counted(found: tuple[str, hpcfed.Run]) -> None:
    name, run = found
    assert run.rounds.train_loss.iloc[-1] < run.rounds.train_loss.iloc[0]
    assert run.rounds.hidden_rate.between(0.001, 0.99).all()
    spikes = run.spikes()
    assert tuple(spikes) == NETWORKS[name][3]
    assert all(layer.shape[:2] == (12, 10) for layer in spikes.values())


def test_its_parts_are_the_parameters_of_the_module(found: tuple[str, hpcfed.Run]) -> None:
    name, run = found
    module = NETWORKS[name][1](5, 3)
    expected = {n: tuple(p.shape) or (1,) for n, p in module.named_parameters()}
    weights = {n: w.shape for n, w in run.weights().items()}
    statistics = weights.keys() - expected.keys()
    assert {n: weights[n] for n in expected} == expected
    assert all(n.endswith(("running_mean", "running_var")) for n in statistics)
    assert bool(statistics) == (name == "spikingjelly_network")


def test_it_answers_as_the_module_with_these_weights_does_by_itself(
    found: tuple[str, hpcfed.Run],
) -> None:
    name, run = found
    _, make, how, _ = NETWORKS[name]
    module = make(5, 3).eval()
    own = module.state_dict()
    for part, value in run.weights().items():
        own[part] = torch.tensor(np.asarray(value)).reshape(own[part].shape)
    module.load_state_dict(own)
    data = run.data
    inputs = torch.tensor(data.test.dense(data.test_ids))
    with torch.no_grad():
        bins = torch.stack([module(one)[0] for one in inputs]) if how else None
        logits = module(inputs) if bins is None else bins.mean(0)
    np.testing.assert_allclose(run.logits(), logits, atol=1e-6)
