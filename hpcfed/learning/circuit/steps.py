"""The step of weights: what presynaptic traces, and the units' errors, change.

R rows, hidden units' first; Y synapses, the weights of synapse y from y R on. Equations:
hpcfed.learning.circuit.kernels. Each function goes through many synapses: to hand over a workspace
takes as long as a row.

An output's weight goes by rate e in each bin of a step, and e is a sum of gradients that kappa
fades. So a gradient is credited at once with all that it will ever move its weight, and what of it
is still to come is taken off where the weight is used::

    credited weight = w + rate (due - 1[step in this bin]) e

A synapse that no spike reaches then takes no time, whatever is left of its e. At a sample's end
what never came is taken back. Hidden weights go by products with a signal that changes from bin to
bin: for each a trace is followed until it is nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from hpcfed.base.bare import bare
from hpcfed.learning.circuit import rows
from hpcfed.learning.circuit.tables import I64, Circuit, Learning, Traces, Workspace
from hpcfed.learning.constants import Real

_GUARD = 1e-7  # of the baseline's denominator, as published


class Step(NamedTuple):
    """What a bin makes of outputs' weights: constants of ``rows.step_rows``."""

    keeps: Real
    takes: Real
    credit: Real


class HiddenStep(NamedTuple):
    """What a bin makes of hidden units' weights: constants of ``rows.step_by_signal``."""

    rate: Real
    signal: Real
    kappa: Real
    kappa_takes: Real
    beta: Real
    beta_takes: Real
    guard: Real


@bare
def pending_rate(learning: Learning, t: int) -> Real:
    """Return how much of e before bin ``t`` outputs' weights are credited with."""
    due: Real = learning.due[t % learning.every]
    return learning.rate * learning.kappa * due


@bare
def step_outputs(
    circuit: Circuit, learning: Learning, t: int, synapses: I64, work: Workspace
) -> None:
    """Step the outputs' weights of ``synapses`` by ``work.slopes``."""
    slopes, first = work.slopes, circuit.first_output
    step = Step(
        learning.kappa, learning.kappa_takes, learning.rate * learning.due[t % learning.every]
    )
    rows.step_rows(
        (work.weights, work.traces.eligibility), first, len(slopes), slopes, first,
        len(slopes) - first, synapses, len(synapses), work.past, step,
    )  # fmt: skip


@bare
def wake(circuit: Circuit, learning: Learning, t: int, work: Workspace) -> None:
    """Let outputs' traces fade that nothing entered in the bin before, and does in bin ``t``."""
    seen, eligibility, powers = work.seen, work.traces.eligibility, learning.powers
    size, first = len(work.slopes), circuit.first_output
    for part in range(2):
        active = work.active[part * circuit.entering :]
        for place in range(work.counts[part]):
            synapse = active[place]
            then = seen[synapse]
            seen[synapse] = t
            if t > 0 and then == t - 1:
                continue
            away = t - 1 - then if then >= 0 else len(powers)
            trace = eligibility[synapse * size + first : (synapse + 1) * size]
            left = powers[away] if away < len(powers) else powers[0] - powers[0]
            for row in range(len(trace)):
                trace[row] = trace[row] * left if left > 0 else left


@bare
def settle(circuit: Circuit, learning: Learning, work: Workspace) -> None:
    """Take back from outputs' weights what the sample's end has left of their credit."""
    seen, weights, eligibility = work.seen, work.weights, work.traces.eligibility
    size, first, powers = len(work.slopes), circuit.first_output, learning.powers
    rate = pending_rate(learning, circuit.num_bins)
    for synapse in range(len(seen)):
        away = circuit.num_bins - 1 - seen[synapse]
        if seen[synapse] >= 0 and away < len(powers):
            for place in range(synapse * size + first, (synapse + 1) * size):
                weights[place] -= rate * (powers[away] * eligibility[place])


@bare
def hold(circuit: Circuit, learning: Learning, work: Workspace) -> None:
    """Follow hidden traces of what is active."""
    left = work.left
    for part in range(2):
        active, held = work.active[part * circuit.entering :], work.held[part * circuit.entering :]
        for place in range(work.counts[part]):
            synapse = active[place]
            if circuit.sources[synapse] >= circuit.hidden and not circuit.to_hidden:
                continue
            if left[synapse] == 0:
                held[work.counts[2 + part]] = synapse
                work.counts[2 + part] += 1
            left[synapse] = learning.hold + 1


@bare
def let_go(circuit: Circuit, work: Workspace) -> None:
    """Forget hidden traces that have had their time."""
    left, traces, hidden = work.left, work.traces, circuit.hidden * circuit.values
    for part in range(2):
        held, kept = work.held[part * circuit.entering :], 0
        for place in range(work.counts[2 + part]):
            synapse = held[place]
            left[synapse] -= 1
            if left[synapse] > 0:
                held[kept] = synapse
                kept += 1
            else:
                forget(synapse * circuit.rows, hidden, traces)
        work.counts[2 + part] = kept


@bare
def forget(start: int, rows: int, traces: Traces) -> None:
    """Set what learning remembers of a row of hidden weights to nothing."""
    eligibility, numerator, denominator, update = traces
    for place in range(start, start + rows):
        eligibility[place] = 0
        numerator[place] = 0
        denominator[place] = 0
    if len(update) > 0:
        for place in range(start, start + rows):
            update[place] = 0


@bare
def step_hidden(
    circuit: Circuit, learning: Learning, t: int, synapses: I64, work: Workspace
) -> None:
    """Step the hidden units' weights of ``synapses`` by ``work.slopes``."""
    rate = learning.rate if (t + 1) % learning.every == 0 else learning.rate - learning.rate
    slopes, (e, above, below, update) = work.slopes, work.traces
    step = HiddenStep(
        rate,
        work.signal[0],
        learning.kappa,
        learning.kappa_takes,
        learning.beta,
        learning.beta_takes,
        slopes.dtype.type(_GUARD),
    )
    stride, width, count = circuit.rows, circuit.first_output, len(synapses)
    if learning.smooths_signal:
        arrays = (work.weights, e, above, below)
        rows.step_by_signal(arrays, stride, slopes, width, synapses, count, work.past, step)
    else:
        every = (work.weights, e, above, below, update)
        rows.step_by_update(every, stride, slopes, width, synapses, count, work.past, step)
