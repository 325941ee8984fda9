"""Spiking neurons through time, on norse's steps: the plain reference that faster engines match.

T time bins, B batch. The equations, with d the decayed current, theta the threshold, v_leak =
v_reset = 0 and everything zero (b: theta) at the start; W x is what flows in::

    LIF   i = d + W x + V z_prev;  u = v + (dt/tau_mem)(i - v);  z = [u > theta]
          v = (1 - z) u;  d = i (1 - dt/tau_syn)
    ALIF  as LIF with theta replaced by b:  b = b + (dt/tau_adapt)(theta - b);  z = [u > b]
          b = b + beta z
    IF    u = v + W x + V z_prev;  z = [u > theta];  v = (1 - z) u
    leaky u = leak v + W x + V z_prev;  z = [u > theta];  v = u - theta z, (1 - z) u, or u

A leaky neuron that fires first has z = [v > theta];  v = leak v + W x - theta z (or the other
resets of v before), as in the first version of Venkatesha et al. 2021 (arXiv 2106.06579).

Current and voltage of LIF are norse's leaky-integrator step (Pehle and Pedersen 2021,
doi:10.5281/zenodo.4422025); spike and reset are ours, because norse detaches the spike in the reset
in some of its steps and not in others, and because its superspike ignores the slope.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from hpcfed.config import ModelConfig
from hpcfed.config.model import LEAK
from hpcfed.networks.surrogates import surrogate

with warnings.catch_warnings():  # importing norse compiles with torch.jit, which torch deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from norse.torch.functional.leaky_integrator import LIParameters, LIState, li_feed_forward_step


@dataclass(frozen=True)
class Neurons:
    """Neurons of one kind; they have no state."""

    model: ModelConfig
    dt: float

    def spikes(self, drive: Tensor, recurrent: Tensor | None) -> Tensor:
        """Return the spikes (T, B, ...) for ``drive`` (T, B, ...).

        ``recurrent`` weights are (H, H), or others in each bin, (T, H, H).
        """
        return self.go_on(drive, recurrent, None)[0]

    def go_on(
        self, drive: Tensor, recurrent: Tensor | None, state: State | None
    ) -> tuple[Tensor, State]:
        """Return the spikes of neurons that were left in ``state``, or are at rest, and theirs."""
        zeros = torch.zeros_like(drive[0])
        if state is None:
            rest = torch.full_like(zeros, self.model.threshold)
            state = State(z=zeros, v=zeros, d=zeros, b=rest)
        step = self._leaky_step if self.model.neuron == "leaky" else self._step
        spikes = []
        for number, current in enumerate(drive.unbind(0)):
            if recurrent is not None:
                own = recurrent if recurrent.dim() == zeros.dim() else recurrent[number]
                current = torch.addmm(current, state.z, own.t())
            state = step(current, state)
            spikes.append(state.z)
        return torch.stack(spikes), state

    def _step(self, current: Tensor, state: State) -> State:
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
        return State(z, v, d, b)

    def _leaky_step(self, current: Tensor, state: State) -> State:
        model, leak = self.model, LEAK if self.model.leak is None else self.model.leak
        if model.fire_first:
            z = self._spike(state.v - model.threshold)
            v = leak * self._reset(state.v, z) + current
        else:
            u = leak * state.v + current
            z = self._spike(u - model.threshold)
            v = self._reset(u, z)
        return State(z, v, state.d, state.b)

    def _reset(self, u: Tensor, z: Tensor) -> Tensor:
        z = z if self.model.reset_gradient == "full" else z.detach()
        if self.model.reset == "none":
            return u
        return (1 - z) * u if self.model.reset == "zero" else u - self.model.threshold * z

    @cached_property
    def _spike(self) -> Callable[[Tensor], Tensor]:
        return surrogate(
            self.model.surrogate, self.model.surrogate_slope, self.model.surrogate_scale
        )

    @cached_property
    def _li(self) -> LIParameters:
        return LIParameters(1 / self.model.tau_syn, 1 / self.model.tau_mem, 0.0)


class State(NamedTuple):
    """Spikes, voltage after the reset, decayed current and threshold; (B, ...) each."""

    z: Tensor
    v: Tensor
    d: Tensor
    b: Tensor
