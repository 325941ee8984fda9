"""Residual blocks, dropout and the released ANN of FedSNN: counts, shapes, and plain twins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, cross_entropy, relu

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import Experiment
from hpcfed.config.file import parse_experiment, to_toml
from hpcfed.errors import InputError
from hpcfed.networks.contract import Pass
from hpcfed.networks.layout import initial_params
from hpcfed.networks.network import build_network
from hpcfed.networks.stack import products, stack_layers, stack_layout, stages
from hpcfed.samples.samples import Shape

T, B = 4, 3
CIFAR = Shape((3, 32, 32), 10)
LEAKY = ("model.neuron=leaky", "model.norm=bntt", "model.surrogate=triangle",
         "model.readout=current", "model.surrogate_slope=1.0")  # fmt: skip
RELEASED_ANN = [
    "64c3", "p2", "64c3", "d0.3", "128c3", "p2", "128c3", "d0.3", "256c3", "p2", "256c3", "p2",
    "256c3", "d0.3", 4096, "d0.5", 4096, "d0.5",
]  # fmt: skip
RESNET18 = ["64c3", *[["64c3", "64c3"]] * 2] + [
    block
    for width in (128, 256, 512)
    for block in ([f"{width}c3s2", f"{width}c3"], [f"{width}c3", f"{width}c3"])
] + ["p"]  # fmt: skip


def experiment(hidden: list[Any], *overrides: str) -> Experiment:
    text = f"[model]\nhidden = {hidden}\n".replace("'", '"')
    return parse_experiment(text, ["data.num_bins=4", "data.duration=0.04", *overrides])


def test_the_released_ann_has_its_counts() -> None:
    found = experiment(RELEASED_ANN, "model.kind=ann", "model.norm=batch", "model.norm_shift=true",
                       "model.norm_dense=false", "model.init=vgg")  # fmt: skip
    layout = stack_layout(found.model, CIFAR, 1)
    assert layout.num_masked == 22_746_816
    assert sum(one.operations for one in products(found.model, CIFAR, 1)) == 91_201_536
    normed = {name.split(".")[0] for name in layout.names if name.endswith("scale")}
    assert normed == {f"hidden{k}" for k in range(7)}


def test_resnet18_and_its_spike_adding_twin_can_be_written() -> None:
    """Those of torchvision, for pictures of 32 pixels: 11.17 million weights without biases."""
    model = experiment(RESNET18, *LEAKY).model
    layout = stack_layout(model, CIFAR, T)
    assert layout.num_masked == 11_164_352
    assert sum(name.endswith("shortcut.input") for name in layout.names) == 3
    assert len(stack_layers(model, CIFAR)) == 17
    added = experiment(RESNET18, *LEAKY, "model.residual=spike-add").model
    assert stack_layout(added, CIFAR, T).num_masked == layout.num_masked
    assert len(stack_layers(added, CIFAR)) == 20  # shortcuts have neurons as well
    assert stages(model, CIFAR)[-1].output == (512, 1, 1)


def test_blocks_survive_the_run_files_text() -> None:
    found = experiment(["4c3", ["4c3", "4c3"], 8])
    assert found.model.hidden == ("4c3", ("4c3", "4c3"), 8)
    assert parse_experiment(to_toml(found), []) == found


@pytest.mark.parametrize(
    ("hidden", "words"),
    [
        (["4c3", []], "layers with weights alone"),
        (["4c3", ["4c3", "p2"]], "layers with weights alone"),
        (["4c3", ["8c3p0"]], "could only become"),
        (["d0.3"], "at least one layer with weights"),
        (["d1.3", 4], "is no layer"),
        (["4c3", [["4c3"]]], r'model.hidden.1.0: .*, found \["4c3"\]$'),
        ([3.5], "model.hidden.0: input should be a valid integer, found 3.5$"),
    ],
)
def test_blocks_that_cannot_be_are_bad_input(hidden: list[Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        stages(experiment(hidden).model, Shape((2, 8, 8), 3))


# ---- against plain loops


def normed(x: Tensor, scale: Tensor) -> Tensor:
    axes = [axis for axis in range(x.dim()) if axis != 1]
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
    return scale.view(1, -1, *(1,) * (x.dim() - 2)) * (x - mean) / (variance + 1e-4).sqrt()


class Loop:
    """A convolution, a block with a shortcut, a readout, bin by bin."""

    def __init__(self, weights: dict[str, Tensor], spike_add: bool) -> None:
        self.w, self.spike_add = weights, spike_add
        self.potentials: dict[str, Tensor] = {}

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits of x (T, B, 2, 6, 6)."""
        total = torch.zeros(())
        for t in range(T):
            first = self.fire("hidden0", self.drive("hidden0", x[t], t))
            inner = self.fire("hidden1", self.drive("hidden1", first, t, stride=2))
            drive = self.drive("hidden2", inner, t)
            short = self.drive("hidden2.shortcut", first, t, stride=2, padding=0)
            if self.spike_add:
                out = self.fire("hidden2", drive) + self.fire("hidden2.shortcut", short)
            else:
                out = self.fire("hidden2", drive + short)
            total = total + out.flatten(1) @ self.w["readout"].t()
        return total / T

    def drive(self, name: str, x: Tensor, t: int, stride: int = 1, padding: int = 1) -> Tensor:
        """Return the normed convolution of one bin."""
        found = conv2d(x, self.w[f"{name}.input"], stride=stride, padding=padding)
        return normed(found, self.w[f"{name}.scale"][t])

    def fire(self, name: str, x: Tensor) -> Tensor:
        """Return the spikes of one bin."""
        u = 0.95 * self.potentials.get(name, torch.zeros(())) + x
        height = (1 - (u.detach() - 1).abs()).clamp(min=0)
        spikes = (u > 1).double() + height * (u - u.detach())
        self.potentials[name] = u - spikes.detach()
        return spikes


def both(
    settings: Experiment, shape: Shape, x: Tensor, plain: Callable[[dict[str, Tensor]], Tensor],
) -> None:  # fmt: skip
    network = build_network(settings, shape)
    params = torch.tensor(initial_params(settings.model, network.layout, 0)).double()
    labels, results = torch.tensor([0, 2, 1]), []
    for forward in (lambda w: network.forward(w, x, Pass(learn=True)).logits, plain):
        weights = {
            name: params[place].view(size).clone().requires_grad_()
            for name, place, size in network.layout.slices()
        }
        logits = forward(weights)
        cross_entropy(logits, labels).backward()
        results.append((logits, {n: w.grad for n, w in weights.items() if w.grad is not None}))
    (ours, mine), (theirs, expected) = results
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    assert mine.keys() == expected.keys()
    for name, gradient in expected.items():
        assert gradient.any(), name
        torch.testing.assert_close(mine[name], gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("residual", ["before", "spike-add"])
def test_a_residual_block_is_its_plain_loop(residual: str) -> None:
    settings = experiment(
        ["4c3", ["6c3s2", "6c3"]], *LEAKY, f"model.residual={residual}", "model.init_scale=2.0"
    )
    x = torch.randint(-1, 2, (T, B, 2, 6, 6), generator=torch.Generator().manual_seed(1)).double()
    both(settings, Shape((2, 6, 6), 3), x, lambda w: Loop(w, residual == "spike-add").logits(x))


def test_an_anns_block_is_relu_of_a_sum() -> None:
    settings = experiment(["4c3", ["4c3"]], "model.kind=ann", "model.norm=bntt",
                          "model.activation=relu")  # fmt: skip
    x = torch.rand(B, 2, 6, 6, generator=torch.Generator().manual_seed(1)).double()

    def plain(w: dict[str, Tensor]) -> Tensor:
        first = relu(normed(conv2d(x, w["hidden0.input"], padding=1), w["hidden0.scale"][0]))
        drive = normed(conv2d(first, w["hidden1.input"], padding=1), w["hidden1.scale"][0])
        return relu(drive + first).flatten(1) @ w["readout"].t()

    both(settings, Shape((2, 6, 6), 3), x, plain)


def test_dropout_is_by_words_and_in_training_alone() -> None:
    settings = experiment([50, "d0.4"], "model.kind=ann", "model.activation=relu")
    network = build_network(settings, Shape((2, 6, 6), 3))
    weights = {name: torch.full(size, 0.01) for name, _, size in network.layout.slices()}
    weights["readout"] = torch.eye(50)[:3]
    x = torch.ones(B, 2, 6, 6)
    stream = Stream(5, Purpose.NETWORK, 1, 2)
    still = network.forward(weights, x, Pass(learn=False, words=stream.words)).logits
    assert torch.equal(still, network.forward(weights, x, Pass(learn=True)).logits)
    found = network.forward(weights, x, Pass(learn=True, words=stream.words)).logits
    kept = (stream.words(B * 50) >= round(0.4 * 2**32)).reshape(B, 50)[:, :3]
    expected = still.numpy() * kept / 0.6
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    assert 0 < kept.mean() < 1
