"""Networks that learn by rates and answer by spikes: gradients, norms, time, input, and noise."""

from __future__ import annotations

from typing import Any  # settings of any type

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import Experiment
from hpcfed.config.file import build_experiment
from hpcfed.config.soft_lif import at_window
from hpcfed.errors import InputError
from hpcfed.networks.contract import Pass
from hpcfed.networks.layout import initial_params
from hpcfed.networks.network import build_network
from hpcfed.networks.rates import soft_rates
from hpcfed.networks.soft_lif import SoftLifNetwork
from hpcfed.samples.samples import Shape

SHAPE = Shape((2, 6, 6), 3)
HIDDEN = ["4c3", "p2", 5]
LEARN, ANSWER = Pass(learn=True), Pass(learn=False)
BATCH = 5


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Small steps are slower on several threads; trainers take one as well."""
    torch.set_num_threads(1)


def experiment(*, duration: float = 0.1, steps: int = 100, **model: Any) -> Experiment:
    given = {"kind": "soft-lif", "hidden": HIDDEN, "init": "xavier"} | model
    data = {"dataset": "digits", "duration": duration, "num_bins": steps}
    return build_experiment({"data": data, "model": given}, "test")


def network(shape: Shape = SHAPE, **settings: Any) -> SoftLifNetwork:
    found = build_network(experiment(**settings), shape)
    assert isinstance(found, SoftLifNetwork)
    return found


def weights_of(made: SoftLifNetwork, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    params = initial_params(made.model, made.layout, 0)
    rng = np.random.default_rng(3)
    for name, part in made.layout.split(params).items():
        if name.endswith(("variance", "scale", "mean")):
            part[:] = rng.uniform(0.5, 1.5, part.shape)
    return {name: torch.tensor(part).to(dtype) for name, part in made.layout.split(params).items()}


def pixels(dtype: torch.dtype = torch.float64, batch: int = BATCH) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (batch, 2, 6, 6))).to(dtype)


def test_a_pass_that_learns_sends_rates_from_layer_to_layer() -> None:
    made = network(soft_lif={"gain": 0.8, "bias": 1.2, "sigma": 0.1})
    weights, images = weights_of(made), pixels()
    found = made.forward(weights, images, LEARN)
    neurons = made.neurons
    first = conv2d(images, weights["hidden0.input"], padding=1)
    sent = avg_pool2d(soft_rates(0.8 * first + 1.2, neurons)[0], 2).flatten(1)
    sent = soft_rates(0.8 * (sent @ weights["hidden1.input"].t()) + 1.2, neurons)[0]
    torch.testing.assert_close(found.logits, sent @ weights["readout"].t())
    assert (found.rates, list(found.spikes), found.entering) == (None, [], {})


def test_gradients_are_those_of_differences() -> None:
    made = network(soft_lif={"sigma": 0.1}, norm="batch", norm_shift=True)
    weights = {name: part.requires_grad_() for name, part in weights_of(made).items()}
    trained = [name for name in weights if not name.endswith(("mean", "variance"))]
    truth = torch.tensor([0, 1, 2, 0, 1])

    def loss() -> Tensor:
        found = made.forward(weights, pixels(), LEARN)
        return torch.nn.functional.cross_entropy(found.logits, truth)

    gradients = torch.autograd.grad(loss(), [weights[name] for name in trained])
    for name, gradient in zip(trained, gradients, strict=True):
        flat, step = weights[name].detach().view(-1), 1e-6
        for place in range(0, len(flat), max(1, len(flat) // 7)):
            ends = []
            for side in (step, -2 * step):
                flat[place] += side
                ends.append(float(loss().detach()))
            flat[place] += step
            slope = (ends[0] - ends[1]) / (2 * step)
            assert float(gradient.flatten()[place]) == pytest.approx(slope, rel=1e-5, abs=1e-8), (
                name
            )


def away(seconds: float, **model: Any) -> float:
    """Return how far the logits of spikes are from those of rates, over so many seconds."""
    made = network(duration=seconds, steps=round(1000 * seconds), **model)
    found = made.forward(weights_of(made), pixels(), ANSWER)
    assert found.rates is not None
    assert [len(layer) for layer in found.spikes] == [made.steps] * len(made.layers)
    return float((found.logits - found.rates).abs().max())


def test_spikes_of_a_layer_come_near_the_rates_with_the_window() -> None:
    model = {"hidden": [4], "soft_lif": {"sigma": 1e-3}}
    assert away(0.05, **model) > 5 * away(0.5, **model) > 25 * away(5.0, **model) > 0


def test_deeper_layers_need_a_synapse_for_it() -> None:
    without, smooth = ({"soft_lif": {"sigma": 1e-3} | more} for more in ({}, {"synapse": 0.005}))
    late = away(1.0, **without)
    assert late > 0.8 * away(0.1, **without)  # their currents come in jolts
    assert away(1.0, **smooth) < 0.5 * away(0.1, **smooth)
    assert away(1.0, **smooth) < 0.2 * late


@pytest.mark.parametrize("settle", [0.01, 0.013, 0.024])
def test_what_settles_at_the_start_is_left_out(settle: float) -> None:
    made, shorter = (
        network(duration=0.025, steps=25, soft_lif={"settle": settle}),
        network(duration=settle, steps=round(1000 * settle)),
    )
    whole = network(duration=0.025, steps=25).forward(weights_of(made), pixels(), ANSWER).logits
    before = shorter.forward(weights_of(made), pixels(), ANSWER).logits
    found = made.forward(weights_of(made), pixels(), ANSWER)
    rest = 25 * whole - 1000 * settle * before
    torch.testing.assert_close(found.logits, rest / (25 - round(1000 * settle)))
    assert [len(layer) for layer in found.spikes] == [25, 25]  # all are counted


def test_norms_answer_as_if_folded_into_weights_and_a_bias() -> None:
    settings: dict[str, Any] = {"hidden": [4], "duration": 0.2, "steps": 200}
    normed = network(norm="batch", norm_shift=True, **settings)
    weights = weights_of(normed)
    gain = weights["hidden0.scale"] * torch.rsqrt(weights["hidden0.variance"] + 1e-4)
    offset = weights["hidden0.shift"] - gain * weights["hidden0.mean"]
    # a bias: one more pixel that is always 1
    plain = network(Shape((2 * 36 + 1,), 3), **settings)
    matrix = torch.cat([gain[:, None] * weights["hidden0.input"], offset[:, None]], 1)
    folded = {"hidden0.input": matrix, "readout": weights["readout"]}
    flat = torch.cat([pixels().flatten(1), torch.ones(BATCH, 1)], 1)
    expected, found = (
        plain.forward(folded, flat[None], ANSWER),
        normed.forward(weights, pixels(), ANSWER),
    )
    assert torch.equal(found.spikes[0], expected.spikes[0])
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.rates, expected.rates)


def test_events_are_currents_by_their_number() -> None:
    made = network(Shape((7,), 3), hidden=[5])
    events = torch.from_numpy(np.random.default_rng(2).poisson(0.1, (30, BATCH, 7))).double()
    whole = made.forward(weights_of(made), events.sum(0, keepdim=True), ANSWER)
    found = made.forward(weights_of(made), events, ANSWER)
    assert torch.equal(found.logits, whole.logits)
    assert torch.equal(found.rates, whole.rates)


def test_noise_is_words_of_the_pass_two_a_neuron_and_evaluation_has_none() -> None:
    made = network(hidden=[4], soft_lif={"noise": 10.0})
    stream, asked = Stream(5, Purpose.NETWORK), []

    def words(count: int) -> np.ndarray[Any, Any]:
        asked.append(count)
        return stream.words(count)

    weights = weights_of(made)
    found = made.forward(weights, pixels(), Pass(learn=True, words=words))
    assert asked == [2 * BATCH * 4]
    current = made.neurons.current(pixels().flatten(1) @ weights["hidden0.input"].t())
    normals = torch.from_numpy(stream.normals(BATCH * 4)).view(BATCH, 4)
    expected = made.neurons.rates(current, normals) @ weights["readout"].t()
    torch.testing.assert_close(found.logits, expected)
    quiet = made.forward(weights, pixels(), Pass(learn=False, words=words))
    torch.testing.assert_close(
        quiet.rates, soft_rates(current, made.neurons)[0] @ weights["readout"].t()
    )
    assert len(asked) == 1


def test_what_enters_weights_is_counted_over_all_steps() -> None:
    made = network(duration=0.05, steps=50)
    found = made.forward(weights_of(made), pixels(), ANSWER)
    assert found.entering["hidden0.input"][0] == 50 * BATCH * 72  # pixels enter in each step
    spikes = int(found.spikes[1].sum())
    assert found.entering["readout"].tolist() == [spikes, spikes]
    assert [product.inputs for product in made.products] == [50 * 72, 50 * 36, 50 * 5]
    assert made.step_bytes(2) < made.step_bytes(64)


@pytest.mark.parametrize("residual", ["before", "spike-add"])
def test_residual_blocks_add_rates_and_spikes_alike(residual: str) -> None:
    settings = {"hidden": ["4c3", ["4c3", "4c3"], "p"], "residual": residual, "init_scale": 0.3}
    near, far = (away(time, soft_lif={"synapse": 0.02}, **settings) for time in (1.0, 0.1))
    assert near < 0.5 * far


def test_the_same_bits_in_any_batch_of_one_size() -> None:
    made, images = network(), pixels(torch.float32, 8)
    weights = weights_of(made, torch.float32)
    turned = made.forward(weights, images.flip(0), ANSWER).logits.flip(0)
    assert torch.equal(made.forward(weights, images, ANSWER).logits, turned)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hidden": ["4c3", "m2"]}, 'use average pools, "p2" for "m2"'),
        ({"recurrent": True, "hidden": [5]}, "neither recurrent weights nor repeated blocks"),
        ({"hidden": ["4c3", ["repeat", "4c3"]]}, "neither recurrent weights nor repeated blocks"),
        ({"norm": "bntt"}, 'use "batch", or none'),
        ({"norm": "group"}, "cannot be folded"),
        ({"readout": "max"}, 'readout = "mean"'),
        ({"kind": "ann", "soft_lif": {"sigma": 0.1}}, r'is for kind = "soft-lif", and kind ='),
        ({"soft_lif": {"windows": []}}, "names no window"),
        ({"soft_lif": {"windows": [0.2, 0.1]}}, "ascending order"),
        ({"soft_lif": {"windows": [0.0015]}}, r"0.0015 s is no whole number of steps of 0.001 s"),
        ({"soft_lif": {"windows": [0.0001]}}, "no whole number of steps"),
        ({"soft_lif": {"settle": 0.1}}, r"settle = 0.1 s leaves nothing of a window of 0.1 s"),
        ({"soft_lif": {"settle": 0.02, "windows": [0.02, 0.4]}}, "nothing of a window of 0.02 s"),
        ({"steps": 20}, r"a step of 0.005 s .* raise data.num_bins to 50 or more"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        experiment(**settings)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({"data": {"encoder": "poisson"}}, "leave data.encoder out"),
        ({"client": {"rate_upper": 0.5}}, "no spikes in training"),
        ({"rule": {"kind": "glm"}, "client": {"optimizer": "sgd"}}, "two kinds of network"),
        ({"rule": {"kind": "local"}}, "spiking networks of dense layers alone"),
        ({"client": {"engine": "event"}}, ""),
    ],
)
def test_what_does_not_fit_together_is_refused(tree: dict[str, Any], words: str) -> None:
    whole = {"data": {"dataset": "digits", "duration": 0.1} | tree.pop("data", {})}
    made: dict[str, Any] = whole | {"model": {"kind": "soft-lif", "hidden": [4]}} | tree
    if not words:  # said when the engine is chosen
        from hpcfed.learning.engines import resolve_engine

        with pytest.raises(InputError, match="soft-lif"):
            resolve_engine(build_experiment(made, "test"))
        return
    with pytest.raises(InputError, match=words):
        build_experiment(made, "test")


def test_a_window_is_so_many_steps_of_the_same_length() -> None:
    longer = at_window(experiment(), 0.25)
    assert (longer.data.duration, longer.data.num_bins) == (0.25, 250)
    assert longer.dt == pytest.approx(0.001)
    assert longer.model == experiment().model
