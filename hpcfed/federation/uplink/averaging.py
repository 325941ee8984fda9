"""How the exact sums of one round become a mean: who counts, with which weight, divided by what.

P parameters, N clients. Averages follow the table of Chaki, Weinberg, Ozcelikkale
(arXiv 2303.00928) and its variants.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.federation.uplink.exact import Grid, Totals, grid
from hpcfed.federation.uplink.masking import num_kept

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


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
