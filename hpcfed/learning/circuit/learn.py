"""What probabilistic units learn in a bin, and what a round measures.

Letters and shapes: hpcfed.learning.circuit.tables; equations: hpcfed.learning.circuit.kernels.
"""

from __future__ import annotations

from hpcfed.base.bare import bare
from hpcfed.learning.circuit.steps import hold, let_go, step_hidden, step_outputs
from hpcfed.learning.circuit.tables import I64, Circuit, Learning, Sums, Workspace
from hpcfed.learning.circuit.units import first_row, leave
from hpcfed.learning.constants import Reals


@bare
def learn(circuit: Circuit, learning: Learning, t: int, work: Workspace, sums: Sums) -> None:
    """Take all traces through bin ``t``, and the weights if it is one of ``every``."""
    errors, slopes = work.errors, work.slopes
    _measure(circuit, learning, t, work, sums)
    work.seen[len(circuit.bases) :] = t
    if circuit.feedback:
        for row in range(len(slopes)):
            slopes[row] = errors[row] * work.own[row]
        _step(circuit, learning, t, work.fixed[:1], work)
    for row in range(len(slopes)):
        slopes[row] = errors[row]
    _step(circuit, learning, t, work.fixed[1:], work)
    step_outputs(circuit, learning, t, work.active[: work.counts[0]], work)
    if circuit.hidden > 0:
        hold(circuit, learning, work)
        step_hidden(circuit, learning, t, work.held[: work.counts[2]], work)
    if circuit.hidden > 0 or circuit.lateral:
        _step_between(circuit, learning, t, work)
    _weigh(circuit, t, work, sums)
    if circuit.hidden > 0:
        let_go(circuit, work)
    leave(circuit, work)


@bare
def _step(circuit: Circuit, learning: Learning, t: int, synapses: I64, work: Workspace) -> None:
    """Step the weights of ``synapses`` of all rows by ``work.slopes``."""
    if circuit.hidden > 0:
        step_hidden(circuit, learning, t, synapses, work)
    step_outputs(circuit, learning, t, synapses, work)


@bare
def _step_between(circuit: Circuit, learning: Learning, t: int, work: Workspace) -> None:
    """Step the weights from units to others."""
    active, held = work.active[circuit.entering :], work.held[circuit.entering :]
    for place in range(work.counts[1]):
        _exchange(circuit, active[place], work)
        step_outputs(circuit, learning, t, active[place : place + 1], work)
        _exchange(circuit, active[place], work)
    for place in range(work.counts[3]):
        _exchange(circuit, held[place], work)
        step_hidden(circuit, learning, t, held[place : place + 1], work)
        _exchange(circuit, held[place], work)


@bare
def _exchange(circuit: Circuit, synapse: int, work: Workspace) -> None:
    """Put zeros in the place of a synapse's own unit's errors, and next time these back.

    No unit sees itself but through feedback.
    """
    slopes, row = work.slopes, first_row(circuit, circuit.sources[synapse])
    for c in range(circuit.values):
        slopes[row + c] = work.errors[row + c] - slopes[row + c]


@bare
def _weigh(circuit: Circuit, t: int, work: Workspace, sums: Sums) -> None:
    """Add up the magnitudes of the synapses' gradients."""
    past, active, importance, table = work.past, work.active, sums.importance, circuit.table
    outputs, total = _magnitude(work.errors[circuit.first_output :]), _magnitude(work.errors)
    for age in range(min(len(table), t)):  # all inputs reach all rows
        then = t - 1 - age
        reach = total * (work.events.bounds[then + 1] - work.events.bounds[then])
        for k in range(table.shape[1]):
            importance[k] += reach * float(table[age, k])
    for place in range(circuit.entering, circuit.entering + work.counts[1]):
        synapse = active[place]
        source, row = circuit.sources[synapse], first_row(circuit, circuit.sources[synapse])
        reach = total if source < circuit.hidden or circuit.to_hidden else outputs
        reach -= _magnitude(work.errors[row : row + circuit.values])
        importance[circuit.bases[synapse]] += reach * float(past[synapse])


@bare
def _magnitude(errors: Reals) -> float:
    """Return the sum of |d|."""
    total = 0.0
    for row in range(len(errors)):
        total += abs(float(errors[row]))
    return total


@bare
def _measure(circuit: Circuit, learning: Learning, t: int, work: Workspace, sums: Sums) -> None:
    """Write l, and add up what the round measures."""
    now, likelihood, divergence = work.history[t % len(circuit.table)], 0.0, 0.0
    for unit in range(circuit.hidden):
        reference = learning.spike if now[unit] > 0 else learning.silence
        divergence += work.logarithms[unit] - reference
        work.counts[4] += now[unit] > 0
        sums.spikes[0] += now[unit] > 0
    for unit in range(circuit.hidden, len(now)):
        likelihood += work.logarithms[unit]
    sums.log_likelihood[0] += likelihood
    signal = work.signal.dtype.type(likelihood - learning.gamma * divergence)
    if learning.smooths_signal:
        signal = learning.kappa * work.signal[0] + learning.kappa_takes * signal
    work.signal[0] = signal
