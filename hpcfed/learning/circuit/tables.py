"""What the kernels of probabilistic units are told and work in; it knows no configuration.

T time bins, n samples of a call, U units (H hidden, then K outputs), C values of a spike, L lines
(each value of each presynaptic unit), W bins of the past, B bases, Y = L B synapses of each row. R
rows: H C of hidden units, then, from the next multiple of ROW_LANES on, K C of outputs, and nothing
up to another multiple. S = Y R + 2 R places of weights: a row of R for each synapse, then one for
feedback and one for biases.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.learning.constants import Real, Reals, RealType

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]

ONES, COUNTS, PLANE = range(3)


class Circuit(NamedTuple):
    """All that is constant about the units.

    Attributes:
        num_bins: T.
        inputs, hidden, outputs, values: how many there are; ``values`` is C.
        rows: R.
        first_output: the first of the outputs' rows.
        entering: how many synapses are of inputs; those of units follow.
        feedback: whether units see their own past.
        lateral: whether outputs see each other's.
        to_hidden: whether hidden units then see theirs as well.
        reading: what an event's value is: ONES; COUNTS; or its polarity + 1, of a PLANE.
        table: (W, B) what a spike gives each basis after so many bins, less one.
        bounds: (W, 2) the first basis that it gives anything, and the one after the last.
        own: (W,) what it gives feedback.
        bases: (Y,) the basis of each synapse.
        sources: (Y,) its presynaptic unit; -1 for an input.
        limits: (2,) those of silence, of the hidden layer.
    """

    num_bins: int
    inputs: int
    hidden: int
    outputs: int
    values: int
    rows: int
    first_output: int
    entering: int
    feedback: bool
    lateral: bool
    to_hidden: bool
    reading: int
    table: Reals
    bounds: I64
    own: Reals
    bases: I64
    sources: I64
    limits: I64

    @property
    def units(self) -> int:
        """U."""
        return self.hidden + self.outputs

    @property
    def places(self) -> I64:
        """(U C,) the rows that are some unit's."""
        middle = self.hidden * self.values
        rows = np.arange(self.units * self.values)
        return np.where(rows < middle, rows, rows - middle + self.first_output)


class Learning(NamedTuple):
    """How a client learns in a round.

    Attributes:
        rate: the learning rate.
        kappa, beta: what traces, and baselines, keep of themselves; 1 - these, what they take.
        gamma: weight of hidden units' divergence from the reference.
        silence, spike: logarithms of the reference's probabilities: of silence, of each value.
        smooths_signal: whether kappa smooths the learning signal, or hidden units' updates.
        every: bins between steps of the weights.
        due: (every,) what all steps from bin t on, t modulo ``every``, take of a trace: the sum of
            what kappa leaves of it.
        powers: what kappa leaves after so many bins; then it is nothing.
        fading: what is still to come of the steps of a gradient, by its bin, the newest last: of
            the bins since the last step all, of each ``every`` before what kappa leaves.
        hold: bins after which a hidden unit's trace that nothing enters is nothing.
    """

    rate: Real
    kappa: Real
    kappa_takes: Real
    beta: Real
    beta_takes: Real
    gamma: float
    silence: float
    spike: float
    smooths_signal: bool
    every: int
    due: Reals
    powers: Reals
    fading: Reals
    hold: int


class Inputs(NamedTuple):
    """The samples of a call in their order.

    Attributes:
        channels, counts, bin_offsets, sample_offsets: an EventSet's; no counts if bins are binary.
        samples: (n,) place of each in the offsets.
        labels: (n,) classes.
        addresses: (n, 5) of the stream that each draws from.
        starts: (n,) its first word.
    """

    channels: NDArray[np.unsignedinteger]
    counts: NDArray[np.uint16]
    bin_offsets: NDArray[np.uint32]
    sample_offsets: I64
    samples: I64
    labels: I64
    addresses: U32
    starts: I64


class Events(NamedTuple):
    """A sample's events as units see them.

    Attributes:
        lines, bounds: (E,) what they enter, and (T + 1,) where bins begin among them.
        places: (2, inputs) where a pixel's line of a bin stands, -1: nowhere, and its event.
    """

    lines: I64
    bounds: I64
    places: I64


class Found(NamedTuple):
    """What a free or clamped run finds in n samples; an array without rows is not asked for.

    Attributes:
        scores: (n, K) mean over bins of the probability that an output spikes.
        neurons: (H,) spikes of each hidden unit.
        raster: (n, T, U) values of the spikes, 0 for silence.
        potentials: (n, T, R).
        probabilities: (n, T, U, C + 1), of silence and of each value.
    """

    scores: F64
    neurons: I64
    raster: NDArray[np.int8]
    potentials: F64
    probabilities: F64


class Sums(NamedTuple):
    """What a training adds up.

    Attributes:
        log_likelihood: (1,) of the outputs' spikes.
        spikes: (1,) of hidden units.
        activity: (1, 3) samples, and those that are silent and saturated.
        importance: (B,) magnitudes of the synapses' gradients.
    """

    log_likelihood: F64
    spikes: I64
    activity: I64
    importance: F64


class Traces(NamedTuple):
    """What learning remembers from bin to bin of each place of weights.

    Attributes:
        eligibility: (S,) e; that of outputs as it was when a spike last reached it.
        numerator, denominator: (S,) averages of e^2 times the signal, and of e^2; (0,) without
            hidden units, as the next.
        update: (S,) g; (0,) where the signal is smoothed.
    """

    eligibility: Reals
    numerator: Reals
    denominator: Reals
    update: Reals


class Workspace(NamedTuple):
    """Scratch space of one thread.

    Attributes:
        weights: (S,) those of outputs as hpcfed.learning.circuit.steps credits them.
        traces: what learning remembers.
        past: (Y + 2,) what enters each synapse, A * s, and 1 for feedback and biases.
        active: (Y + 1,) the synapses that something enters: of inputs, those in the first
            ``counts[0]`` places; of units, those in ``counts[1]`` places from ``entering`` on.
        seen: (Y + 2,) the last bin in which something did; -1: none of this sample.
        left: (Y,) bins until hidden units' traces are forgotten; 0: they are.
        held: (Y,) the synapses of which they are not, in the same way by ``counts[2:4]``.
        fixed: (2,) numbers of feedback and biases among synapses.
        counts: (5,) and hidden spikes of the sample so far.
        own: (R,) what enters feedback: B * s.
        potential, pending: (R,) u, and what of it rests on steps to come.
        errors: (R,) d = 1[s = c] - P(c).
        slopes: (R,) what a step takes for them.
        history: (W, U) values of the last bins' spikes, bin t at t modulo W.
        probabilities: (U, C + 1), of silence and of each value.
        logarithms: (U,) those of the probabilities of what the units did.
        words: (4 n,) of a bin, the first U of them those of the units.
        signal: (1,) the smoothed learning signal.
        events: a sample's.
    """

    weights: Reals
    traces: Traces
    past: Reals
    active: I64
    seen: I64
    left: I64
    held: I64
    fixed: I64
    counts: I64
    own: Reals
    potential: Reals
    pending: Reals
    errors: Reals
    slopes: Reals
    history: I64
    probabilities: F64
    logarithms: F64
    words: U32
    signal: Reals
    events: Events


def make_events(circuit: Circuit, count: int) -> Events:
    """Return room for samples of ``count`` events or fewer."""
    return Events(
        lines=np.zeros(count, np.int64),
        bounds=np.zeros(circuit.num_bins + 1, np.int64),
        places=np.full((2, circuit.inputs), -1, np.int64),
    )


def make_work(
    circuit: Circuit, smooths_signal: bool, num_events: int, dtype: RealType
) -> Workspace:
    """Return scratch space at rest, for samples of so many events or fewer."""
    rows, synapses = circuit.rows, len(circuit.bases)
    size = (synapses + 2) * rows
    hidden = size if circuit.hidden else 0
    lengths = (size, hidden, hidden, 0 if smooths_signal else hidden)
    traces = Traces(*(np.zeros(length, dtype) for length in lengths))
    return Workspace(
        weights=np.zeros(size, dtype),
        traces=traces,
        past=np.repeat(np.array([0, 1], dtype), [synapses, 2]),
        active=np.zeros(synapses + 1, np.int64),
        seen=np.full(synapses + 2, -1, np.int64),
        left=np.zeros(synapses, np.int64),
        held=np.zeros(synapses, np.int64),
        fixed=synapses + np.arange(2),
        counts=np.zeros(5, np.int64),
        own=np.zeros(rows, dtype),
        potential=np.zeros(rows, dtype),
        pending=np.zeros(rows, dtype),
        errors=np.zeros(rows, dtype),
        slopes=np.zeros(rows, dtype),
        history=np.zeros((len(circuit.table), circuit.units), np.int64),
        probabilities=np.zeros((circuit.units, circuit.values + 1)),
        logarithms=np.zeros(circuit.units),
        words=np.zeros(4 * ((circuit.units + 3) // 4 + 1), np.uint32),
        signal=np.zeros(1, dtype),
        events=make_events(circuit, num_events),
    )


def make_sums(bases: int) -> Sums:
    """Return sums of nothing."""
    return Sums(np.zeros(1), np.zeros(1, np.int64), np.zeros((1, 3), np.int64), np.zeros(bases))
