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
from hpcfed.federation.uplink.selection import selection
from hpcfed.networks.layout import Layout

MOST_WEIGHT = 1 << 20  # of a row: sums of 2^20 clients stay below 2^62

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
        keep: probability that an entry is sent, (P,) or for all, if it is divided by; else 1.
        num_averaged: length of the head that is averaged; what follows is added up.
        by_spikes: a row weighs what the client counted of it, up to MOST_WEIGHT.
    """

    mode: str
    grid: Grid
    weights: I64
    factors: F64
    keep: float | F64
    num_averaged: int
    by_spikes: bool = False

    def mean(self, totals: Totals, accepted: I64) -> F64:
        """Return the aggregated update, (P,) float64, of at least one ``accepted`` client."""
        mean = self._mean(totals, accepted)
        mean[self.num_averaged :] = totals.sums[self.num_averaged :]
        return mean

    def _mean(self, totals: Totals, accepted: I64) -> F64:
        sums = self.grid.reals(totals.sums)
        if self.mode == "received" and totals.arrived is not None:
            return np.divide(
                sums, totals.arrived, out=np.zeros_like(sums), where=totals.arrived > 0
            )
        members = self.weights if self.mode == "all" else self.weights[accepted]
        return np.asarray(sums / (members.sum() * self.keep))


def averaging(experiment: Experiment, num_samples: I64, drop: F64, parts: Layout) -> Averaging:
    """Return the averaging of ``experiment`` for clients with ``num_samples`` (N,) and q (N,).

    Raises InputError for a mask so sparse that nothing is left to rescale, and for statistics that
    would be divided by the weight of clients that sent none.
    """
    server, uplink = experiment.server, experiment.uplink
    by_spikes = server.client_weights == "spikes"
    if by_spikes and not all(part.counted_by or part.summed for part in parts.parts):
        raise InputError(
            'server.client_weights = "spikes" is for rule.kind = "stdp": this network counts no '
            'spikes of its neurons; set it to "samples" or "uniform"'
        )
    weights = np.ones_like(num_samples) if server.client_weights == "uniform" else num_samples
    factors = np.ones(len(weights))
    keep: float | F64 = 1.0
    if server.average == "all" and parts.num_trained < parts.num_shared:
        raise InputError(
            'server.average = "all" would shrink the statistics of this network towards zero: '
            'clients that do not take part send none; set it to "participants" or "received"'
        )
    if server.rescale:
        # a client with q = 1 never arrives, so its factor is never used
        if server.average == "all":
            factors = 1 / np.where(drop < 1, 1 - drop, 1)
        arrival = selection(uplink, parts, experiment.seed).arrival
        if arrival == 0:
            raise InputError(
                f"server.rescale: with uplink.mask_probability = {uplink.mask_probability:g} the "
                f"mask lets none of {parts.num_masked} entries through; lower it"
            )
        keep = 1.0 if arrival is None else arrival
        if parts.num_masked < parts.num_shared:
            keep = np.where(np.arange(parts.num_shared) < parts.num_masked, keep, 1.0)
    reach = np.full(len(weights), MOST_WEIGHT) if by_spikes else weights
    return Averaging(
        server.average, grid(reach), weights, factors, keep, parts.num_averaged, by_spikes
    )
