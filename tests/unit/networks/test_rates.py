"""Softened rates and spikes of LIF neurons against nengo's, differences, and each other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any  # what JSON holds

import numpy as np
import pytest
import torch
from torch import Tensor

from hpcfed.config.soft_lif import SoftLifConfig
from hpcfed.networks.rates import RateNeurons, soft_rates

PLAIN = RateNeurons.of(SoftLifConfig(amplitude=1.0, bias=0.0, tau_rc=0.02), dt=0.001)
PRECISION = {torch.float64: 1e-9, torch.float32: 1e-5}  # nengo's own values are float64
FLOATS = pytest.mark.parametrize("dtype", PRECISION, ids=["float64", "float32"])


@pytest.fixture
def nengo(test_data: Path) -> dict[str, Any]:
    """Return shared/reference_rules/softlif.json."""
    path = test_data.parent / "reference_rules" / "softlif.json"
    found: dict[str, Any] = json.loads(path.read_text())
    assert (found["tau_rc"], found["tau_ref"]) == (PLAIN.tau_rc, PLAIN.tau_ref)
    assert (found["amplitude"], found["spiking_LIF_dt_s"]) == (PLAIN.amplitude, PLAIN.dt)
    return found


@FLOATS
@pytest.mark.parametrize("sigma", ["1.0", "0.5", "0.1", "0.02", "0.01"])
def test_rates_and_slopes_are_those_of_nengo(
    nengo: dict[str, Any], sigma: str, dtype: torch.dtype
) -> None:
    neurons = replace(PLAIN, sigma=float(sigma))
    rates, slopes = soft_rates(torch.tensor(nengo["J"], dtype=dtype), neurons)
    expected = nengo["soft"][sigma]
    np.testing.assert_allclose(rates, expected["rate_hz"], rtol=PRECISION[dtype])
    np.testing.assert_allclose(slopes, expected["slope_hz"], rtol=PRECISION[dtype])


@FLOATS
def test_spikes_are_those_of_nengo_one_by_one(nengo: dict[str, Any], dtype: torch.dtype) -> None:
    current = torch.tensor(nengo["J"], dtype=dtype).expand(1000, -1)
    sent, flags, _ = PLAIN.spikes(current, None)
    assert flags.sum(0).tolist() == nengo["spikes_in_1000_steps"]
    for neuron, steps in enumerate(nengo["first_spike_steps_counted_from_1"]):
        assert (flags[:, neuron].nonzero().flatten() + 1).tolist()[: len(steps)] == steps
    assert torch.equal(sent, flags * torch.tensor(1000.0, dtype=dtype))


def test_voltages_and_refractory_times_are_those_of_nengo(nengo: dict[str, Any]) -> None:
    current, charge = torch.tensor(nengo["J"], dtype=torch.float64), None
    for row in nengo["first_five_steps"]:
        _, _, charge = PLAIN.spikes(current[None], charge)
        np.testing.assert_allclose(charge.voltage, row["voltage"], atol=1e-14)
        left = np.maximum(np.array(row["refractory_time"]) - PLAIN.dt, 0)  # nengo's is a step older
        np.testing.assert_allclose(charge.waiting, left, atol=1e-14)


def differences(function: Callable[[Tensor], Tensor], place: Tensor, step: float) -> Tensor:
    """Return the slope by central differences of the fourth order."""
    near = function(place + step) - function(place - step)
    far = function(place + 2 * step) - function(place - 2 * step)
    return (8 * near - far) / (12 * step)


@pytest.mark.parametrize("sigma", [1.0, 0.1, 0.02])
def test_the_slope_is_that_of_differences_on_both_sides_of_the_threshold(sigma: float) -> None:
    neurons = replace(PLAIN, sigma=sigma)
    reach = torch.linspace(-40, 60, 301, dtype=torch.float64) * sigma  # past both limits
    place = (1 + reach).requires_grad_()
    neurons.rates(place).sum().backward()
    expected = differences(lambda j: soft_rates(j, neurons)[0], place.detach(), 1e-3 * sigma)
    np.testing.assert_allclose(place.grad, expected, rtol=1e-6, atol=1e-9)


@FLOATS
def test_far_from_the_threshold_nothing_overflows(dtype: torch.dtype) -> None:
    current = torch.tensor([-1e30, -1e6, -50.0, 1.0, 1e6, 1e30], dtype=dtype)
    rates, slopes = soft_rates(current, PLAIN)
    assert torch.isfinite(rates).all()
    assert torch.isfinite(slopes).all()
    assert rates[-1] == pytest.approx(500)  # 1 / tau_ref
    assert (rates.diff() > 0).all()


def test_a_spike_that_comes_too_late_to_be_seen_does_no_harm() -> None:
    above = torch.nextafter(torch.ones(3), torch.tensor([2.0, 3.0, 1.0]))  # v ends on its limit J
    sent, flags, charge = PLAIN.spikes(above.expand(4000, -1), None)
    assert torch.isfinite(sent).all()
    assert torch.isfinite(charge.waiting).all()
    assert flags.sum(0)[2] == 0


def test_noise_falls_on_currents_above_threshold_alone_and_rates_stay_positive() -> None:
    neurons = replace(PLAIN, noise=10.0, amplitude=0.5)
    current = torch.tensor([0.5, 1.0, 2.0, 2.0, 1.05]).requires_grad_()
    normals = torch.tensor([3.0, 3.0, 1.0, -1.0, -9.0])
    found, plain = neurons.rates(current, normals), neurons.rates(current)
    expected = plain.detach() + torch.tensor([0, 0, 5.0, -5.0, 0])
    expected[4] = 0
    torch.testing.assert_close(found.detach(), expected)
    (noisy,) = torch.autograd.grad(found.sum(), current)
    (quiet,) = torch.autograd.grad(plain.sum(), current)
    assert torch.equal(noisy, quiet)  # as the authors' code has it


def test_the_mean_of_spikes_comes_near_the_rate_with_the_window() -> None:
    neurons = RateNeurons.of(SoftLifConfig(sigma=1e-3), dt=0.001)
    current = torch.linspace(1.2, 8, 40, dtype=torch.float64)
    sent, _, _ = neurons.spikes(current.expand(2000, -1), None)
    means = sent.cumsum(0) / torch.arange(1, 2001, dtype=torch.float64)[:, None]
    away = [float((means[steps - 1] - neurons.rates(current)).abs().max()) for steps in (20, 2000)]
    assert away[0] > 0.5
    assert away[1] < 1.1 * neurons.amplitude / 2  # one spike of two seconds


def test_pieces_of_a_window_and_a_synapse_change_nothing_that_they_should_not() -> None:
    current = torch.tensor([0.5, 1.5, 4.0]).expand(60, -1)
    smooth = replace(PLAIN, synapse=0.005)
    sent, flags, _ = PLAIN.spikes(current, None)
    filtered, same, _ = smooth.spikes(current, None)
    first, _, charge = smooth.spikes(current[:17], None)
    second, _, _ = smooth.spikes(current[17:], charge)
    assert torch.equal(torch.cat([first, second]), filtered)
    assert torch.equal(flags, same)
    value, expected = torch.zeros(3), []
    for spikes in sent:  # y = y + (x - y) (1 - exp(-dt / tau))
        value = value + (spikes - value) * (1 - np.exp(-0.2))
        expected.append(value)
    torch.testing.assert_close(filtered, torch.stack(expected))


def test_the_usual_neurons_are_the_authors_of_mnist() -> None:
    usual = RateNeurons.of(SoftLifConfig(), dt=0.001)
    assert usual == RateNeurons(0.02, 0.002, 0.022, 0.063, 1.0, 1.0, 0.0, 0.0, 0.001)
    given = SoftLifConfig(gain=0.825, noise=10.0, synapse=0.005, windows=(0.1,))
    found = RateNeurons.of(given, dt=0.002)
    assert (found.gain, found.noise, found.synapse, found.dt) == (0.825, 10.0, 0.005, 0.002)
