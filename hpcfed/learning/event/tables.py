"""What the kernels are told; it knows no configuration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.learning.constants import Neuron, Penalty, Readout, Reals, RealType, Teaching

I64 = NDArray[np.int64]

_LINE = 64  # bytes of a cache line


class Sizes(NamedTuple):
    """Sizes and places. The arrays have an entry for each hidden layer and one for the readout.

    Attributes:
        num_bins: T.
        num_channels: C.
        rows: samples at once: ROWS, or one where they share no product and a trace is large.
        recurrent: whether hidden layers have recurrent weights.
        readout: index into READOUTS.
        widths: neurons (of the readout: K).
        padded: the same in whole registers.
        inputs: place of the input weights, (in, padded).
        recurrents: place of the recurrent weights, (widths, padded).
        inputs_back: place of the input weights' copy, (widths, padded of the layer below).
        recurrents_back: place of the recurrent weights' copy, (widths, padded).
        traces: place of a layer's (T, R, padded) values in the trace.
        num_weights, num_back, num_traces: lengths of the three flat vectors.
    """

    num_bins: int
    num_channels: int
    rows: int
    recurrent: bool
    readout: int
    widths: I64
    padded: I64
    inputs: I64
    recurrents: I64
    inputs_back: I64
    recurrents_back: I64
    traces: I64
    num_weights: int
    num_back: int
    num_traces: int


def aligned(size: int, dtype: RealType) -> Reals:
    """Return (size,) zeros that begin with a cache line: a row's registers then load in one go."""
    whole = np.zeros(size + _LINE, dtype)
    start = -whole.ctypes.data % _LINE // whole.itemsize
    return whole[start : start + size]


class NetworkConstants(NamedTuple):
    """All that is constant about a network; ``limits`` (L, 2) are those of silence."""

    plan: Sizes
    neuron: Neuron
    readout: Readout
    penalty: Penalty
    teaching: Teaching
    limits: I64


class Inputs(NamedTuple):
    """The samples of a call in their order, and what augmentation does to each.

    Attributes:
        channels, counts, bin_offsets, sample_offsets: an EventSet's; no counts if bins are binary.
        samples: (n,) ids.
        labels: (n,) classes.
        teacher: (S, K) float32 a teacher's logits of all samples, by id; (0, 0) without one.
        time_shifts, channel_shifts: (n,) whole bins and channels; empty without augmentation.
        kept: a flag for each event of the n samples, in their order; empty if all are kept.
        kept_offsets: (n,) where each sample's flags begin.
    """

    channels: NDArray[np.unsignedinteger]
    counts: NDArray[np.uint16]
    bin_offsets: NDArray[np.uint32]
    sample_offsets: I64
    samples: I64
    labels: I64
    teacher: NDArray[np.float32]
    time_shifts: I64
    channel_shifts: I64
    kept: NDArray[np.bool_]
    kept_offsets: I64


class Evaluated(NamedTuple):
    """What an evaluation finds in n samples.

    Attributes:
        losses, predictions: (n,) cross-entropy and predicted class.
        logits: (n, K).
        spikes: (L,) of each hidden layer.
        neurons: (L, N) spikes of each neuron, of which a narrower layer fills the first; zeros.
        raster: (n, T, neurons of all hidden layers) of False, to be marked, or (0, 0, 0).
    """

    losses: NDArray[np.float64]
    predictions: I64
    logits: NDArray[np.float64]
    spikes: I64
    neurons: I64
    raster: NDArray[np.bool_]
