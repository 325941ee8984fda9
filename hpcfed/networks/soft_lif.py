"""Networks that learn by the softened rates of LIF neurons, and are evaluated by their spikes.

T time steps of the window, B batch, C channels, H hidden neurons, K classes. Input is a current
that stays: pixels, or how many spikes a channel has in all bins. A pass that learns sends rates
from layer to layer, without time. Others send spikes in every step, and give the logits of rates
beside the mean of the readout. Their norms use the running statistics: a factor and an offset of
each channel, which are weights and a bias once folded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hpcfed.networks.contract import Activity, Pass
from hpcfed.networks.norms import Norm, applied
from hpcfed.networks.passing import Passage
from hpcfed.networks.rates import Charge, RateNeurons
from hpcfed.networks.stacked import Stacked

_IMAGES = 4  # axes (B, C, H, W); events have (T, B, C) or (T, B, polarity, height, width)
_PIECE = 10  # steps that go through all layers at once: what flows into them stays small


@dataclass(frozen=True)
class SoftLifNetwork(Stacked):
    """Layers of LIF neurons; ``steps`` is T, and a pass that learns has a single bin."""

    neurons: RateNeurons
    steps: int

    def forward(self, weights: Mapping[str, Tensor], inputs: Tensor, call: Pass) -> Activity:
        """Return logits (B, K) of ``inputs`` (B, ...) or (T, B, ...), any float dtype."""
        currents = inputs[None] if inputs.dim() == _IMAGES else inputs.sum(0, keepdim=True)
        rated = self._by_rates(weights, currents, call)
        if call.learn:
            return rated
        return self._by_spikes(weights, currents, call)._replace(rates=rated.logits)

    def _by_rates(self, weights: Mapping[str, Tensor], currents: Tensor, call: Pass) -> Activity:
        def fire(drive: Tensor, found: Norm | None, _: Tensor | None) -> tuple[Tensor, None]:
            current = self.neurons.current(applied(drive, found))
            return self.neurons.rates(current, self._normals(current, call)), None

        passage = Passage(self.model, weights, call, fire)
        signal = passage.readout(passage.through(self.stages, currents))
        return passage.activity(signal[0] @ weights["readout"].t())

    def _by_spikes(self, weights: Mapping[str, Tensor], currents: Tensor, call: Pass) -> Activity:
        charges: dict[int, Charge] = {}  # of each layer, between pieces
        total, pieces = torch.zeros(()), list[list[Tensor]]()
        settled = round(self.model.rates.settle / self.neurons.dt)

        def fire(drive: Tensor, found: Norm | None, _: Tensor | None) -> tuple[Tensor, Tensor]:
            current, layer = self.neurons.current(applied(drive, found)), len(passage.spikes)
            sent, flags, charges[layer] = self.neurons.spikes(current, charges.get(layer))
            return sent, flags

        passage = Passage(self.model, weights, call, fire)
        for start in range(0, self.steps, _PIECE):
            length = min(_PIECE, self.steps - start)
            signal = passage.through(self.stages, currents.expand(length, *currents.shape[1:]))
            total = total + passage.readout(signal)[max(0, settled - start) :].sum(0)
            pieces.append(passage.spikes)
            passage.spikes = []
        passage.spikes = [torch.cat(layer) for layer in zip(*pieces, strict=True)]
        return passage.activity(total / (self.steps - settled) @ weights["readout"].t())

    def _normals(self, current: Tensor, call: Pass) -> Tensor | None:
        """Return standard normal values for ``current``, by two words each (Box and Muller)."""
        if not self.neurons.noise or not call.learn or call.words is None:
            return None
        words = call.words(2 * current.numel()).reshape(-1, 2).astype(np.float64)
        first, second = ((words + 0.5) * 2.0**-32).T
        found = np.sqrt(-2 * np.log(first)) * np.cos(2 * np.pi * second)
        return torch.from_numpy(found).view(current.shape).to(current)
