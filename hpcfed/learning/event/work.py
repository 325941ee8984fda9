"""What one thread of the event engine works in: weights, spikes, traces and gradients of a client.

T time bins, L hidden layers, N a layer's padded width, R = plan.rows samples taken at once. It
is kept from client to client: memory that is new to a process costs more than the sums in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import inner
from hpcfed.learning.constants import Real, Reals, RealType
from hpcfed.learning.event.neurons import AHEAD
from hpcfed.learning.event.tables import Sizes, aligned

I64 = NDArray[np.int64]


class Workspace(NamedTuple):
    """Scratch space of one thread.

    Attributes:
        weights, back: the vector and its copy for the way back, while a client trains.
        gradient, first, second: the gradient, zero between calls, and the optimiser's moments,
            like the weights.
        events: channels of the input's events, then neurons of each layer's spikes.
        regions: (L + 1,) where input and layers begin in ``events``; before and after them there is
            room for AHEAD more, which the kernels may look at.
        offsets: (L + 1, R, T + 1) where the events of a sample's bins begin in ``events``.
        trace: (T, R, N) of each layer: u - b; on the way back it becomes the gradient of i
            where that is needed (Bins.kept).
        voltages: the same of u; empty unless ALIF's gradients pass through the reset.
        current, voltage, level: (R N,) d, v and b; on the way back the gradients of
            d, u and b, the latter two drive times as large.
        spike, derivative: (R N,) gradient of the spikes of a bin; the surrogate's derivative.
        summed: (R N,) factors times the last layer's spikes, summed over time; then its gradient.
        logits: (R N,) of the readout; then their gradient.
        peaks: (R N,) bin of the maximum.
        outputs: (R N,) gradient of the readout's current in a bin; before that the logits, where
            a teacher's are learned from.
        losses, predictions: (R,) of the samples.
        spikes: (L,) of each layer so far.
        fired: (L, R) of each layer and sample.
        activity: (L, 3) samples so far, and those that are silent and saturated.
        counts, rates: (L, N) spikes of each neuron in a batch; gradient of the rate penalty.
    """

    weights: Reals
    back: Reals
    gradient: Reals
    first: Reals
    second: Reals
    events: NDArray[np.int32]
    regions: I64
    offsets: I64
    trace: Reals
    voltages: Reals
    current: Reals
    voltage: Reals
    level: Reals
    spike: Reals
    derivative: Reals
    summed: Reals
    logits: Reals
    peaks: I64
    outputs: Reals
    losses: NDArray[np.float64]
    predictions: I64
    spikes: I64
    fired: I64
    activity: I64
    counts: I64
    rates: Reals


def make_work(
    places: Sizes, penalised: bool, with_voltages: bool, num_events: int, dtype: RealType
) -> Workspace:
    """Return scratch space for R samples that have at most ``num_events`` events together."""
    hidden, widest = len(places.widths) - 1, int(places.padded.max())
    regions = [AHEAD, num_events, *(places.rows * places.num_bins * places.widths[:-1])]
    counted = (hidden, widest) if penalised else (0, 0)

    def rows(width: int) -> Reals:
        return aligned(places.rows * width, dtype)

    return Workspace(
        weights=aligned(places.num_weights, dtype),
        back=aligned(places.num_back, dtype),
        gradient=aligned(places.num_weights, dtype),
        first=aligned(places.num_weights, dtype),
        second=aligned(places.num_weights, dtype),
        events=np.empty(sum(regions) + AHEAD, np.int32),
        regions=np.cumsum(regions[:-1]),
        offsets=np.zeros((hidden + 1, places.rows, places.num_bins + 1), np.int64),
        trace=aligned(places.num_traces, dtype),
        voltages=aligned(places.num_traces if with_voltages else 0, dtype),
        current=rows(widest),
        voltage=rows(widest),
        level=rows(widest),
        spike=rows(widest),
        derivative=rows(widest),
        summed=rows(widest),
        logits=rows(int(places.padded[-1])),
        peaks=np.zeros(places.rows * int(places.padded[-1]), np.int64),
        outputs=rows(int(places.padded[-1])),
        losses=np.zeros(places.rows),
        predictions=np.zeros(places.rows, np.int64),
        spikes=np.zeros(hidden, np.int64),
        fired=np.zeros((hidden, places.rows), np.int64),
        activity=np.zeros((hidden, 3), np.int64),
        counts=np.zeros(counted, np.int64),
        rates=np.zeros(counted, dtype),
    )


@inner
def fill(values: Reals, value: float | Real) -> None:
    """Set all values; in less code, and so in less time to compile, than an assignment's."""
    for k in range(len(values)):
        values[k] = value
