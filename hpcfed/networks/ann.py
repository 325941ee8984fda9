"""The non-spiking twin: the same shapes and input, leaky ReLU instead of spikes.

T time bins, B batch, C channels, H hidden neurons, K classes. Each bin passes through the layers,
``h = f(W x + V h_prev)`` with f the leaky ReLU of slope 0.01 below zero (V only if recurrent); the
readout is linear in every bin, and its mean, last value or maximum over time are the logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from hpcfed.networks.contract import Activity, Pass
from hpcfed.networks.norms import Norm, applied
from hpcfed.networks.passing import Passage
from hpcfed.networks.stacked import Stacked

_IMAGES = 4  # axes (B, C, H, W); events have (T, B, C) or (T, B, polarity, height, width)
_SLOPE_BELOW_ZERO = 0.01  # torch's default, and Maas et al. 2013


@dataclass(frozen=True)
class AnnNetwork(Stacked):
    """A leaky ReLU network over time bins, multilayer or recurrent."""

    def forward(self, weights: Mapping[str, Tensor], events: Tensor, call: Pass) -> Activity:
        """Return logits (B, K) of ``events`` (T, B, C), and no spikes; any float dtype."""
        passage = Passage(self.model, weights, call, self._fire)
        signal = passage.readout(passage.through(self.stages, _in_bins(events)))
        outputs = signal @ weights["readout"].t()
        if self.model.readout == "last":
            return passage.activity(outputs[-1])
        if self.model.readout == "max":
            return passage.activity(outputs.max(0).values)
        return passage.activity(outputs.mean(0))

    def activations(self, weights: Mapping[str, Tensor], events: Tensor) -> list[Tensor]:
        """Return what each layer sends, (T, B, ...), for ``events`` as ``forward`` takes them."""
        sent: list[Tensor] = []

        def fire(
            drive: Tensor, found: Norm | None, recurrent: Tensor | None
        ) -> tuple[Tensor, None]:
            sent.append(self._fire(drive, found, recurrent)[0])
            return sent[-1], None

        Passage(self.model, weights, Pass(learn=False), fire).through(self.stages, _in_bins(events))
        return sent

    def _fire(
        self, drive: Tensor, found: Norm | None, recurrent: Tensor | None
    ) -> tuple[Tensor, None]:
        slope = 0.0 if self.model.activation == "relu" else _SLOPE_BELOW_ZERO
        return _activations(applied(drive, found), recurrent, slope), None


def _in_bins(events: Tensor) -> Tensor:
    """Return images as a single bin, and events as they are."""
    return events[None] if events.dim() == _IMAGES else events


def _activations(drive: Tensor, recurrent: Tensor | None, slope: float) -> Tensor:
    """Return the activations (T, B, H) of one layer driven by ``drive`` (T, B, H)."""
    if recurrent is None:
        return leaky_relu(drive, slope)
    activation, activations = torch.zeros_like(drive[0]), []
    for current in drive.unbind(0):
        summed = torch.addmm(current, activation, recurrent.t())
        activation = leaky_relu(summed, slope)
        activations.append(activation)
    return torch.stack(activations)
