"""What the kernels of spike-timing-dependent plasticity are told and work in.

T time bins, C inputs, N excitatory neurons and as many inhibitory ones, K classes, S samples, n
samples of a call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]


class Neuron(NamedTuple):
    """A population of leaky integrate-and-fire neurons.

    Attributes:
        keep: what a bin leaves of the distance from rest.
        rest, reset, threshold: potentials in mV.
        refractory: bins after a spike in which input is not taken.
    """

    keep: np.float32
    rest: np.float32
    reset: np.float32
    threshold: np.float32
    refractory: int


class Network(NamedTuple):
    """All that is constant about a network.

    Attributes:
        num_bins: T.
        inputs: C.
        excitatory, inhibitory: the two populations.
        excitation, inhibition: mV that a spike of the first gives its partner, and one of the
            second takes from all others.
        norm: sum of the weights onto a neuron.
        theta_plus, theta_keep: rise of the adaptive threshold at a spike, and what a bin leaves.
        trace: (T + 1,) what is left of a trace after so many bins.
        limits: (2, 2) those of silence.
    """

    num_bins: int
    inputs: int
    excitatory: Neuron
    inhibitory: Neuron
    excitation: np.float32
    inhibition: np.float32
    norm: np.float32
    theta_plus: float
    theta_keep: float
    trace: F32
    limits: I64


class Learning(NamedTuple):
    """How weights change: by ``depression`` at spikes of inputs, ``potentiation`` at outputs'."""

    depression: np.float32
    potentiation: np.float32


class Inputs(NamedTuple):
    """The samples of a call in their order.

    Attributes:
        pixels: (S, C) of images; (0, C) of events.
        chances: (256,) how many of 2^32 words make a pixel of each value spike in a bin.
        channels, bin_offsets, sample_offsets: an EventSet's; of images empty.
        samples: (n,) place of each.
        labels: (n,) classes.
        drawn: (n, 5) stream of each sample's input, which begins at word ``starts`` (n,) times C
            times T.
        winners: (n, 5) stream of the draws among neurons, which begin at word ``starts`` times T.
    """

    pixels: U8
    chances: U64
    channels: NDArray[np.unsignedinteger]
    bin_offsets: U32
    sample_offsets: I64
    samples: I64
    labels: I64
    drawn: U32
    winners: U32
    starts: I64


class Spikes(NamedTuple):
    """Which inputs spike in a sample: of ``channels`` (T, C) the first ``counts`` (T,) ones."""

    channels: I32
    counts: I64


class Workspace(NamedTuple):
    """Scratch space of one thread.

    Attributes:
        weights: (C, N) onto the neurons.
        theta: (N,) adaptive part of their thresholds.
        potential, trace, current: (N,) of the excitatory neurons; the current of the next bin.
        refractory: (N,) bins until input is taken.
        inner, inner_refractory: (N,) the same of the inhibitory neurons.
        bound: (N,) thresholds with what they have adapted.
        crossed: (N,) neurons above their threshold.
        silencing: (N,) 1 for inhibitory neurons that spiked in the bin before.
        state: how many inhibitory neurons spiked in the bin before; whether one has been reached in
            this sample; whether an excitatory one has spiked in it.
        last: (C,) bin of the last spike of each input, -1 before it.
        total: (N,) sums of the weights.
        spikes: of the input.
    """

    weights: F32
    theta: F64
    potential: F32
    trace: F32
    current: F32
    refractory: I32
    inner: F32
    inner_refractory: I32
    bound: F32
    crossed: I64
    silencing: I32
    state: I64
    last: I64
    total: F32
    spikes: Spikes


class Sums(NamedTuple):
    """What is counted while a client learns.

    Attributes:
        responses: (N, K) spikes of each neuron in samples of each class.
        spikes: (2,) of both populations.
        activity: (2, 3) samples so far, and those that are silent and saturated.
    """

    responses: I64
    spikes: I64
    activity: I64


class Found(NamedTuple):
    """What an evaluation finds in n samples.

    Attributes:
        counts: (n, N) spikes of each excitatory neuron.
        inner: (N,) spikes of each inhibitory neuron in all samples.
        entering: (1,) spikes of the input.
        rasters: (n, 2, T, N) of False, to be marked, or (0, 2, T, N).
    """

    counts: I64
    inner: I64
    entering: I64
    rasters: NDArray[np.bool_]


def make_work(network: Network, neurons: int) -> Workspace:
    """Return scratch space for N ``neurons``."""

    def reals() -> F32:
        return np.zeros(neurons, np.float32)

    bins, inputs = network.num_bins, network.inputs
    return Workspace(
        weights=np.zeros((inputs, neurons), np.float32),
        theta=np.zeros(neurons),
        potential=reals(),
        trace=reals(),
        current=reals(),
        refractory=np.zeros(neurons, np.int32),
        inner=reals(),
        inner_refractory=np.zeros(neurons, np.int32),
        bound=reals(),
        crossed=np.zeros(neurons, np.int64),
        silencing=np.zeros(neurons, np.int32),
        state=np.zeros(3, np.int64),
        last=np.zeros(inputs, np.int64),
        total=reals(),
        spikes=Spikes(np.zeros((bins, inputs), np.int32), np.zeros(bins, np.int64)),
    )


def make_sums(neurons: int, classes: int) -> Sums:
    """Return sums of nothing."""
    return Sums(
        np.zeros((neurons, classes), np.int64),
        np.zeros(2, np.int64),
        np.zeros((2, 3), np.int64),
    )
