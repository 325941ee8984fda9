"""What the GPU's kernels are told: sizes, places and the equations' constants.

T time bins, C channels, K classes, P parameters, L hidden layers. Weights stay as in the flat
vector of ``layout``, so that nothing is packed or unpacked; a layer's H neurons take up a power of
two places wherever they are computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpcfed.config import Experiment
from hpcfed.learning import equations
from hpcfed.learning.constants import Neuron, Penalty, Readout, Teaching
from hpcfed.learning.silence import limits
from hpcfed.learning.teaching import teaching
from hpcfed.networks.layout import Layout
from hpcfed.networks.stack import dense_layers

MOST_NEURONS = 256
BLOCK = 16  # samples that one program runs through time: the rows of a tensor core's product
WORD = 64  # bits of a word that holds channels
_LEAST_WIDTH = 16  # of a tensor core's product as well


@dataclass(frozen=True)
class DeviceLayer:
    """A hidden layer, or the readout.

    Attributes:
        neurons: H, of the readout K.
        width: the power of two that holds them.
        inputs: C of the first layer, neurons of the layer below of the others.
        place: of the input weights (neurons, inputs) in the flat vector.
        recurrent: place of the recurrent weights; None if there are none.
    """

    neurons: int
    width: int
    inputs: int
    place: int
    recurrent: int | None


@dataclass(frozen=True)
class Tiles:
    """How products are cut: warps of one with spikes, rows that a gradient's sum takes at once."""

    product_warps: int
    gradient_rows: int


AMPERE = Tiles(product_warps=8, gradient_rows=64)
HOPPER = Tiles(product_warps=4, gradient_rows=128)  # would not fit an A100's registers


@dataclass(frozen=True)
class Plan:
    """All that is constant about a network; ``size`` is P, ``limits`` are those of silence."""

    num_bins: int
    num_channels: int
    size: int
    layers: tuple[DeviceLayer, ...]
    output: DeviceLayer
    readout: str
    neuron: Neuron
    leak: Readout
    penalty: Penalty
    teaching: Teaching
    limits: tuple[tuple[int, int], ...]
    tiles: Tiles

    @property
    def maximum(self) -> bool:
        """Whether the logits are the maximum over time, else a sum over it."""
        return self.readout == "max"

    @property
    def voltages(self) -> bool:
        """Whether the way back needs the voltages beside their distance to the threshold."""
        return self.neuron.adaptive and bool(self.neuron.full)


def plan(experiment: Experiment, layout: Layout, num_channels: int, tiles: Tiles) -> Plan:
    """Return the plan of the experiment's network; ``layout`` places its weights."""
    places = {name: (part.start, shape) for name, part, shape in layout.slices()}
    layers = []
    for index in range(len(experiment.model.widths)):
        place, (neurons, inputs) = places[f"hidden{index}.input"]
        recurrent = places.get(f"hidden{index}.recurrent", (None, None))[0]
        layers.append(DeviceLayer(neurons, width(neurons), inputs, place, recurrent))
    place, (classes, inputs) = places["readout"]
    bounds = limits(experiment, dense_layers(experiment.model, num_channels))
    return Plan(
        num_bins=experiment.data.num_bins,
        num_channels=num_channels,
        size=layout.size,
        layers=tuple(layers),
        output=DeviceLayer(classes, width(classes), inputs, place, None),
        readout=experiment.model.readout,
        neuron=equations.neuron(experiment, np.float32),
        leak=equations.readout(experiment, np.float32),
        penalty=equations.penalty(experiment),
        teaching=teaching(experiment),
        limits=tuple((least, most) for least, most in bounds.tolist()),
        tiles=tiles,
    )


def width(neurons: int) -> int:
    """Return the places that ``neurons`` take up."""
    return max(_LEAST_WIDTH, 1 << (neurons - 1).bit_length())
