"""What a call on a stack of layers works in: its arrays, and the row that it has at hand.

T time bins, B batch, L layers, C channels, N neurons, K classes; the rest as in ``tables``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.learning.constants import Reals

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]


class Row(NamedTuple):
    """A row of n values in one bin: states of neurons and what they need.

    Attributes:
        v, d, level: (n,) states, and their gradients on the way back.
        gain, offset: (T n,) of norms.
        slope, rest: (n,) with a gain, what leads back through a norm.
        potentials, levels: (T n,) u and b.
        sent: (n,) spikes; heard: (n,) their gradient; steepness: (n,) the surrogate.
        of_gain, of_offset: (T n,) sums of gradients.
    """

    v: Reals
    d: Reals
    level: Reals
    gain: Reals
    offset: Reals
    slope: Reals
    rest: Reals
    potentials: Reals
    levels: Reals
    sent: Reals
    heard: Reals
    steepness: Reals
    of_gain: Reals
    of_offset: Reals


class Work(NamedTuple):
    """Memory of a call for up to ``room`` images, that is T times B.

    Attributes:
        weights, gradient, first, second: the flat vector, its gradient and the optimiser's moments.
        back, lone, framed: copies of weights; statistics: those of norms.
        marks: bits of neurons whose surrogate is not zero; marked: (S + 1, images) how many.
        entries, values, bounds: the lists of all signals.
        traces: what flows into layers, and its gradient on the way back; with the gradients of
            signals.
        moments: (2, images, C) of a layer's channels in each image.
        gains: (L, 3, T, rows, C) of norms, and of their gradients; middles: (L, 2, T, rows, C).
        sums, through: (2, T, rows, C) gradients of a norm.
        mean, spread: (C,).
        picture, pooled, dense, plane: pictures, with borders of zeros.
        places, targets: where pixels begin in a source, and where their sums come; runs: (n, 3) the
            first pixel of each run, and its kernel rows.
        order, ordered, starts: events by channel.
        row, values_at_once: a row, and its n; ahead: (n,) gradients of a bin later.
        summed, logits, slopes: (B, ..) of the readout; losses, predictions: (B,).
        counts: (N,) spikes; rates: (L, n) gradient of their penalty.
        activity: (L, 3) silence.COUNTS.
        taken: (S, 2) images whose products were those of events, and of all values.
        drawn, address: words; sensed, bins: a sample's events.
    """

    room: int
    weights: Reals
    gradient: Reals
    first: Reals
    second: Reals
    back: Reals
    lone: Reals
    framed: Reals
    statistics: Reals
    entries: NDArray[np.unsignedinteger]
    values: Reals
    bounds: NDArray[np.int32]
    marks: NDArray[np.uint16]
    marked: I64
    traces: Reals
    moments: F64
    gains: F64
    middles: F64
    sums: F64
    through: F64
    mean: Reals
    spread: Reals
    picture: Reals
    pooled: Reals
    dense: Reals
    plane: Reals
    places: NDArray[np.int32]
    targets: I64
    runs: I64
    order: NDArray[np.int32]
    ordered: Reals
    starts: I64
    row: Row
    values_at_once: int
    ahead: Reals
    summed: Reals
    logits: Reals
    slopes: Reals
    losses: F64
    predictions: I64
    counts: I64
    rates: Reals
    activity: I64
    taken: I64
    drawn: U32
    address: U32
    sensed: NDArray[np.int32]
    bins: I64
