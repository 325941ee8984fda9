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

from hpcfed.config import Experiment, ServerConfig
from hpcfed.errors import InputError
from hpcfed.federation.exact import Grid, Totals, grid
from hpcfed.federation.masking import num_kept

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

_ADAM_BETAS = (0.9, 0.99)
_ADAM_TAU = 1e-3


@dataclass(frozen=True)
class ServerState:
    """All that a run carries from round to round, besides error feedback's residuals.

    Attributes:
        round: rounds done.
        params: (P,) float32 global parameters.
        moments: (M, P) float64 of the server optimiser: M = 0 plain, 1 momentum, 2 Adam.
    """

    round: int
    params: F32
    moments: F64


def first_state(params: F32, config: ServerConfig) -> ServerState:
    """Return the state before round 0."""
    num_moments = {"plain": 0, "momentum": 1, "adam": 2}[config.optimizer]
    return ServerState(0, params, np.zeros((num_moments, params.size)))


@dataclass(frozen=True)
class Averaging:
    """How the sums of one experiment become a mean.

    Attributes:
        grid: of the exact sums.
        weights: (N,) int64 weight n_k of each client.
        factors: (N,) float64 applied to each client's update before it is summed: 1, or
            1 / (1 - q_k) where an unbiased average over all clients is asked for.
        keep: probability that the mask lets an entry through, if it is divided by; else 1.
    """

    mode: str
    grid: Grid
    weights: I64
    factors: F64
    keep: float

    def mean(self, totals: Totals, accepted: I64) -> F64:
        """Return the aggregated update, (P,) float64, of at least one ``accepted`` client."""
        sums = self.grid.reals(totals.sums)
        if self.mode == "received" and totals.arrived is not None:
            return np.divide(
                sums, totals.arrived, out=np.zeros_like(sums), where=totals.arrived > 0
            )
        members = self.weights if self.mode == "all" else self.weights[accepted]
        return np.asarray(sums / (members.sum() * self.keep))


def averaging(experiment: Experiment, num_samples: I64, drop: F64, size: int) -> Averaging:
    """Return the averaging of ``experiment`` for clients with ``num_samples`` (N,) and q (N,).

    Raises InputError for a mask so sparse that nothing is left to rescale.
    """
    server, uplink = experiment.server, experiment.uplink
    weights = num_samples if server.client_weights == "samples" else np.ones_like(num_samples)
    factors, keep = np.ones(len(weights)), 1.0
    if server.rescale:
        # a client with q = 1 never arrives, so its factor is never used
        if server.average == "all":
            factors = 1 / np.where(drop < 1, 1 - drop, 1)
        if uplink.mask == "bernoulli":
            keep = 1 - uplink.mask_probability
        elif uplink.mask == "random-k":
            keep = num_kept(uplink, size) / size
    if keep == 0:
        raise InputError(
            f"server.rescale: with uplink.mask_probability = {uplink.mask_probability:g} the mask "
            f"lets none of {size} entries through; lower it"
        )
    return Averaging(server.average, grid(weights), weights, factors, keep)


def step(state: ServerState, mean: F64, config: ServerConfig) -> ServerState:
    """Apply one aggregated update ``mean`` (P,) float64 with the server optimiser."""
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
    params = (state.params + config.learning_rate * direction).astype(np.float32)
    return replace(state, params=params, moments=moments)
