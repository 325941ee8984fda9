"""Layers as a list: what is parsed, shapes and parts; a whole network against a plain loop."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import BatchNorm1d, BatchNorm2d
from torch.nn.functional import avg_pool2d, conv2d, cross_entropy

from hpcfed.config import Experiment, ModelConfig
from hpcfed.config.file import parse_experiment
from hpcfed.config.stack import Convolution, Dense, Pool, parse
from hpcfed.errors import InputError
from hpcfed.networks.contract import Pass
from hpcfed.networks.layout import initial_params
from hpcfed.networks.network import build_network
from hpcfed.networks.neurons import Neurons
from hpcfed.networks.norms import applied, norm
from hpcfed.networks.stack import stack_layers, stack_layout, stages
from hpcfed.samples.samples import Shape

T, B = 4, 3
VGG9 = ["64c3", "64c3", "p2", "128c3", "128c3", "p2", "256c3", "256c3", "256c3", "p2", 1024]
FEDSNN = (
    "model.neuron=leaky", "model.norm=bntt", "model.surrogate=triangle",
    "model.surrogate_slope=1.0", "model.surrogate_scale=0.3", "model.readout=current",
    "model.init=xavier", "model.init_scale=2.0",
)  # fmt: skip


def experiment(hidden: list[int | str], *overrides: str) -> Experiment:
    text = f"[model]\nhidden = {hidden}\n"
    return parse_experiment(text, ["data.num_bins=4", "data.duration=0.04", *overrides])


@pytest.mark.parametrize(
    ("entry", "spec"),
    [
        (128, Dense(128)),
        ("64c3", Convolution(64, 3, 1, 1, 1)),
        ("8c5s2p0g4", Convolution(8, 5, 2, 0, 4)),
        ("p2", Pool(maximum=False, size=2)),
        ("m3", Pool(maximum=True, size=3)),
        ("p", Pool(maximum=False, size=0)),
    ],
)
def test_an_entry_is_a_layer(entry: int | str, spec: object) -> None:
    assert parse(entry) == spec


@pytest.mark.parametrize(
    "entry", [0, -3, "", "c3", "64c", "64c0", "64 c3", "p1", "128", "x2", "64c3g0"]
)
def test_what_is_no_layer_is_bad_input(entry: int | str) -> None:
    with pytest.raises(InputError, match="hidden"):
        experiment([entry, 8])


@pytest.mark.parametrize(
    ("hidden", "shape", "words"),
    [
        (["8c3"], (40,), "needs a picture"),
        ([16, "p2"], (1, 8, 8), "needs a picture"),
        (["8c3g3"], (4, 8, 8), "3 groups, which do not divide"),
        (["8c9p0"], (1, 8, 8), "nothing is left"),
        (["p2", "p2", "p2", "p2", 4], (1, 8, 8), "nothing is left"),
    ],
)
def test_layers_that_do_not_fit_are_bad_input(
    hidden: list[int | str], shape: tuple[int, ...], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        stages(experiment(hidden).model, Shape(shape, 10))


def test_the_spiking_vgg9_of_fedsnn_has_its_counts() -> None:
    """Weights, scales and statistics of 20 bins, and multiply-accumulates of one (facts A.1)."""
    model = experiment(VGG9, *FEDSNN).model
    found = stack_layout(model, Shape((3, 32, 32), 10), 20)
    assert found.num_masked == 5_938_880
    assert found.num_trained - found.num_masked == 43_520
    assert found.size - found.num_trained == 87_040
    layers = stack_layers(model, Shape((3, 32, 32), 10))
    assert sum(layer.operations for layer in layers) + 1024 * 10 == 194_717_696
    assert sum(layer.neurons for layer in layers) == 246_784


def test_dense_layers_have_the_parts_they_always_had() -> None:
    found = stack_layout(experiment([6, 5], "model.recurrent=true").model, Shape((7,), 3), T)
    names = ("hidden0.input", "hidden0.recurrent", "hidden1.input", "hidden1.recurrent", "readout")
    assert found.names == names
    assert found.shapes == ((6, 7), (6, 6), (5, 6), (5, 5), (3, 5))


# ---- neurons by hand


def fired(drive: list[float], *overrides: str) -> list[float]:
    model = experiment([1], "model.neuron=leaky", "model.leak=0.5", *overrides).model
    spikes = Neurons(model, 0.01).spikes(torch.tensor(drive).view(-1, 1, 1), None)
    return spikes.flatten().tolist()


def test_a_leaky_neuron_fires_above_its_threshold_and_keeps_the_rest() -> None:
    assert fired([1.0, 0.4999]) == [0, 0]
    assert fired([1.0001]) == [1]
    assert fired([1.8, 0.7, 0.5]) == [1, 1, 0]  # u: 1.8 -> 0.8; 1.1 -> 0.1; 0.55
    assert fired([1.8, 0.7], "model.reset=zero") == [1, 0]
    assert fired([1.8, 0.2], "model.reset=none") == [1, 1]


def test_a_neuron_that_fires_first_is_a_bin_late() -> None:
    assert fired([1.8, 0.0, 0.0], "model.fire_first=true") == [0, 1, 0]
    assert fired([1.8, 0.7, 0.0], "model.fire_first=true") == [0, 1, 1]  # 1.8; 0.5 * 0.8 + 0.7


@pytest.mark.parametrize(("u", "slope"), [(0.5, 0.15), (1.0, 0.3), (1.5, 0.15), (2.1, 0.0)])
def test_the_surrogate_of_fedsnn_is_a_low_triangle(u: float, slope: float) -> None:
    drive = torch.tensor([[[u]]], requires_grad=True)
    model = experiment([1], *FEDSNN).model
    Neurons(model, 0.01).spikes(drive, None).sum().backward()
    assert drive.grad is not None
    assert drive.grad.item() == pytest.approx(slope, abs=1e-6)


def test_no_gradient_passes_the_reset() -> None:
    """What flows from the first bin to the second is the leak alone."""
    drive = torch.tensor([[[1.2]], [[0.1]]], requires_grad=True)
    model = experiment([1], *FEDSNN, "model.leak=0.5").model
    Neurons(model, 0.01).spikes(drive, None)[1].sum().backward()
    assert drive.grad is not None
    height = 0.3 * (1 - abs(0.5 * 0.2 + 0.1 - 1))
    assert drive.grad.flatten().tolist() == pytest.approx([0.5 * height, height], rel=1e-5)


# ---- norms against torch's


def normed(
    model: ModelConfig, weights: dict[str, torch.Tensor], x: torch.Tensor, learn: bool
) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
    found = norm(model, "a", weights, x, Pass(learn))
    return applied(x, found), found.statistics


@pytest.mark.parametrize("pixels", [(), (5, 4)])
def test_bntt_is_a_batch_norm_for_each_bin(pixels: tuple[int, ...]) -> None:
    words = torch.Generator().manual_seed(1)
    x = torch.randn(T, B, 6, *pixels, generator=words, dtype=torch.float64)
    model = ModelConfig(norm="bntt", norm_shift=True)
    weights = {
        f"a.{name}": torch.rand(T, 6, generator=words, dtype=torch.float64) + 0.5
        for name in ("scale", "shift", "mean", "variance")
    }
    kind = BatchNorm2d if pixels else BatchNorm1d
    for learn in (True, False):
        found, statistics = normed(model, weights, x, learn)
        assert (statistics == {}) is not learn
        for t in range(T):
            twin = kind(6, eps=1e-4, momentum=0.1).double().train(learn)
            twin.weight.data, twin.bias.data = weights["a.scale"][t], weights["a.shift"][t]
            twin.running_mean, twin.running_var = (
                weights[f"a.{name}"][t].clone() for name in ("mean", "variance")
            )
            torch.testing.assert_close(found[t], twin(x[t]), rtol=1e-10, atol=1e-10)
            if learn:
                torch.testing.assert_close(statistics["a.mean"][t], twin.running_mean)
                torch.testing.assert_close(statistics["a.variance"][t], twin.running_var)


def test_the_other_norms_are_what_they_say() -> None:
    x = torch.randn(T, B, 4, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ones = torch.ones(4, dtype=torch.float64)
    weights = {"a.scale": ones, "a.factor": torch.arange(1.0, T + 1, dtype=torch.float64)}
    weights |= {"a.mean": 0 * ones, "a.variance": ones}
    batch, _ = normed(ModelConfig(norm="batch"), weights, x, True)
    torch.testing.assert_close(batch.mean((0, 1, 3, 4)), 0 * ones, atol=1e-12, rtol=0)
    torch.testing.assert_close(batch.var((0, 1, 3, 4), correction=0), ones, atol=1e-3, rtol=0)
    tebn, _ = normed(ModelConfig(norm="tebn"), weights, x, True)
    for t in range(T):
        torch.testing.assert_close(tebn[t], (t + 1) * batch[t])
    group, statistics = normed(ModelConfig(norm="group"), weights, x, True)
    assert statistics == {}
    halves = group.unflatten(2, (2, 2)).mean((3, 4, 5))
    torch.testing.assert_close(halves, torch.zeros_like(halves), atol=1e-12, rtol=0)


def test_what_norms_do_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="norm_shift is for norms"):
        experiment([4], "model.norm_shift=true")
    with pytest.raises(InputError, match="leak is for neuron"):
        experiment([4], "model.leak=0.9")


# ---- the whole network against a plain loop over time


class Plain:
    """A loop over bins as the equations say it: convolution, norm by bin, neuron, pool."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self.weights = weights

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits of x (T, B, 2, 8, 8)."""
        w, potentials, total = self.weights, [0.0] * 3, 0.0
        for t in range(T):
            first = self.layer(0, conv2d(x[t], w["hidden0.input"], padding=1), potentials, t)
            second = conv2d(first, w["hidden1.input"], stride=2, padding=1, groups=2)
            pooled = avg_pool2d(self.layer(1, second, potentials, t), 2)
            third = self.layer(2, pooled.flatten(1) @ w["hidden2.input"].t(), potentials, t)
            total = total + third @ w["readout"].t()
        return total / T

    def layer(self, index: int, x: Tensor, potentials: list, t: int) -> Tensor:
        """Return the spikes of one bin, and step the potentials."""
        axes = [axis for axis in range(x.dim()) if axis != 1]
        mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
        scale = self.weights[f"hidden{index}.scale"][t].view(1, -1, *(1,) * (x.dim() - 2))
        u = 0.95 * potentials[index] + scale * (x - mean) / (variance + 1e-4).sqrt()
        height = 0.3 * (1 - (u.detach() - 1).abs()).clamp(min=0)
        spikes = (u > 1).double() + height * (u - u.detach())  # the derivative is the height
        potentials[index] = u - spikes.detach()
        return spikes


def test_a_convolutional_network_is_its_plain_loop_over_time() -> None:
    settings = experiment(["4c3", "6c3s2g2", "p2", 5], *FEDSNN)
    network = build_network(settings, Shape((2, 8, 8), 3))
    params = torch.tensor(initial_params(settings.model, network.layout, 0)).double()
    words = torch.Generator().manual_seed(3)
    x = torch.randint(-1, 2, (T, B, 2, 8, 8), generator=words).double()
    labels = torch.tensor([0, 2, 1])
    gradients, logits = [], []
    for forward in (
        lambda w: network.forward(w, x, Pass(learn=True)).logits,
        lambda w: Plain(w).logits(x),
    ):
        weights = {
            name: params[place].view(shape).clone().requires_grad_()
            for name, place, shape in network.layout.slices()
        }
        logits.append(forward(weights))
        cross_entropy(logits[-1], labels).backward()
        gradients.append({name: w.grad for name, w in weights.items() if w.grad is not None})
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-9, atol=1e-9)
    assert gradients[0].keys() == gradients[1].keys()
    assert len(gradients[0]) == 4 + 3  # weights and scales
    for name, gradient in gradients[1].items():
        assert gradient.any(), name
        torch.testing.assert_close(gradients[0][name], gradient, rtol=1e-9, atol=1e-9)
    spikes = network.forward(weights, x, Pass(learn=True, rates=True)).spikes
    assert [layer.shape[2:] for layer in spikes] == [(4, 8, 8), (6, 4, 4), (5,)]
    assert 0.02 < float(np.mean([layer.detach().mean() for layer in spikes])) < 0.8


@pytest.mark.parametrize(("norm", "shape"), [("batch", (4,)), ("bntt", (1, 4))])
def test_an_ann_of_the_same_layers_norms_images_without_time(
    norm: str, shape: tuple[int, ...]
) -> None:
    settings = experiment(["4c3", "m2", 5], "model.kind=ann", f"model.norm={norm}")
    network = build_network(settings, Shape((2, 8, 8), 3))
    weights = {name: torch.ones(shape) for name, _, shape in network.layout.slices()}
    pixels = torch.rand(B, 2, 8, 8, generator=torch.Generator().manual_seed(4))
    found = network.forward(weights, pixels, Pass(learn=True))
    assert found.logits.shape == (B, 3)
    assert found.statistics["hidden0.mean"].shape == weights["hidden0.mean"].shape == shape
    assert set(found.statistics) == {
        f"hidden{k}.{name}" for k in (0, 1) for name in ("mean", "variance")
    }
