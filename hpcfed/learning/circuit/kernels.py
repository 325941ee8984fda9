"""Whole local training, and evaluation, in one native call without the GIL each.

A unit i is silent, s = 0, or sends a spike of value c = 1..C, by P(s = c) = softmax([0, u_1..u_C])
of its potentials (Jang, Skatchkovsky, Simeone 2020, arXiv 2004.09416); with C = 1 that is the
neuron of a generalised linear model (Skatchkovsky, Jang, Simeone 2019, arXiv 1910.09594)::

    u_ic = sum_jc'k w_icjc'k (A_k * 1[s_j = c']) + wf_ic (B * 1[s_i = c]) + b_ic

with * over the last W bins, without the present one. Outputs are clamped to the target, hidden
units drawn. With d = 1[s = c] - P(c) the gradient of log P is d (A * s) for w, and so on, and::

    e = kappa e + (1 - kappa) gradient
    l = sum over outputs log P - gamma sum over hidden units log (P / reference)

An output's weight goes by rate e, a hidden unit's by rate (l - baseline) e with
baseline = <e^2 l> / (<e^2> + 1e-7), <.> an average that keeps beta. Either l is smoothed by kappa
(1910.09594), or what hidden weights go by (2004.09416).

Cost follows the spikes: a synapse of outputs takes time while a spike is in its window, one of
hidden units some bins longer.
"""

from __future__ import annotations

from hpcfed.base.bare import bare
from hpcfed.base.compiled import compiled
from hpcfed.learning.circuit.inputs import decode
from hpcfed.learning.circuit.learn import learn
from hpcfed.learning.circuit.steps import forget, settle, wake
from hpcfed.learning.circuit.tables import Circuit, Found, Inputs, Learning, Sums, Workspace
from hpcfed.learning.circuit.units import (
    FREE,
    add_up,
    add_up_credited,
    answer,
    draw_words,
    leave,
    sense,
)


@compiled(_nrt=False)
def train_client(
    circuit: Circuit,
    learning: Learning,
    inputs: Inputs,
    span: tuple[int, int],
    work: Workspace,
    sums: Sums,
) -> None:
    """Learn in bins span[0] to span[1], counted from the first sample's beginning.

    Starts from ``work`` as it was left, where the first bin is not a sample's first.
    """
    first, stop = span
    decode(circuit, inputs, 0, work.events)
    for number in range(first, stop):
        sample, t = number // circuit.num_bins, number % circuit.num_bins
        if t == 0:
            rest(circuit, work)
            decode(circuit, inputs, sample, work.events)
        if circuit.hidden > 0:
            draw_words(inputs, sample, t, work)
        sense(circuit, t, work)
        wake(circuit, learning, t, work)
        add_up_credited(circuit, learning, t, work)
        answer(circuit, inputs.labels[sample], t, work)
        learn(circuit, learning, t, work, sums)
        if t + 1 == circuit.num_bins:
            settle(circuit, learning, work)
            _note_activity(circuit, work, sums)


@compiled(_nrt=False)
def run_samples(
    circuit: Circuit, inputs: Inputs, is_clamped: bool, work: Workspace, found: Found
) -> None:
    """Write what is found in the samples, with outputs clamped to the labels, or drawn."""
    draws = circuit.hidden > 0 or circuit.feedback or circuit.lateral
    for sample in range(len(inputs.samples)):
        rest(circuit, work)
        decode(circuit, inputs, sample, work.events)
        for t in range(circuit.num_bins):
            if draws or len(found.raster) > 0:
                draw_words(inputs, sample, t, work)
            sense(circuit, t, work)
            add_up(circuit, work)
            answer(circuit, inputs.labels[sample] if is_clamped else FREE, t, work)
            _note(circuit, sample, t, work, found)
            leave(circuit, work)
        for k in range(circuit.outputs):
            found.scores[sample, k] /= circuit.num_bins


@bare
def rest(circuit: Circuit, work: Workspace) -> None:
    """Bring all traces to where a sample finds them."""
    rows, hidden, left = circuit.rows, circuit.hidden * circuit.values, work.left
    leave(circuit, work)
    if hidden > 0:
        for synapse in range(len(left)):
            if left[synapse] > 0:
                left[synapse] = 0
                forget(synapse * rows, hidden, work.traces)
        for synapse in work.fixed:
            forget(synapse * rows, hidden, work.traces)
    for synapse in work.fixed:
        first = synapse * rows + circuit.first_output
        work.traces.eligibility[first : (synapse + 1) * rows] = 0
    work.seen[:] = -1
    work.own[:] = 0
    work.signal[0] = 0
    work.counts[:] = 0


@bare
def _note(circuit: Circuit, sample: int, t: int, work: Workspace, found: Found) -> None:
    """Note what the units did in bin ``t``, and how probable an output's spike was."""
    now = work.history[t % len(circuit.table)]
    for unit in range(circuit.hidden):
        found.neurons[unit] += now[unit] > 0
    for k in range(circuit.outputs):
        chances = work.probabilities[circuit.hidden + k]
        for c in range(1, len(chances)):
            found.scores[sample, k] += chances[c]
    if len(found.raster) > 0:
        for unit in range(len(now)):
            found.raster[sample, t, unit] = now[unit]
    if len(found.potentials) > 0:
        for row in range(len(work.potential)):
            found.potentials[sample, t, row] = work.potential[row]
        for unit in range(len(now)):
            for c in range(circuit.values + 1):
                found.probabilities[sample, t, unit, c] = work.probabilities[unit, c]


@bare
def _note_activity(circuit: Circuit, work: Workspace, sums: Sums) -> None:
    """Count a sample whose last bin is over, and whether its hidden units were silent."""
    sums.activity[0, 0] += 1
    sums.activity[0, 1] += work.counts[4] < circuit.limits[0]
    sums.activity[0, 2] += work.counts[4] >= circuit.limits[1]
