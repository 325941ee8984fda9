"""The root's half of a round: from exact sums to the next global parameters.

P parameters, N clients. Averages follow the table of Chaki, Weinberg, Ozcelikkale
(arXiv 2303.00928) and its variants; server optimisers follow Reddi et al. (arXiv 2003.00295):
momentum m = mu m + D, and FedAdam m = 0.9 m + 0.1 D, v = 0.99 v + 0.01 D^2,
W += eta m / (sqrt(v) + 1e-3), both without bias correction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import ServerConfig

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_ADAM_BETAS = (0.9, 0.99)
_ADAM_TAU = 1e-3


@dataclass(frozen=True)
class ServerState:
    """All that a run carries from round to round, besides its clients' memories.

    Attributes:
        round: rounds done.
        params: (P,) float32 global parameters.
        moments: (M, Q) float64 of the server optimiser: M = 0 plain, 1 momentum, 2 Adam. It acts on
            the Q parameters that are trained and sent; what follows are statistics, which take the
            mean, and what stays with clients, which stays as it is.
    """

    round: int
    params: F32
    moments: F64


def first_state(params: F32, config: ServerConfig, num_trained: int) -> ServerState:
    """Return the state before round 0."""
    num_moments = {"plain": 0, "momentum": 1, "adam": 2}[config.optimizer]
    return ServerState(0, params, np.zeros((num_moments, num_trained)))


def step(state: ServerState, mean: F64, config: ServerConfig) -> ServerState:
    """Apply ``mean`` float64, the aggregated update of all that is sent, by the optimiser."""
    mean, statistics = np.split(mean, [state.moments.shape[1]])
    if config.optimizer == "plain":
        moments, direction = state.moments, mean
    elif config.optimizer == "momentum":
        moments = config.momentum * state.moments + mean
        direction = moments[0]
    else:
        first = _ADAM_BETAS[0] * state.moments[0] + (1 - _ADAM_BETAS[0]) * mean
        second = _ADAM_BETAS[1] * state.moments[1] + (1 - _ADAM_BETAS[1]) * mean**2
        moments = np.stack([first, second])
        direction = first / (np.sqrt(second) + _ADAM_TAU)
    rest = np.zeros(len(state.params) - len(direction) - len(statistics))
    change = np.concatenate([config.learning_rate * direction, statistics, rest])
    params = (state.params + change).astype(np.float32)
    return replace(state, params=params, moments=moments)
