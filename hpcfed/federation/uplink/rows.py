"""Rows of a client's update that weigh what the client has counted of them.

A neuron that spiked c times at a client has there the weight min(c, MOST_WEIGHT) in the average, in
the place of the client's samples; sums stay exact, with a grid for the largest weights that can be.
s sent entries of the head, q counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.federation.uplink.averaging import MOST_WEIGHT
from hpcfed.federation.uplink.entries import Entries
from hpcfed.federation.uplink.exact import Grid, Totals
from hpcfed.networks.layout import Layout

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


def row_weights(layout: Layout, counts: F32) -> I64:
    """Return the weight of each entry that is averaged, by the client's ``counts`` (q,)."""
    found, start = {}, 0
    for part in layout.parts:
        if part.summed:
            rows = counts[start : start + part.size].reshape(part.shape[0], -1)
            found[part.name] = np.minimum(rows.astype(np.int64).sum(axis=1), MOST_WEIGHT)
            start += part.size
    weights = [
        found[part.counted_by].repeat(part.size // part.shape[0])
        for part in layout.parts
        if part.counted_by is not None
    ]
    return np.concatenate(weights)


def add_by_rows(totals: Totals, layout: Layout, grid: Grid, sent: tuple[Entries, F32, F32]) -> None:
    """Add one client's entries of the head, values (s and those sent whole) and counts (q,)."""
    entries, values, counts = sent
    weights, head = row_weights(layout, counts), layout.num_masked
    whole = np.arange(head, layout.num_averaged)
    places = np.concatenate([np.arange(head)[entries], whole])
    terms = np.rint(values.astype(np.float64) * (weights[places] * grid.scale(1)))
    totals.sums[places] += terms.astype(np.int64)
    if totals.arrived is not None:
        totals.arrived[places] += weights[places]
