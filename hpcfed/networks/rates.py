"""Leaky integrate-and-fire neurons with a refractory time: their softened rate, and their spikes.

T time steps of dt, B batch. The rate of a current J = gain x + bias, whose threshold is J = 1, is
softened so that it has a slope everywhere (Hunsberger and Eliasmith 2015, arXiv 1510.08829)::

    r = A / D,   D = tau_ref + tau_rc log(1 + 1 / z),   z = sigma log(1 + exp((J - 1) / sigma))
    dr/dJ = A tau_rc S((J - 1) / sigma) / (z (z + 1) D^2)            S the logistic function

Far below the threshold, where z has no digits left, log(1 + 1 / z) = (1 - J) / sigma - log sigma.
Noise is added to the rates of J > 1, which are cut at 0; the slope is that without it, as in the
authors' code (hunse/cuda-convnet2). Neurons that spike take exponential steps over d, what the
refractory time w leaves of dt::

    v = v + (J - v) (1 - exp(-d / tau_rc)),   d = max(0, dt - w),   w = max(0, w - dt)
    v > 1:  a spike of A / dt, v = 0, and w = tau_ref - s, with the time since v passed the
            threshold, s = -tau_rc log(1 - (v - 1) / (J - 1))

so that the mean of what they send of a current that stays is its rate, unsoftened (nengo's LIF). A
synapse, if there is one, is the low-pass y = y + (x - y) (1 - exp(-dt / tau)).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from hpcfed.config.soft_lif import SoftLifConfig

_FAR = 30.0  # of (J - 1) / sigma from the threshold: the limits hold to exp(-30) = 1e-13


class Charge(NamedTuple):
    """What neurons carry from step to step, (B, ...): v, w, and what has left the synapse."""

    voltage: Tensor
    waiting: Tensor
    filtered: Tensor


@dataclass(frozen=True)
class RateNeurons:
    """LIF neurons: what ``[model.soft_lif]`` says, and the length of a step, s."""

    sigma: float
    tau_ref: float
    tau_rc: float
    amplitude: float
    gain: float
    bias: float
    noise: float
    synapse: float
    dt: float

    @classmethod
    def of(cls, config: SoftLifConfig, dt: float) -> RateNeurons:
        """Return those of a table."""
        return cls(**config.model_dump(exclude={"windows", "settle"}), dt=dt)

    def current(self, drive: Tensor) -> Tensor:
        """Return J of what flows in, of any shape."""
        return self.gain * drive + self.bias

    def rates(self, current: Tensor, normals: Tensor | None = None) -> Tensor:
        """Return A r of ``current``, of any shape; with noise, from standard ``normals``."""
        found: Tensor = _Rates.apply(current, normals, self)  # type: ignore[no-untyped-call]
        return found

    def spikes(self, current: Tensor, charge: Charge | None) -> tuple[Tensor, Tensor, Charge]:
        """Return what is sent of ``current`` (T, B, ...), spikes as booleans, and what is left."""
        zeros = torch.zeros_like(current[0])
        voltage, waiting, filtered = charge or (zeros, zeros, zeros)
        flags, below = torch.empty_like(current, dtype=torch.bool), 1 - current
        for step, drive in enumerate(current.unbind(0)):
            voltage, waiting, flags[step] = self._stepped(drive, below[step], voltage, waiting)
        sent = flags.to(current.dtype) * (self.amplitude / self.dt)
        if self.synapse:
            through = 1 - exp(-self.dt / self.synapse)
            for step, spikes in enumerate(sent.unbind(0)):
                filtered = sent[step] = filtered.lerp(spikes, through)
        return sent, flags, Charge(voltage, waiting, filtered)

    def _stepped(
        self, current: Tensor, below: Tensor, voltage: Tensor, waiting: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return v, w and spikes after a step, of J and 1 - J (B, ...) and those before."""
        free = (self.dt - waiting).clamp_(min=0)
        part = torch.expm1(free.div_(-self.tau_rc)).neg_()
        voltage = voltage.lerp(current, part).clamp_(min=0)
        fires = voltage > 1
        since = torch.log1p((voltage - 1).div_(below)).mul_(-self.tau_rc)
        since.clamp_(max=self.dt)  # rounding may put v on its limit J, where it never arrives
        waiting = torch.where(fires, self.tau_ref - since, (waiting - self.dt).clamp_(min=0))
        return voltage.masked_fill_(fires, 0), waiting, fires


def soft_rates(current: Tensor, neurons: RateNeurons) -> tuple[Tensor, Tensor]:
    """Return A r of ``current``, and its slope by J: both of its shape and dtype."""
    place, sigma = (current - 1) / neurons.sigma, neurons.sigma
    below, softened = place < -_FAR, sigma * softplus(place, threshold=_FAR)
    times = torch.where(below, -place - log(sigma), torch.log1p(1 / softened))
    steep = torch.sigmoid(place) / (softened * (softened + 1))
    period = neurons.tau_ref + neurons.tau_rc * times
    rates = neurons.amplitude / period
    return rates, neurons.tau_rc * torch.where(below, 1 / sigma, steep) * rates / period


# torch gives the contexts no type that knows our attributes: Any.
class _Rates(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, current: Tensor, normals: Tensor | None, neurons: RateNeurons) -> Tensor:
        rates, slope = soft_rates(current, neurons)
        ctx.save_for_backward(slope)
        if normals is None:
            return rates
        noise = neurons.amplitude * neurons.noise * normals
        return (rates + noise.masked_fill(current <= 1, 0)).clamp_(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None, None
