"""Latent weights in the autograd engine: weights are drawn for a step, their gradient turned back.

P parameters, T time bins. The equations and the words are those of ``learning.latents``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpcfed.learning.latents import REAL, RELAXED, Binary, draw_all

U32 = NDArray[np.uint32]


@dataclass(frozen=True)
class Latents:
    """What one client's latent weights stand for, and the address of their noise.

    ``bins`` is T, ``draws`` how many of them have weights of their own: 1, all have the same, or T.
    """

    binary: Binary
    address: U32
    bins: int
    draws: int

    def drawn(self, latents: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Return the weights of a step, (P,) or (T, P), and what turns their gradient back."""
        flat = latents.detach().cpu().numpy()
        weights, slopes = (np.empty((self.draws, len(flat)), np.float32) for _ in range(2))
        for number in range(self.draws):
            start = (step * self.bins + number) * len(flat)
            told = self.binary, flat, self.address, start, weights[number], slopes[number]
            draw_all(*told)
        found = [torch.from_numpy(part).to(latents.device) for part in (weights, slopes)]
        return (found[0][0], found[1][0]) if self.draws == 1 else (found[0], found[1])

    def turned(self, gradient: Tensor, slopes: Tensor) -> Tensor:
        """Return the gradient by the latent weights (P,), of all bins."""
        turned = gradient * slopes
        return turned if turned.dim() == 1 else turned.sum(0)

    def pull(self, latents: Tensor, rate: float) -> None:
        """Take the step of the divergence from the prior, in place, as ``latents.pull`` does."""
        binary = self.binary
        if binary.kind == RELAXED and binary.strength:
            away = self._binary.to(latents.device) * (latents - binary.prior)
            latents.sub_(away, alpha=rate * binary.strength)

    def keep_within(self, latents: Tensor) -> None:
        """Cut latent weights to +- the limit, in place."""
        if self.binary.kind != REAL:
            most = torch.where(self._binary.to(latents.device) > 0, self.binary.limit, torch.inf)
            torch.clamp_(latents, -most, most)

    @cached_property
    def _binary(self) -> Tensor:
        """Return (P,) 1 where weights are binary."""
        lengths = torch.from_numpy(np.diff(self.binary.bounds))
        scales = torch.from_numpy(self.binary.scales)
        return torch.repeat_interleave((scales > 0).float(), lengths)
