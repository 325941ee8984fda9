"""What networks of the layers of ``model.hidden`` have in common, spiking or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpcfed.config import ModelConfig
from hpcfed.networks.contract import Layer, Product
from hpcfed.networks.footprint import step_bytes
from hpcfed.networks.layout import Layout
from hpcfed.networks.stack import Stage, operations


@dataclass(frozen=True)
class Stacked:
    """Layers one after the other, and what is counted of them; T time bins."""

    model: ModelConfig
    layout: Layout
    layers: tuple[Layer, ...]
    stages: Sequence[Stage]
    products: tuple[Product, ...]
    num_bins: int

    def step_bytes(self, batch: int) -> int:
        """Return about how much memory a training step on ``batch`` samples takes."""
        return step_bytes(self.model, self.stages, self.num_bins, batch, self.layout.size)

    def operations(self, depth: int) -> int:
        """Return a pass's multiply-accumulates, a sample and a bin, with so many iterations."""
        classes, _ = self.layout.shapes[self.layout.names.index("readout")]
        return operations(self.model, self.stages, classes, depth)
