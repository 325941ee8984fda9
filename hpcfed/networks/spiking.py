"""Spiking networks: layers of neurons in a row, and a readout.

T time bins, B batch, C channels, H hidden neurons, K classes. A layer's weights act on all bins at
once, then its norm, then its neurons step through time: a layer that indexes x[t] has a cost
quadratic in T. The readout is a leaky integrator without spikes (LIF's current and voltage) for
every neuron kind, or the mean of its current.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpcfed.networks.contract import Activity, Kernels, Pass
from hpcfed.networks.firing import fired
from hpcfed.networks.neurons import Neurons, State
from hpcfed.networks.norms import Norm, applied
from hpcfed.networks.passing import Passage, project
from hpcfed.networks.stacked import Stacked

with warnings.catch_warnings():  # importing norse compiles with torch.jit, which torch deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from norse.torch.functional.leaky_integrator import LIParameters, LIState, li_feed_forward_step

_DENSE = 3  # axes (T, B, H); pictures have (T, B, channels, height, width)


@dataclass(frozen=True)
class SpikingNetwork(Stacked):
    """Dense layers, convolutions and pools, of neurons of one kind."""

    dt: float
    kernels: Kernels | None = None

    def forward(self, weights: Mapping[str, Tensor], inputs: Tensor, call: Pass) -> Activity:
        """Return logits (B, K) and spikes [(T, B, ...)] of ``inputs`` (T, B, ...), any float."""
        neurons, call = Neurons(self.model, self.dt), call._replace(kernels=self.kernels)

        def fire(
            drive: Tensor, found: Norm | None, recurrent: Tensor | None
        ) -> tuple[Tensor, Tensor]:
            compressed = self.kernels or drive.dim() > _DENSE or found is not None
            if recurrent is None and compressed:
                return fired(neurons, drive, found, self.kernels)
            spikes = neurons.spikes(applied(drive, found), recurrent)
            return spikes, spikes.detach().bool()

        def go_on(drive: Tensor, found: Norm | None, state: State | None) -> tuple[Tensor, State]:
            return neurons.go_on(applied(drive, found), None, state)

        carried = self.model.repetition.carries
        passage = Passage(self.model, weights, call, fire, go_on if carried else None)
        signal = passage.readout(passage.through(self.stages, inputs))
        return passage.activity(self._readout(signal, weights["readout"]))

    def _readout(self, spikes: Tensor, weight: Tensor) -> Tensor:
        one_for_all, readout = weight.dim() == 2, self.model.readout
        if readout == "current" and one_for_all:
            return spikes.mean(0) @ weight.t()
        if readout in ("mean", "last"):
            num_bins, *shape = spikes.shape
            factors = torch.as_tensor(self._factors, dtype=spikes.dtype, device=spikes.device)
            if not one_for_all:
                return torch.einsum("t,tbk->bk", factors, project(spikes, weight))
            # linear in the spikes: sum over time first
            return (factors @ spikes.reshape(num_bins, -1)).view(shape) @ weight.t()
        currents = project(spikes, weight)
        if readout == "current":
            return currents.mean(0)
        zeros = torch.zeros_like(currents[0])
        state, voltages = LIState(zeros, zeros), []
        for current in currents.unbind(0):
            voltage, state = li_feed_forward_step(current, state, self._li, self.dt)
            voltages.append(voltage)
        return torch.stack(voltages).max(0).values  # the first bin that attains it

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
