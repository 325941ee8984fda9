"""Blocks that are repeated with the same weights: sizes, equations, gradients, and their time."""

from __future__ import annotations

from typing import Any  # settings of any type

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, group_norm, relu

from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.learning.autograd.training import matrices
from hpcfed.networks.contract import Activity, Network, Pass
from hpcfed.networks.layout import initial_params
from hpcfed.networks.network import build_network
from hpcfed.networks.neurons import Neurons
from hpcfed.networks.stack import products, stages
from hpcfed.samples.samples import Shape

PLAIN, AGAIN = ["4c3", "4c3"], ["repeat", "4c3", "4c3"]
SMALL = Shape((2, 6, 6), 3)
BINS, BATCH = 3, 5


def experiment(hidden: list[Any], kind: str = "ann", **model: Any) -> Experiment:
    """Return an experiment on images; a spiking one has BINS bins of a second each."""
    data = {"dataset": "digits", "duration": 3.0, "num_bins": BINS}
    given = {"kind": kind, "hidden": hidden, "tau_mem": 2.0, "tau_syn": 2.0, "init": "xavier"}
    if kind == "snn":
        data["encoder"] = "poisson"
        given |= {"neuron": "leaky", "threshold": 0.3}
    return Experiment.model_validate({"data": data, "model": given | model})


def network(hidden: list[Any], kind: str = "ann", shape: Shape = SMALL, **model: Any) -> Network:
    return build_network(experiment(hidden, kind, **model), shape)


def sizes(hidden: list[Any], **model: Any) -> tuple[int, int]:
    """Return how many parameters are trained for CIFAR-10, and how many there are in all."""
    settings = {"norm": "batch", "norm_shift": True} | model
    layout = network(hidden, shape=Shape((3, 32, 32), 10), **settings).layout
    return layout.num_trained, layout.size


def ode(widths: tuple[int, ...], layer: str = "c") -> list[Any]:
    """Return stages of one repeated block each, with a convolution of stride 2 between."""
    found: list[Any] = [f"{widths[0]}c3"]
    for place, width in enumerate(widths):
        found += [f"{width}c3s2"] if place else []
        found.append(["repeat", f"{width}{layer}3", f"{width}{layer}3"])
    return [*found, "p"]


def resnet(numbers: tuple[int, ...]) -> list[Any]:
    """Return the layers of ResNet-18 and -34 for small pictures."""
    found: list[Any] = ["64c3"]
    for place, number in enumerate(numbers):
        width = 64 << place
        first = [f"{width}c3s2" if place else f"{width}c3", f"{width}c3"]
        found += [first] + [[f"{width}c3"] * 2] * (number - 1)
    return [*found, "p"]


@pytest.mark.parametrize("depth", [1, 4, 12])
@pytest.mark.parametrize(
    ("hidden", "trained"),
    [
        (ode((16, 32, 64)), 123_568),
        (ode((64, 128, 256)), 1_931_968),
        (ode((64, 128, 256), "x"), 556_662),
        (ode((64, 128, 256, 512), "x"), 2_276_488),
    ],
    ids=["ode 16-64", "ode 64-256", "separable 64-256", "separable 64-512"],
)
def test_sizes_are_the_published_ones_however_often(
    hidden: list[Any], trained: int, depth: int
) -> None:
    assert sizes(hidden, repeat={"depth": depth})[0] == trained


def test_messages_are_nine_tenths_smaller_than_those_of_residual_networks() -> None:
    large, larger = sizes(resnet((2, 2, 2, 2))), sizes(resnet((3, 4, 6, 3)))
    assert (large[0], larger[0]) == (11_173_952, 21_282_112)
    assert 1 - sizes(ode((64, 128, 256)))[1] / larger[1] > 0.9
    assert 1 - sizes(ode((64, 128, 256), "x"))[1] / large[1] > 0.94


def run(
    net: Network, depth: int = 0, learn: bool = True, real: Any = np.float32
) -> tuple[Activity, Tensor]:
    """Return what a network does on random spikes, and a gradient of its parameters."""
    rng = np.random.default_rng(3)
    settings = experiment(PLAIN).model
    params = torch.tensor(initial_params(settings, net.layout, 0).astype(real), requires_grad=True)
    inputs = torch.tensor((rng.random((BINS, BATCH, *SMALL.input)) < 0.5).astype(real))
    found = net.forward(matrices(net.layout, params), inputs, Pass(learn=learn, depth=depth))
    (gradient,) = torch.autograd.grad(found.logits.square().sum(), params)
    return found, gradient


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("kind", ["ann", "snn"])
@pytest.mark.parametrize("step", [1, "1/C"])
def test_a_block_repeated_once_is_a_residual_block_bit_for_bit(
    kind: str, norm: str, step: Any
) -> None:
    repeat = {"depth": 1, "time": False, "step": step}
    first, gradient = run(network(["4c3", PLAIN, "p2", 8], kind, norm=norm))
    second, other = run(network(["4c3", AGAIN, "p2", 8], kind, norm=norm, repeat=repeat))
    assert torch.equal(first.logits, second.logits)
    assert torch.equal(gradient, other)
    assert first.logits.abs().max() > 0
    for one, two in zip(first.spikes, second.spikes, strict=True):
        assert torch.equal(one, two)
    for name, values in first.statistics.items():
        assert torch.equal(values, second.statistics[name])


def plainly(weights: dict[str, Tensor], x: Tensor, depth: int, step: float) -> Tensor:
    """Return the logits of [4c3, [repeat, 4x3, 4c3], p], the time a channel of its own."""

    def normed(values: Tensor, name: str) -> Tensor:
        return group_norm(values, 2, weights[f"{name}.scale"], eps=1e-4)

    z = s = relu(normed(conv2d(x, weights["hidden0.input"], padding=1), "hidden0"))
    for k in range(depth):
        time = torch.full_like(s[:, :1], k / depth)
        inner = conv2d(torch.cat([s, time], 1), weights["hidden1.within"], padding=1, groups=5)
        inner = relu(normed(conv2d(inner, weights["hidden1.input"]), "hidden1"))
        seen = torch.cat([inner, time], 1)
        z = z + step * normed(conv2d(seen, weights["hidden2.input"], padding=1), "hidden2")
        s = relu(z)
    return s.mean((2, 3)) @ weights["readout"].t()


def drawn(*shape: int) -> Tensor:
    """Return numbers from 0 to 1; always the same ones."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("depth", "step"), [(1, "1/C"), (3, "1/C"), (4, 1)])
def test_iterations_are_eulers_steps_with_the_time_as_a_channel(depth: int, step: Any) -> None:
    net = network(
        ["4c3", ["repeat", "4x3", "4c3"], "p"], norm="group", activation="relu",
        repeat={"depth": 2, "step": step},
    )  # fmt: skip
    assert net.layout.shapes[1:4] == ((5, 1, 3, 3), (4, 5, 1, 1), (4, 5, 3, 3))
    params = torch.tensor(initial_params(experiment(PLAIN).model, net.layout, 1)).double()
    weights, x = matrices(net.layout, params), drawn(BATCH, *SMALL.input).double()
    found = net.forward(weights, x, Pass(learn=True, depth=depth))
    expected = plainly(weights, x, depth, 1.0 if step == 1 else 1 / depth)
    torch.testing.assert_close(found.logits, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("layers", [["4c3", "4c3"], ["4x3"], [7, 7]], ids=str)
def test_gradients_are_those_by_differences(layers: list[Any], norm: str) -> None:
    hidden = [*([7] if layers[0] == 7 else ["4c3"]), ["repeat", *layers]]
    net = network(hidden, norm=norm, repeat={"depth": 3})
    params = torch.tensor(initial_params(experiment(PLAIN).model, net.layout, 2)).double()
    x = drawn(BATCH, *SMALL.input).double()

    def loss(values: Tensor) -> Tensor:
        found = net.forward(matrices(net.layout, values), x, Pass(learn=True))
        return found.logits.square().sum()

    params.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(params), params)
    rng = np.random.default_rng(0)
    for place in rng.choice(net.layout.num_trained, 25, replace=False).tolist():
        change = torch.zeros_like(params)
        change[place] = 1e-6
        with torch.no_grad():
            slope = (loss(params + change) - loss(params - change)) / 2e-6
        assert float(gradient[place]) == pytest.approx(float(slope), rel=1e-5, abs=1e-7)


def test_neurons_that_carry_on_have_one_time_for_all_iterations() -> None:
    net = network(["4c3", AGAIN, "p"], "snn", repeat={"depth": 2, "neurons": "carried"})
    fresh = network(["4c3", AGAIN, "p"], "snn", repeat={"depth": 2})
    (carried, _), (begun, _) = run(net), run(fresh)
    assert torch.equal(carried.spikes[0], begun.spikes[0])  # before the block
    assert not torch.equal(carried.spikes[2], begun.spikes[2])
    neurons = Neurons(experiment(["4c3", AGAIN, "p"], "snn").model, 1.0)
    drive = drawn(6, BATCH, 4)
    whole = neurons.spikes(drive, None)
    first, state = neurons.go_on(drive[:2], None, None)
    second, _ = neurons.go_on(drive[2:], None, state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert whole.any()


def test_statistics_move_once_an_iteration() -> None:
    net = network(["4c3", AGAIN, "p"], norm="batch", repeat={"step": 1, "time": False})
    once, _ = run(net, depth=1)
    often, _ = run(net, depth=60)
    variance = "hidden1.variance"
    start = torch.ones(4)
    moved = (once.statistics[variance] - start).abs() / 0.1  # a tenth of the way
    assert (moved > 0).all()
    far = (often.statistics[variance] - start).abs()
    assert (far > (once.statistics[variance] - start).abs()).all()


def test_what_enters_is_counted_in_all_iterations_with_the_time() -> None:
    net = network(["4c3", AGAIN, "p"], "snn", repeat={"depth": 2})
    found, _ = run(net, learn=False)
    number, total = found.entering["hidden1.input"].tolist()
    first = float(found.spikes[0].sum())
    places = BINS * BATCH * 36
    assert number >= first + places  # a spike each, and in the second iteration the time
    assert total - (number - places) == pytest.approx(places * 0.5)
    shape, model = SMALL, experiment(["4c3", AGAIN, "p"], repeat={"depth": 3}).model
    by_name = {one.name: one for one in products(model, shape, BINS)}
    assert by_name["hidden1.input"].operations == 3 * 4 * 5 * 9 * 36
    assert by_name["hidden1.input"].inputs == 3 * BINS * 5 * 36


def test_operations_grow_with_the_depth_and_the_rest_stays() -> None:
    net: Any = network(["4c3", AGAIN, "p"], repeat={"depth": 2})
    inner = 2 * 4 * 5 * 9 * 36
    outer = 4 * 2 * 9 * 36 + 3 * 4
    assert [net.operations(depth) for depth in (1, 2, 12)] == [
        outer + depth * inner for depth in (1, 2, 12)
    ]


def test_a_block_that_makes_something_else_cannot_be_repeated() -> None:
    model = experiment(["4c3", ["repeat", "4c3", "8c3"]]).model
    with pytest.raises(InputError, match="makes \\(8, 6, 6\\) of \\(4, 6, 6\\)"):
        stages(model, SMALL)


def test_groups_and_a_channel_of_the_time_are_not_combined() -> None:
    hidden = ["4c3", ["repeat", "4c3g4", "4c1"]]
    with pytest.raises(InputError, match=r'use "4x3", or set model\.repeat\.time = false'):
        stages(experiment(hidden).model, SMALL)
    found, _ = run(network([*hidden, "p"], repeat={"depth": 2, "time": False}))
    assert torch.isfinite(found.logits).all()


def test_what_enters_a_separable_layers_second_product_is_what_the_first_made() -> None:
    net = network(["4c3", ["repeat", "4x3"], "p"], repeat={"depth": 2}, norm="group")
    found, _ = run(net, learn=False)
    layout = net.layout
    params = torch.tensor(initial_params(experiment(PLAIN).model, layout, 0))
    within = matrices(layout, params)["hidden1.within"]
    instant = conv2d(torch.full((1, 1, 6, 6), 0.5), within[-1:], padding=1)
    longer, _ = run(net, learn=False, depth=1)  # without a time of its own
    more = found.entering["hidden1.input"] - longer.entering["hidden1.input"]
    assert more[1] >= BINS * BATCH * instant.abs().sum() * (1 - 1e-6)


def test_memory_grows_with_the_depth_and_most_where_neurons_go_on() -> None:
    def bytes_of(**repeat: Any) -> int:
        net: Any = network(["4c3", AGAIN, "p"], "snn", repeat=repeat)
        found: int = net.step_bytes(100)
        return found

    cells = BINS * 100 * 4 * 36
    assert bytes_of(depth=3) - bytes_of(depth=2) == 2 * 5 * cells
    assert bytes_of(depth=3, neurons="carried") - bytes_of(depth=3) == 3 * 2 * 28 * cells


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"repeat": {"curve": []}}, "curve names no depth"),
        ({"repeat": {"depth": 2}, "hidden": [8]}, "hidden has none"),
        ({"repeat": {"depth": 2, "depths": [2]}}, "give one of them"),
        ({"repeat": {"depths": []}}, "names no depth"),
        ({"repeat": {"drawn": True}}, "drawn is for depths"),
        ({"repeat": {"curve": [4, 2]}}, "ascending"),
        ({"repeat": {"depth": 0}}, "greater than or equal to 1"),
        ({"repeat": {"neurons": "fresh"}}, "an ann has none"),
        ({"hidden": [["repeat"]]}, "layers with weights alone"),
        ({"hidden": [["repeat", "p2"]]}, "layers with weights alone"),
        ({"hidden": [["repeat", ["4c3"]]]}, "hidden"),
        ({"hidden": [8, ["repeat", 8]], "recurrent": True}, "not combined"),
    ],
)
def test_what_has_no_meaning_is_refused(model: dict[str, Any], reason: str) -> None:
    hidden = model.pop("hidden", ["4c3", AGAIN])
    with pytest.raises(ValueError, match=reason):
        experiment(hidden, **model)
