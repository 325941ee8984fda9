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

from hpcfed.config import ModelConfig
from hpcfed.networks.contract import Activity, Layer, Pass
from hpcfed.networks.layout import Layout
from hpcfed.networks.norms import normed
from hpcfed.networks.passing import driven, pooled
from hpcfed.networks.stack import Stage

_IMAGES = 4  # axes (B, C, H, W); events have (T, B, C) or (T, B, polarity, height, width)
_SLOPE_BELOW_ZERO = 0.01  # torch's default, and Maas et al. 2013


@dataclass(frozen=True)
class AnnNetwork:
    """A leaky ReLU network over time bins, multilayer or recurrent."""

    model: ModelConfig
    layout: Layout
    layers: tuple[Layer, ...]
    stages: tuple[Stage, ...]

    def forward(self, weights: Mapping[str, Tensor], events: Tensor, call: Pass) -> Activity:
        """Return logits (B, K) of ``events`` (T, B, C), and no spikes; any float dtype."""
        signal = events[None] if events.dim() == _IMAGES else events  # images are a single bin
        statistics: dict[str, Tensor] = {}
        for stage in self.stages:
            if not stage.name:
                signal = pooled(stage, signal)
                continue
            drive = driven(stage, weights, signal)
            drive, found = normed(self.model, stage.name, weights, drive, call.learn)
            signal = _activations(drive, weights.get(f"{stage.name}.recurrent"))
            statistics |= found
        outputs = signal.flatten(2) @ weights["readout"].t()
        if self.model.readout == "last":
            return Activity(outputs[-1], (), statistics)
        if self.model.readout == "max":
            return Activity(outputs.max(0).values, (), statistics)
        return Activity(outputs.mean(0), (), statistics)


def _activations(drive: Tensor, recurrent: Tensor | None) -> Tensor:
    """Return the activations (T, B, H) of one layer driven by ``drive`` (T, B, H)."""
    if recurrent is None:
        return leaky_relu(drive, _SLOPE_BELOW_ZERO)
    activation, activations = torch.zeros_like(drive[0]), []
    for current in drive.unbind(0):
        summed = torch.addmm(current, activation, recurrent.t())
        activation = leaky_relu(summed, _SLOPE_BELOW_ZERO)
        activations.append(activation)
    return torch.stack(activations)
