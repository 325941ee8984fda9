"""What the kernels of a stack of layers are told; it knows no configuration.

T time bins, B batch, S steps of the stack, L layers with neurons, K classes. A signal is what goes
into a step and, S, what enters the readout. It has a picture (height, width, channels) for each
image; an image is one sample in one bin, number t B + b. What layers send has its channels padded
to whole vector registers: a padding neuron has no weights, stays zero and is never listed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.learning.constants import Neuron, Penalty, Reals, Teaching
from hpcfed.learning.event.tables import Inputs

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]

LAYER, AVERAGE, MAXIMUM, DROPOUT = range(4)  # kinds of steps
NO_NORM, BY_BIN, OVER_BINS, BY_GROUP = range(4)  # kinds of norms: none, bntt, batch and tebn, group


class Stack(NamedTuple):
    """The steps, the signals between them, and where all lies.

    Where something lies is counted in elements; for what there is of each image, as if there were
    one image, and with room for n of them it lies n times as far.

    Attributes:
        kinds: (S,) of steps.
        layers: (S,) index of a layer; -1 for others.
        rows, columns, strides, paddings: (S,) of a layer's kernel; of a pool, its square.
        flat: (S,) 1 for a layer whose kernel is all of the picture.
        dropped: (S,) of a dropout, the words below which a value is left out.
        raises: (S,) of a dropout, what the others are multiplied by.
        switches: (S, 3) share of active values from which on the products of all of them are
            faster than those of events: forward, and on the way back; and that of neurons with a
            slope from which on gradients of all are faster than theirs alone.
        together: (S,) images that a layer's products take at once.
        heights, widths, channels: (S + 1,) of the signals.
        real_channels: (S + 1,) without padding.
        valued: (S + 1,) 1 where events have values other than 1.
        entries, values, bounds: (S + 1,) where a signal has its events, their values, and where
            each pixel's begin.
        marks: (S + 1,) where a signal has a bit for each neuron whose surrogate is not zero, LANES
            together; -1 where no gradient can be left out.
        steps: (L,) the step that a layer is.
        neurons: (L, 2) places in a picture, and channels without padding.
        first_neurons: (L,) how many neurons there are in the layers before.
        traces: (L,) where what flows in lies; the second layer's in the place of the first's.
        changes: (S + 1,) where the gradient of a signal lies, and in its place that of what a norm
            has made: in the traces of layers that the way back is done with.
        weights: (L + 1,) where a layer's weights lie, and those of the readout, (in, K).
        back: (L,) where their turned copy lies; framed: (L,) that of one register with zeros around
            each kernel row, -1 for other layers.
        groups: (L,) of channels that see each other; weights between others are zero.
        normed: (L,) 1 for layers with a norm.
        scales, shifts, factors: (L,) where a norm has them among the weights; -1 for nowhere.
        means, variances: (L,) where a norm has them among the statistics.
        norm: kind of norms.
        delay: bins from a spike to where it counts.
        band: values of a plane that fit the first cache.
        first_layer: the first step that is a layer; nothing below it learns.
        num_bins, num_classes: T and K.
    """

    kinds: I64
    layers: I64
    rows: I64
    columns: I64
    strides: I64
    paddings: I64
    flat: I64
    dropped: NDArray[np.uint64]
    raises: F64
    switches: F64
    together: I64
    heights: I64
    widths: I64
    channels: I64
    real_channels: I64
    valued: I64
    entries: I64
    values: I64
    bounds: I64
    marks: I64
    steps: I64
    neurons: I64
    first_neurons: I64
    traces: I64
    changes: I64
    weights: I64
    back: I64
    framed: I64
    groups: I64
    normed: I64
    scales: I64
    shifts: I64
    factors: I64
    means: I64
    variances: I64
    norm: int
    delay: int
    band: int
    first_layer: int
    num_bins: int
    num_classes: int


class Lengths(NamedTuple):
    """How many elements of each kind there are; those from traces on an image."""

    weights: int
    back: int
    framed: int
    statistics: int
    traces: int
    changes: int
    entries: int
    values: int
    bounds: int
    marks: int


class Constants(NamedTuple):
    """All that is constant about a network.

    Attributes:
        factors: (T,) how much what enters the readout counts in each bin.
        limits: (L, 2) those of silence.
        momentum, epsilon: of norms.
    """

    stack: Stack
    neuron: Neuron
    factors: Reals
    penalty: Penalty
    teaching: Teaching
    limits: I64
    momentum: float
    epsilon: float


class Listed(NamedTuple):
    """A signal in one image: its events in order, their values if they have any, and its shape.

    ``bounds`` (height width + 1,) are where the events of each pixel begin.
    """

    entries: NDArray[np.unsignedinteger]
    values: Reals
    bounds: NDArray[np.int32]
    height: int
    width: int
    channels: int


class Geometry(NamedTuple):
    """Sizes of a layer's products: of its kernel, of what it sees and of what it makes."""

    layer: int
    rows: int
    columns: int
    stride: int
    padding: int
    height: int
    width: int
    channels: int
    made_height: int
    made_width: int
    made: int
    weights: int
    back: int


class Source(NamedTuple):
    """What the n samples of a call show.

    Attributes:
        encoder: index into inputs.ENCODERS.
        pixels: (rows, C H W) uint8 of images; row: (n,) that of each sample.
        limits: (256,) the words below which a pixel spikes.
        address: of the words, in the order (n, T, C, H, W); where ``by_sample`` holds, of each
            sample's own, (T, C, H, W), in the place of the round's number its id.
        samples: (n,) ids.
        events: of a sensor.
    """

    encoder: int
    pixels: NDArray[np.uint8]
    row: I64
    limits: NDArray[np.uint64]
    address: U32
    by_sample: bool
    samples: I64
    events: Inputs


class Learned(NamedTuple):
    """What is learned of the n samples of a call, and how.

    Attributes:
        samples: (n,) ids.
        labels: (n,) classes.
        teacher: (S, K) float32 a teacher's logits by id; (0, 0) without one.
        words: address of the words of dropout.
        frozen: norms use the averaged statistics.
    """

    samples: I64
    labels: I64
    teacher: NDArray[np.float32]
    words: U32
    frozen: bool


class Found(NamedTuple):
    """What an evaluation finds in n samples.

    Attributes:
        losses, predictions: (n,); logits: (n, K).
        spikes: (L,) of each layer; neurons: (N,) of each neuron; both zeros at first.
        entering: (L + 1, 2) how many values entered the weights, and the sum of their sizes.
        raster: (n, T, N) of False, to be marked, or (0, 0, 0).
    """

    losses: F64
    predictions: I64
    logits: F64
    spikes: I64
    neurons: I64
    entering: F64
    raster: NDArray[np.bool_]
