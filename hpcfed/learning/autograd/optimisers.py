"""SGD and Adam on one flat vector of parameters, with torch.optim's numbers.

P parameters. Written out because the first use of torch.optim imports its compiler: 1.2 s and tens
of megabytes on every rank, for twenty lines of arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hpcfed.config import ClientConfig

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8  # Kingma and Ba 2015, arXiv 1412.6980


@dataclass(frozen=True)
class OptimiserState:
    """What an optimiser carries from step to step: two (P,) moments (SGD: momentum and unused)."""

    num_steps: int
    first: Tensor
    second: Tensor


def fresh_state(params: Tensor) -> OptimiserState:
    """Return the state before the first step on ``params`` (P,)."""
    return OptimiserState(0, torch.zeros_like(params), torch.zeros_like(params))


def step(
    client: ClientConfig, rate: float, params: Tensor, gradient: Tensor, state: OptimiserState
) -> OptimiserState:
    """Take one step of learning rate ``rate``; changes ``params`` (P,) and the moments in place.

    ``weight_decay`` times the parameters is added to the gradient (the coupled, L2 form).
    """
    if client.weight_decay:
        gradient = gradient.add(params, alpha=client.weight_decay)
    num_steps = state.num_steps + 1
    if client.optimizer == "sgd":
        state.first.mul_(client.momentum).add_(gradient)
        params.add_(state.first, alpha=-rate)
    else:
        state.first.lerp_(gradient, 1 - _BETA1)
        state.second.mul_(_BETA2).addcmul_(gradient, gradient, value=1 - _BETA2)
        spread = (state.second.sqrt() / (1 - _BETA2**num_steps) ** 0.5).add_(_EPSILON)
        params.addcdiv_(state.first, spread, value=-rate / (1 - _BETA1**num_steps))
    return OptimiserState(num_steps, state.first, state.second)


def clipped(gradient: Tensor, largest_norm: float) -> Tensor:
    """Return ``gradient`` (P,) scaled down to a norm of at most ``largest_norm``; 0: as is."""
    if not largest_norm:
        return gradient
    return gradient * torch.clamp(largest_norm / torch.linalg.vector_norm(gradient), max=1.0)
