"""The reference networks: numbers by hand, and a comparison with norse and a plain twin."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from engine_comparison import assert_engine_agrees
from numpy.testing import assert_allclose, assert_array_equal

from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.networks.contract import Network, Pass
from hpcfed.networks.layout import Layout
from hpcfed.networks.network import build_network
from hpcfed.networks.surrogates import surrogate
from hpcfed.samples.samples import Shape

LEARN = Pass(learn=True, rates=True)


def experiment(num_bins: int = 12, **model: object) -> Experiment:
    """Return an experiment of 10 ms bins, so that dt/tau is 1/2 for both default constants."""
    settings = {"tau_mem": 0.02, "tau_syn": 0.02, "hidden": [1], **model}
    return Experiment.model_validate(
        {"data": {"duration": num_bins / 100, "num_bins": num_bins}, "model": settings}
    )


def chain(drive: list[float], weight: float = 1.0, **model: object) -> list[float]:
    """Return the spikes of one neuron with one input of the given values and weight."""
    network = build_network(experiment(len(drive), **model), Shape((1,), 2))
    weights = {name: torch.full(shape, weight).double() for name, _, shape in parts(network)}
    (spikes,) = network.forward(
        weights, torch.tensor(drive).double().reshape(-1, 1, 1), LEARN
    ).spikes
    return spikes.flatten().tolist()


def parts(network: Network) -> list[tuple[str, slice, tuple[int, int]]]:
    return list(network.layout.slices())


# --- numbers by hand ------------------------------------------------------------------------------


def test_voltage_under_constant_current_follows_its_closed_form() -> None:
    """Neurons share the readout's step, which an IF neuron in every bin drives with a current of 1.

    With a = dt/tau = 1/2 for both constants the current before its decay is i_n = 2 (1 - 2^-n)
    and the voltage v_n = v_(n-1) / 2 + i_n / 2, so v_n = 1/2, 1, 11/8, ... = 2 - (2 + n) 2^-n.
    """
    for num_bins in (1, 2, 5, 12):
        settings = experiment(num_bins, neuron="if", readout="last")
        network = build_network(settings, Shape((1,), 1))
        weights = {"hidden0.input": torch.full((1, 1), 2.0).double(), "readout": torch.ones(1, 1)}
        weights["readout"] = weights["readout"].double()
        logits = network.forward(weights, torch.ones(num_bins, 1, 1).double(), LEARN).logits
        assert logits.item() == pytest.approx(2 - (2 + num_bins) * 2.0**-num_bins, rel=1e-14)


def test_lif_neuron_spikes_when_its_closed_form_crosses_the_threshold() -> None:
    """Under constant input 1 the same voltage, 1/2, 1, 11/8, crosses theta = 1 in the third bin.

    At v = 1 exactly there is no spike: z = [u > theta]. After the reset to 0 the current stays:
    i_4 = 15/8, u_4 = 15/16; i_5 = 31/16, u_5 = 15/32 + 31/32 = 46/32 > 1.
    """
    assert chain([1.0] * 5) == [0, 0, 1, 0, 1]


def test_if_neuron_counts_its_input() -> None:
    """0.4 a bin: 0.4, 0.8, 1.2 > 1 and back to 0, so one spike in three bins."""
    assert chain([1.0] * 9, weight=0.4, neuron="if") == [0, 0, 1] * 3


def test_alif_threshold_rises_at_a_spike_and_decays() -> None:
    """Input 3 once: i = 3, 3/2, 3/4, ...; the first voltage is 3/2.

    theta = 0.5: a LIF neuron spikes in the first two bins (u = 3/2, 3/4; then 3/8 is no spike).
    ALIF with beta = 1/2, dt/tau_adapt = 1/2: b = 1/2, a spike makes it 1; then 3/4, and u = 3/4 is
    no spike; then b = 5/8, and u = 3/8 + 3/8 = 3/4 is one.
    """
    drive = [3.0, 0, 0, 0]
    assert chain(drive, threshold=0.5) == [1, 1, 0, 0]
    adaptive = {"neuron": "alif", "threshold": 0.5, "beta": 0.5, "tau_adapt": 0.02}
    assert chain(drive, **adaptive) == [1, 0, 1, 0]


def test_recurrent_spike_arrives_one_bin_later() -> None:
    """IF, one input of 2: spike in bin 0; the recurrent weight 2 then keeps it going."""
    drive = [1.0, 0, 0, 0]
    assert chain(drive, weight=2.0, neuron="if", recurrent=True) == [1, 1, 1, 1]
    assert chain(drive, weight=2.0, neuron="if") == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "at_quarter"),
    [
        ("superspike", 1 / 1.5**2),
        ("triangle", 0.5),
        ("tanh", 0.7864477329659274),  # 1 - tanh(1/2)^2
        ("circ", 0.7155417527999327),  # (1 + 1/4)^(-3/2)
        ("heavi_erfc", 0.8787825789354448),  # 2 exp(-1/4) / sqrt(pi)
    ],
)
def test_surrogate_derivative_is_its_formula_at_slope_two(name: str, at_quarter: float) -> None:
    for distance in (0.25, -0.25):
        x = torch.tensor(distance, dtype=torch.float64, requires_grad=True)
        z = surrogate(name, 2.0)(x)
        (slope,) = torch.autograd.grad(z, x)
        assert z.item() == (distance > 0)
        assert slope.item() == pytest.approx(at_quarter, rel=1e-6)


@pytest.mark.parametrize("name", ["superspike", "triangle", "tanh", "circ", "heavi_erfc"])
def test_a_larger_slope_makes_every_surrogate_narrower(name: str) -> None:
    def width(slope: float) -> float:
        x = torch.linspace(-8, 8, 4001, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(surrogate(name, slope)(x).sum(), x)
        return float((gradient > gradient.max() / 2).double().mean())

    assert width(4.0) == pytest.approx(width(1.0) / 4, rel=0.02)


@pytest.mark.parametrize(("reset_gradient", "ratio"), [("detached", 1.0), ("full", 1 / 3)])
def test_reset_gradient_is_detached_or_full(reset_gradient: str, ratio: float) -> None:
    """IF, theta = 1, s = 1, weight w = 1.5, input 1 twice: u_1 = w spikes, u_2 = v_1 + w.

    d z_1 / d w = 1 / (1 + 0.5)^2 = 4/9 and v_1 = (1 - z_1) u_1 = 0. Detached: d v_1 / d w = 0, so
    d u_2 / d w = 1. Full: d v_1 / d w = -4/9 u_1 = -2/3, so d u_2 / d w = 1/3. The last spike has
    d z_2 / d w = 4/9 d u_2 / d w, and the ratio of both spikes' derivatives is 1 or 1/3.
    """
    settings = experiment(
        2, neuron="if", surrogate_slope=1.0, reset_gradient=reset_gradient, readout="last"
    )
    network = build_network(settings, Shape((1,), 1))
    weight = torch.tensor([[1.5]], dtype=torch.float64, requires_grad=True)
    weights = {"hidden0.input": weight, "readout": torch.ones(1, 1, dtype=torch.float64)}
    (spikes,) = network.forward(weights, torch.ones(2, 1, 1, dtype=torch.float64), LEARN).spikes
    first, second = (
        torch.autograd.grad(z.sum(), weight, retain_graph=True)[0].item() for z in spikes
    )
    assert first == pytest.approx(4 / 9, rel=1e-12)
    assert second / first == pytest.approx(ratio, rel=1e-12)


def test_readouts_are_mean_last_and_first_maximum_over_time() -> None:
    """One IF spike in bin 0 of 4: v = 1/2, 1/2, 3/8, 1/4 (a = 1/2 for both constants)."""
    expected = {"mean": 13 / 32, "last": 1 / 4, "max": 1 / 2}
    for readout, value in expected.items():
        network = build_network(experiment(4, neuron="if", readout=readout), Shape((1,), 1))
        weights = {"hidden0.input": torch.full((1, 1), 2.0), "readout": torch.ones(1, 1)}
        logits = network.forward(
            weights, torch.tensor([1.0, 0, 0, 0]).reshape(4, 1, 1), LEARN
        ).logits
        assert logits.item() == pytest.approx(value, rel=1e-6)


# --- norse and the twin ---------------------------------------------------------------------------


def test_lif_equals_norses_lif_step_and_its_gradient() -> None:
    """Where the conventions agree: reset detached, and slope 1, norse's only superspike."""
    from norse.torch.functional.lif import LIFParameters, LIFState, lif_step

    settings = experiment(20, hidden=[6], recurrent=True, surrogate_slope=1.0)
    network, rng = build_network(settings, Shape((5,), 2)), np.random.default_rng(0)
    x = torch.tensor(rng.random((20, 3, 5)) < 0.4).double()
    leaves = {
        name: torch.tensor(rng.uniform(-1, 2, shape), requires_grad=True)
        for name, _, shape in parts(network)
    }
    (spikes,) = network.forward(leaves, x, LEARN).spikes
    p = LIFParameters(torch.tensor(50.0), torch.tensor(50.0), method="super")
    zeros = torch.zeros(3, 6, dtype=torch.float64)
    state, theirs = LIFState(zeros, zeros, zeros), []
    for current in x:
        z, state = lif_step(
            current, state, leaves["hidden0.input"], leaves["hidden0.recurrent"], p, dt=0.01
        )
        theirs.append(z)
    assert 0.1 < spikes.mean().item() < 0.9
    assert_array_equal(spikes.detach().numpy(), torch.stack(theirs).detach().numpy())
    factors = torch.tensor(rng.normal(size=(20, 3, 6)))
    names = ["hidden0.input", "hidden0.recurrent"]
    for ours, norse in zip(
        torch.autograd.grad((spikes * factors).sum(), [leaves[name] for name in names]),
        torch.autograd.grad(
            (torch.stack(theirs) * factors).sum(), [leaves[name] for name in names]
        ),
        strict=True,
    ):
        assert_allclose(ours.numpy(), norse.numpy(), rtol=1e-9, atol=1e-12)


def test_if_with_full_reset_equals_norses_iaf_step_and_its_gradient() -> None:
    from norse.torch.functional import iaf

    settings = experiment(
        20, hidden=[6], neuron="if", surrogate="tanh", surrogate_slope=3.0, reset_gradient="full"
    )
    network, rng = build_network(settings, Shape((5,), 2)), np.random.default_rng(1)
    x = torch.tensor(rng.random((20, 3, 5)) < 0.4).double()
    weight = torch.tensor(rng.uniform(-0.3, 0.6, (6, 5)), requires_grad=True)
    readout = torch.zeros(2, 6, dtype=torch.float64)
    (spikes,) = network.forward({"hidden0.input": weight, "readout": readout}, x, LEARN).spikes
    p = iaf.IAFParameters(torch.tensor(1.0), torch.tensor(0.0), "tanh", 3.0)
    state, theirs = iaf.IAFFeedForwardState(torch.zeros(3, 6, dtype=torch.float64)), []
    for current in x:
        z, state = iaf.iaf_feed_forward_step(current @ weight.t(), state, p)
        theirs.append(z)
    assert 0.1 < spikes.mean().item() < 0.9
    assert_array_equal(spikes.detach().numpy(), torch.stack(theirs).detach().numpy())
    (ours,) = torch.autograd.grad(spikes[-5:].sum(), weight)
    (norse,) = torch.autograd.grad(torch.stack(theirs)[-5:].sum(), weight)
    assert_allclose(ours.numpy(), norse.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["snn", "ann"])
@pytest.mark.parametrize("neuron", ["lif", "alif", "if"])
@pytest.mark.parametrize("surrogate_name", ["superspike", "triangle", "tanh", "circ"])
def test_every_network_has_the_twins_spikes_and_gradients(
    kind: str, neuron: str, surrogate_name: str
) -> None:
    forms = itertools.product([False, True], ["mean", "last", "max"], ["detached", "full"])
    for recurrent, readout, reset_gradient in forms:
        settings = experiment(
            kind=kind,
            neuron=neuron,
            recurrent=recurrent,
            readout=readout,
            reset_gradient=reset_gradient,
            surrogate=surrogate_name,
            surrogate_slope=3.0,
            tau_syn=0.015,
            hidden=[6, 5],
        )
        assert_engine_agrees(settings, num_channels=8, num_classes=3, seed=1)


def test_rate_penalty_has_the_twins_value_and_gradient() -> None:
    client = {"rate_lower": 0.2, "rate_upper": 0.3, "rate_strength": 50.0}
    plain = experiment(hidden=[6, 5])
    settings = Experiment.model_validate({**plain.model_dump(), "client": client})
    assert_engine_agrees(settings, num_channels=8, num_classes=3, seed=2)


# --- cost, and a user's own network ---------------------------------------------------------------


def test_memory_of_a_step_grows_linearly_with_the_number_of_bins() -> None:
    """x[t] on a tensor with a gradient would save and sum T tensors of T bins each."""

    def allocated(num_bins: int) -> int:
        settings = experiment(num_bins, hidden=[8], tau_mem=0.02)
        network = build_network(settings, Shape((4,), 2))
        weights = {
            name: torch.full(shape, 0.5, requires_grad=True) for name, _, shape in parts(network)
        }
        x = torch.ones(num_bins, 2, 4)
        with torch.autograd.profiler.profile(profile_memory=True) as profile:
            logits = network.forward(weights, x, LEARN).logits
            torch.autograd.grad(logits.sum(), list(weights.values()))
        sizes = (event.self_cpu_memory_usage for event in profile.function_events)
        return sum(size for size in sizes if size > 0)

    assert allocated(80) < 2.2 * allocated(40)


class OwnNetwork:
    """A linear classifier of the summed input, as a user would write it."""

    def __init__(self, num_channels: int, num_classes: int) -> None:
        self.layout = Layout.of({"linear": (num_classes, num_channels)})

    def forward(
        self, weights: dict[str, torch.Tensor], events: torch.Tensor
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return logits (B, K) and no spikes."""
        return events.sum(0) @ weights["linear"].t(), []


def make_own(settings: Experiment, num_channels: int, num_classes: int) -> OwnNetwork:
    return OwnNetwork(num_channels, num_classes)


def make_narrow(settings: Experiment, num_channels: int, num_classes: int) -> OwnNetwork:
    return OwnNetwork(num_channels, num_classes - 1)


def make_number(settings: Experiment, num_channels: int, num_classes: int) -> int:
    return 7


def test_own_network_is_made_by_its_dotted_path() -> None:
    network = build_network(experiment(kind=f"{__name__}:make_own"), Shape((4,), 3))
    assert network.layout.shapes == ((3, 4),)


@pytest.mark.parametrize(
    ("function", "message"),
    [("make_narrow", r"expected \(1, 3\)"), ("make_number", "returned int"), ("make_no", "no fun")],
)
def test_unusable_own_network_is_a_clear_error(function: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_network(experiment(kind=f"{__name__}:{function}"), Shape((4,), 3))
