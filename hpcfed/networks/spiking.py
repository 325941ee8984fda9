"""Spiking networks on norse's steps: the plain reference that faster engines must match.

T time bins, B batch, C channels, H hidden neurons, K classes. The equations, with d the decayed
current, theta the threshold, v_leak = v_reset = 0 and everything zero (b: theta) at the start::

    LIF   i = d + W x + V z_prev;  u = v + (dt/tau_mem)(i - v);  z = [u > theta]
          v = (1 - z) u;  d = i (1 - dt/tau_syn)
    ALIF  as LIF with theta replaced by b:  b = b + (dt/tau_adapt)(theta - b);  z = [u > b]
          b = b + beta z
    IF    u = v + W x + V z_prev;  z = [u > theta];  v = (1 - z) u
    LI    the readout: LIF's current and voltage without spikes, for every neuron kind

Current and voltage are norse's leaky-integrator step (Pehle and Pedersen 2021,
doi:10.5281/zenodo.4422025); spike and reset are ours, because norse detaches the spike in the reset
in some of its steps and not in others, and because its superspike ignores the slope. W x is one
product for all T: a layer that indexes x[t] has a cost quadratic in T.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpcfed.config import ModelConfig
from hpcfed.networks.layout import Layout
from hpcfed.networks.network import Activity, Layer, Pass
from hpcfed.networks.surrogates import surrogate

with warnings.catch_warnings():  # importing norse compiles with torch.jit, which torch deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from norse.torch.functional.leaky_integrator import LIParameters, LIState, li_feed_forward_step


@dataclass(frozen=True)
class SpikingNetwork:
    """A multilayer or recurrent network of LIF, ALIF or IF neurons with a leaky readout."""

    model: ModelConfig
    layout: Layout
    layers: tuple[Layer, ...]
    dt: float
    num_bins: int

    def forward(self, weights: Mapping[str, Tensor], events: Tensor, call: Pass) -> Activity:
        """Return logits (B, K) and spikes [(T, B, H)] of ``events`` (T, B, ...), any float."""
        signal, spikes = events.flatten(2), []  # a dense layer knows no rows and columns
        for index in range(len(self.model.hidden)):
            drive = project(signal, weights[f"hidden{index}.input"])
            signal = self._layer(drive, weights.get(f"hidden{index}.recurrent"))
            spikes.append(signal)
        return Activity(self._readout(signal, weights["readout"]), spikes)

    def _layer(self, drive: Tensor, recurrent: Tensor | None) -> Tensor:
        zeros = torch.zeros_like(drive[0])
        state = _State(z=zeros, v=zeros, d=zeros, b=torch.full_like(zeros, self.model.threshold))
        spikes = []
        for current in drive.unbind(0):
            if recurrent is not None:
                current = torch.addmm(current, state.z, recurrent.t())
            state = self._step(current, state)
            spikes.append(state.z)
        return torch.stack(spikes)

    def _step(self, current: Tensor, state: _State) -> _State:
        model = self.model
        if model.neuron == "if":
            u, d = state.v + current, state.d
        else:
            u, (_, d) = li_feed_forward_step(current, LIState(state.v, state.d), self._li, self.dt)
        b = state.b
        if model.neuron == "alif":
            b = b + self.dt / model.tau_adapt * (model.threshold - b)
        distance = u - b
        z = self._spike(distance)
        full = model.reset_gradient == "full"
        v = (1 - z) * u if full else u.masked_fill(distance > 0, 0.0)
        if model.neuron == "alif":
            b = b + model.beta * (z if full else z.detach())
        return _State(z, v, d, b)

    def _readout(self, spikes: Tensor, weight: Tensor) -> Tensor:
        if self.model.readout != "max":  # linear in the spikes: sum over time first
            num_bins, *shape = spikes.shape
            factors = torch.as_tensor(self._factors, dtype=spikes.dtype, device=spikes.device)
            return (factors @ spikes.reshape(num_bins, -1)).view(shape) @ weight.t()
        currents = project(spikes, weight)
        zeros = torch.zeros_like(currents[0])
        state, voltages = LIState(zeros, zeros), []
        for current in currents.unbind(0):
            voltage, state = li_feed_forward_step(current, state, self._li, self.dt)
            voltages.append(voltage)
        return torch.stack(voltages).max(0).values  # the first bin that attains it

    @cached_property
    def _spike(self) -> Callable[[Tensor], Tensor]:
        return surrogate(self.model.surrogate, self.model.surrogate_slope)

    @cached_property
    def _li(self) -> LIParameters:
        return LIParameters(1 / self.model.tau_syn, 1 / self.model.tau_mem, 0.0)

    @cached_property
    def _factors(self) -> NDArray[np.float64]:
        """(T,) float64: how much a readout current in each bin counts in the logits."""
        one = torch.ones((), dtype=torch.float64)
        state, response = LIState(0 * one, 0 * one), []
        for index in range(self.num_bins):
            voltage, state = li_feed_forward_step(one * (index == 0), state, self._li, self.dt)
            response.append(float(voltage))
        if self.model.readout == "last":
            return np.array(response[::-1])
        return np.cumsum(response)[::-1] / self.num_bins


class _State(NamedTuple):
    """Spikes, voltage after the reset, decayed current and threshold; (B, H) each."""

    z: Tensor
    v: Tensor
    d: Tensor
    b: Tensor


def project(signal: Tensor, weight: Tensor) -> Tensor:
    """Return ``signal`` (T, B, C) times ``weight`` (H, C) transposed: (T, B, H), one product."""
    num_bins, batch, channels = signal.shape
    return (signal.reshape(num_bins * batch, channels) @ weight.t()).view(num_bins, batch, -1)
