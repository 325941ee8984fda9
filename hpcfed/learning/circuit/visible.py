"""Training without hidden units: samples whose spikes are all known beforehand.

Inputs spike when the data say so, outputs when the label does; nothing is unknown but the errors d.
With x = A * s the traces, the weights of bin t are those of the sample's beginning and what steps
before t took of the gradients d_s x_s of its bins, share(s, t) of each, so that::

    u_t = W x_t + sum over s < t of share(s, t) d_s (x_s . x_t)

W x_t and the products of traces are sums over spikes that need no order, and the weights change
once a sample; bin by bin there is only the sum over errors. That is ``kernels.train_client`` in
another order, several times as fast; the work grows with the square of bins, and of W.

T bins, L lines, W bins of the past, B bases, R rows, E events of a sample: see ``tables``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from hpcfed.base.bare import bare
from hpcfed.base.compiled import compiled
from hpcfed.learning.circuit.inputs import decode
from hpcfed.learning.circuit.products import (
    add_product,
    add_row,
    correlate,
    gather,
    spread,
    sum_rows,
)
from hpcfed.learning.circuit.rows import padded
from hpcfed.learning.circuit.tables import (
    F64,
    I64,
    Circuit,
    Events,
    Inputs,
    Learning,
    Sums,
    make_events,
)
from hpcfed.learning.circuit.units import exponentials
from hpcfed.learning.constants import Reals, RealType

_LANES = 16  # columns of products that are worked out together
_LARGE = 1e200


class Sample(NamedTuple):
    """Scratch space of one thread, for one sample after the other.

    Attributes:
        weights: (S,) as in ``tables.Workspace``.
        events: the sample's.
        starts, times: (L + 2,) where each line's events begin, and (E,) their bins.
        spikes: (L, T or more) 1 where a line has an event.
        coincidences: (T + 3 + W, ...) lines with events in bin t and in bin s, at (t + W, s + W).
        overlaps, lags: sums over bases of A_k A_k of two lags, at the place in ``coincidences`` of
            which they are the factor, seen from W bins before both; (W^2,) places of those not 0.
        products: (T + 3, ...) at (t, s), s < t: x_s . x_t, and 1 for biases.
        columns: B times (W,), what a spike gives each basis.
        potentials: (T + W, R) u.
        steps: (T + W, R) what a bin's errors bring weights, for each unit of x.
        response: (W, R) of a line.
        chances: (C + 1,).
        denominators: (1,) product of those of P whose logarithm is still to come.
        magnitudes: (T,) sums of |d|.
    """

    weights: Reals
    events: Events
    starts: I64
    times: I64
    spikes: Reals
    coincidences: Reals
    overlaps: Reals
    lags: I64
    products: Reals
    columns: tuple[Reals, ...]
    potentials: Reals
    steps: Reals
    response: Reals
    chances: F64
    denominators: F64
    magnitudes: F64


def make_sample(circuit: Circuit, num_events: int, dtype: RealType) -> Sample:
    """Return scratch space for samples of so many events or fewer."""
    bins, (window, bases), rows = circuit.num_bins, circuit.table.shape, circuit.rows
    lines, broad = len(circuit.bases) // bases, padded(circuit.num_bins + 3, _LANES)
    overlaps = np.zeros((window, window + broad), dtype)
    exact = circuit.table.astype(np.float64)
    overlaps[:, :window] = (exact @ exact.T)[::-1, ::-1]
    return Sample(
        weights=np.zeros((len(circuit.bases) + 2) * rows, dtype),
        events=make_events(circuit, num_events),
        starts=np.zeros(lines + 2, np.int64),
        times=np.zeros(num_events, np.int64),
        spikes=np.zeros((lines, padded(bins, _LANES)), dtype),
        coincidences=np.zeros((bins + 3 + window, window + broad), dtype),
        overlaps=overlaps.ravel(),
        lags=np.flatnonzero(overlaps),
        products=np.zeros((bins + 3, broad), dtype),
        columns=tuple(np.ascontiguousarray(circuit.table.T)),
        potentials=np.zeros((bins + window, rows), dtype),
        steps=np.zeros((bins + window, rows), dtype),
        response=np.zeros((window, rows), dtype),
        chances=np.zeros(circuit.values + 1),
        denominators=np.ones(1),
        magnitudes=np.zeros(bins),
    )


@compiled(_nrt=False)
def train_visible(
    circuit: Circuit, learning: Learning, inputs: Inputs, work: Sample, sums: Sums
) -> None:
    """Learn from samples, in their order, without hidden units, feedback or lateral kernels."""
    for sample in range(len(inputs.samples)):
        decode(circuit, inputs, sample, work.events)
        _line_up(circuit, work)
        _multiply(circuit, work)
        _foresee(circuit, work)
        for t in range(circuit.num_bins):
            _correct(circuit, learning, t, work)
            _answer(circuit, learning, inputs.labels[sample], t, work, sums)
        sums.log_likelihood[0] -= math.log(work.denominators[0])
        work.denominators[0] = 1
        _take_steps(circuit, learning, work)
        _weigh(circuit, work, sums)


@bare
def _line_up(circuit: Circuit, work: Sample) -> None:
    """Write when each line has events."""
    lines, bounds, starts = work.events.lines, work.events.bounds, work.starts
    starts[:] = 0
    for event in range(bounds[circuit.num_bins]):
        starts[lines[event] + 2] += 1
    for line in range(2, len(starts)):
        starts[line] += starts[line - 1]
    for t in range(circuit.num_bins):
        for event in range(bounds[t], bounds[t + 1]):
            following = lines[event] + 1  # its start moves to this line's end
            work.times[starts[following]] = t
            starts[following] += 1
            work.spikes[lines[event], t] = 1


@bare
def _multiply(circuit: Circuit, work: Sample) -> None:
    """Write the products of traces: sums over pairs of spikes of a line."""
    lines, bounds, window = work.events.lines, work.events.bounds, len(circuit.table)
    both, products = work.coincidences, work.products
    columns, width = both.shape[1], work.spikes.shape[1]
    for t in range(circuit.num_bins):
        place = (window + t) * columns + window
        sum_rows(both, place, width, work.spikes, width, lines, bounds[t], bounds[t + 1])
    for t in range(1, circuit.num_bins, 4):
        some = (products[t], products[t + 1], products[t + 2], products[t + 3])
        before = (both[t], both[t + 1], both[t + 2], both[t + 3])
        correlate(some, -(-(t + 3) // _LANES) * _LANES, before, work.lags, work.overlaps)


@bare
def _foresee(circuit: Circuit, work: Sample) -> None:
    """Write the potentials that the weights of the sample's beginning give."""
    (window, bases), rows = circuit.table.shape, circuit.rows
    potentials, response, starts = work.potentials, work.response, work.starts
    weights, biases = work.weights, (len(circuit.bases) + 1) * rows
    for t in range(circuit.num_bins):
        for row in range(rows):
            potentials[t, row] = weights[biases + row]
    for line in range(len(work.spikes)):
        if starts[line] == starts[line + 1]:
            continue
        spread(response, rows, weights, line * bases * rows, work.columns, window)
        for event in range(starts[line], starts[line + 1]):
            add_row(potentials, (work.times[event] + 1) * rows, window * rows, response, 0)


@bare
def _correct(circuit: Circuit, learning: Learning, t: int, work: Sample) -> None:
    """Add to the potentials of bin ``t`` what the bins before have taught."""
    rows, products = circuit.rows, work.products[t]
    begins, fading = _begins(learning, t), learning.fading
    for then in range(max(0, begins), t):
        products[then] -= products[then] * fading[then - begins]
    add_product(work.potentials, t * rows, rows, work.steps, 0, rows, t, products, 0)


@bare
def _begins(learning: Learning, t: int) -> int:
    """Return the bin that ``learning.fading`` begins with, seen from bin ``t``; it may be below 0.

    The steps before t have not taken fading[then - that] of the gradients of bin ``then``.
    """
    return (t // learning.every + 1) * learning.every - len(learning.fading)


@bare
def _answer(
    circuit: Circuit, learning: Learning, label: int, t: int, work: Sample, sums: Sums
) -> None:
    """Write what the errors of bin ``t`` bring, all steps taken."""
    potential, steps, chances = work.potentials[t], work.steps[t], work.chances
    share = learning.rate * learning.kappa_takes * learning.due[t % learning.every]
    likelihood, magnitude, denominators = 0.0, 0.0, work.denominators[0]
    for unit in range(circuit.outputs):
        row = unit * circuit.values
        highest, total = exponentials(potential[row:], chances)
        likelihood -= highest
        denominators *= total
        if denominators > _LARGE:
            likelihood -= math.log(denominators)
            denominators = 1.0
        if unit == label:
            likelihood += float(potential[row])
        for c in range(circuit.values):
            error = (1.0 if unit == label and c == 0 else 0.0) - chances[c + 1] / total
            magnitude += abs(error)
            steps[row + c] = share * steps.dtype.type(error)
    work.magnitudes[t] = magnitude
    work.denominators[0] = denominators
    sums.log_likelihood[0] += likelihood


@bare
def _take_steps(circuit: Circuit, learning: Learning, work: Sample) -> None:
    """Bring to the weights what the sample's steps have taken of its gradients."""
    (window, bases), rows, bins = circuit.table.shape, circuit.rows, circuit.num_bins
    steps, response, starts = work.steps, work.response, work.starts
    biases = (len(circuit.bases) + 1) * rows
    begins = _begins(learning, bins)
    for t in range(max(0, begins), bins):
        left = learning.fading[t - begins]
        for row in range(rows):
            steps[t, row] -= left * steps[t, row]
    for t in range(bins):
        add_row(work.weights, biases, rows, steps, t * rows)
    for line in range(len(work.spikes)):
        if starts[line] == starts[line + 1]:
            continue
        response[:] = 0
        for event in range(starts[line], starts[line + 1]):
            add_row(response, 0, window * rows, steps, (work.times[event] + 1) * rows)
            work.spikes[line, work.times[event]] = 0
        gather(work.weights, line * bases * rows, rows, response, work.columns, window)


@bare
def _weigh(circuit: Circuit, work: Sample, sums: Sums) -> None:
    """Add up the magnitudes of the synapses' gradients: all inputs reach all rows."""
    table, bounds = circuit.table, work.events.bounds
    for age in range(len(table)):
        reach = 0.0
        for t in range(age + 1, circuit.num_bins):
            reach += work.magnitudes[t] * (bounds[t - age] - bounds[t - 1 - age])
        for k in range(table.shape[1]):
            sums.importance[k] += reach * float(table[age, k])
