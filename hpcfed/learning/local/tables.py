"""What the kernels of local learning are told and work in; it knows no configuration.

T time bins, L layers, C channels, H neurons of all layers, I inputs of all layers (C, then the
neurons of each layer below another), K' outputs of a readout, P parameters, S samples, n samples of
a call, B rows (samples at once). What a sample's layers have in common lies side by side in a row
of I or H.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.learning.constants import Optimiser, Real, Reals, RealType
from hpcfed.learning.latents import Binary

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]


class Constants(NamedTuple):
    """All that is constant about a network.

    Attributes:
        num_bins: T.
        burn_in: the bin of the first update, and the first whose readout counts.
        inputs, outputs: (L + 1,) where a layer begins in a row of I, and in one of H.
        weights: (L + 1,) where a layer's matrix begins in the flat vector (P,).
        keep_membrane, keep_synapse, keep_refractory: what a bin leaves of P, Q and R.
        readouts: (K', H) of +1 and -1; K' is 1 for two classes, else their number.
        limits: (L, 2) those of silence.
    """

    num_bins: int
    burn_in: int
    inputs: I64
    outputs: I64
    weights: I64
    keep_membrane: Real
    keep_synapse: Real
    keep_refractory: Real
    readouts: Reals
    limits: I64


class Learning(NamedTuple):
    """How a client learns in a round.

    Attributes:
        optimiser: its settings.
        binary: what its weights are.
        address: (5,) of the stream of its weights' noise.
        draws_each_bin: whether noise is drawn in each bin that learns, or once a batch.
    """

    optimiser: Optimiser
    binary: Binary
    address: U32
    draws_each_bin: bool


class Inputs(NamedTuple):
    """The samples of a call in their order.

    Attributes:
        channels, counts, bin_offsets, sample_offsets: an EventSet's; no counts if bins are binary.
        samples: (n,) place of each in the offsets.
        labels: (n,) classes.
        targets: (n,) of two classes, how much of the second there is.
    """

    channels: NDArray[np.unsignedinteger]
    counts: NDArray[np.uint16]
    bin_offsets: NDArray[np.uint32]
    sample_offsets: I64
    samples: I64
    labels: I64
    targets: F64


class Found(NamedTuple):
    """What an evaluation finds in n samples.

    Attributes:
        probabilities: (n, K) of the classes.
        neurons: (H,) spikes of each neuron.
        raster: (n, T, H) of False, to be marked, or (0, 0, 0).
    """

    probabilities: F64
    neurons: I64
    raster: NDArray[np.bool_]


class Gathered(NamedTuple):
    """What is not zero of a row or a column: ``factors``, and the ``places`` where they were."""

    factors: Reals
    places: I64


class Workspace(NamedTuple):
    """Scratch space of one thread; rows of I or H lie one after the other.

    Attributes:
        latents: (P,) as they are trained.
        weights, slopes: (P,) as drawn, and what turns their gradient into that of the latents.
        across: (P,) the weights, each matrix as (in, out).
        gradient, first, second: (P,) and the optimiser's moments.
        membrane, synapse: (B I,) P and Q.
        refractory, potential, spikes: (B H,) R, U and s.
        errors: (B H,) gradient of a layer's loss by U.
        readout: (L, B, K') r.
        output_errors: (K',) gradient of a layer's and a sample's loss by r.
        losses: (L,) of a bin, summed over samples.
        gathered: of the inputs of a sample, or of the samples' errors.
        fired: (L, B) spikes of each layer and sample.
        activity: (L, 3) samples so far, and those that are silent and saturated.
    """

    latents: Reals
    weights: Reals
    slopes: Reals
    across: Reals
    gradient: Reals
    first: Reals
    second: Reals
    membrane: Reals
    synapse: Reals
    refractory: Reals
    potential: Reals
    spikes: Reals
    errors: Reals
    readout: F64
    output_errors: F64
    losses: F64
    gathered: Gathered
    fired: I64
    activity: I64


def make_work(network: Constants, rows: int, dtype: RealType) -> Workspace:
    """Return scratch space for ``rows`` samples at once."""
    inputs, outputs = int(network.inputs[-1]), int(network.outputs[-1])
    layers, longest = len(network.limits), max(rows, int(np.diff(network.inputs).max()))

    def reals(size: int) -> Reals:
        return np.zeros(size, dtype)

    size = int(network.weights[-1])
    return Workspace(
        latents=reals(size),
        weights=reals(size),
        slopes=reals(size),
        across=reals(size),
        gradient=reals(size),
        first=reals(size),
        second=reals(size),
        membrane=reals(rows * inputs),
        synapse=reals(rows * inputs),
        refractory=reals(rows * outputs),
        potential=reals(rows * outputs),
        spikes=reals(rows * outputs),
        errors=reals(rows * outputs),
        readout=np.zeros((layers, rows, len(network.readouts))),
        output_errors=np.zeros(len(network.readouts)),
        losses=np.zeros(layers),
        gathered=Gathered(reals(longest), np.zeros(longest, np.int64)),
        fired=np.zeros((layers, rows), np.int64),
        activity=np.zeros((layers, 3), np.int64),
    )
