"""What probabilistic units do in a bin: past spikes become potentials, potentials become spikes.

Letters and shapes: hpcfed.learning.circuit.tables; equations: hpcfed.learning.circuit.kernels. Sums
run over synapses in the order in which spikes come to them.
"""

from __future__ import annotations

import math

import numpy as np

from hpcfed.base.bare import bare
from hpcfed.base.philox import draw
from hpcfed.learning.circuit.rows import add_up_pairs, add_up_rows
from hpcfed.learning.circuit.steps import pending_rate
from hpcfed.learning.circuit.tables import F64, I64, Circuit, Inputs, Learning, Workspace
from hpcfed.learning.constants import Reals

FREE = -1  # in the place of a label: outputs are drawn as well
_WORDS = 2.0**32


@bare
def draw_words(inputs: Inputs, sample: int, t: int, work: Workspace) -> None:
    """Write the words of the units in a bin, the first one in the first place."""
    units, words = len(work.logarithms), work.words
    first = inputs.starts[sample] + t * units
    draw(words, first // 4, inputs.addresses[sample])
    shift = first % 4
    if shift > 0:
        for unit in range(units):
            words[unit] = words[unit + shift]


@bare
def sense(circuit: Circuit, t: int, work: Workspace) -> None:
    """Write what spikes of the last W bins give each synapse in bin ``t``, and feedback."""
    table, values, history = circuit.table, circuit.values, work.history
    lines, bounds = work.events.lines, work.events.bounds
    listening = circuit.hidden + circuit.outputs if circuit.lateral else circuit.hidden
    synapses, count = (work.past, work.active), 0
    for age in range(min(len(table), t)):
        then, ends = t - 1 - age, (circuit.bounds[age, 0], circuit.bounds[age, 1])
        for event in range(bounds[then], bounds[then + 1]):
            count = _enter(table[age], ends, lines[event], synapses, count)
    work.counts[0], synapses, count = count, (work.past, work.active[circuit.entering :]), 0
    for age in range(min(len(table), t)):
        ends = circuit.bounds[age, 0], circuit.bounds[age, 1]
        for unit in range(listening):
            value = history[(t - 1 - age) % len(table), unit]
            if value > 0:
                line = (circuit.inputs + unit) * values + value - 1
                count = _enter(table[age], ends, line, synapses, count)
    work.counts[1] = count
    if circuit.feedback:
        _look_back(circuit, t, work)


@bare
def _enter(
    factors: Reals, ends: tuple[int, int], line: int, synapses: tuple[Reals, I64], count: int
) -> int:
    """Add what a spike gives the synapses of its line; takes and returns how many are active.

    What is written and not counted is overwritten: a branch that nobody can foresee takes longer.
    """
    past, active = synapses
    for k in range(ends[0], ends[1]):
        synapse = line * len(factors) + k
        before = past[synapse]
        active[count] = synapse
        count += before == 0
        past[synapse] = before + factors[k]
    return count


@bare
def _look_back(circuit: Circuit, t: int, work: Workspace) -> None:
    """Write what enters the units' feedback in bin ``t``."""
    work.own[:] = 0
    for age in range(min(len(circuit.own), t)):
        values = work.history[(t - 1 - age) % len(circuit.own)]
        for unit in range(len(values)):
            if values[unit] > 0:
                work.own[first_row(circuit, unit) + values[unit] - 1] += circuit.own[age]


@bare
def add_up(circuit: Circuit, work: Workspace) -> None:
    """Write the potentials that the weights give."""
    _begin(circuit, work.weights, work.potential, work)
    _add_up_first(circuit, circuit.rows, work)


@bare
def add_up_credited(circuit: Circuit, learning: Learning, t: int, work: Workspace) -> None:
    """Write the potentials of bin ``t``, outputs' without what weights are credited with."""
    potential, pending, traces = work.potential, work.pending, work.traces.eligibility
    first, rows = circuit.first_output, circuit.rows
    _begin(circuit, work.weights, potential, work)
    _begin(circuit, traces, pending, work)
    _add_up_first(circuit, first, work)
    for part in range(2):
        count, active = work.counts[part], work.active[part * circuit.entering :]
        add_up_pairs(
            (potential, pending), first, rows - first, (work.weights, traces), first, rows,
            active, count, work.past,
        )  # fmt: skip
    rate = pending_rate(learning, t)
    for row in range(first, rows):
        potential[row] -= rate * pending[row]


@bare
def _begin(circuit: Circuit, places: Reals, sums: Reals, work: Workspace) -> None:
    """Write what biases and feedback give each row."""
    rows, synapses = circuit.rows, len(circuit.bases) * circuit.rows
    for row in range(rows):
        sums[row] = places[synapses + rows + row] + places[synapses + row] * work.own[row]


@bare
def _add_up_first(circuit: Circuit, rows: int, work: Workspace) -> None:
    """Add to the potentials of the first rows what enters their synapses."""
    for part in range(2):
        count, active = work.counts[part], work.active[part * circuit.entering :]
        add_up_rows(
            work.potential, 0, rows, work.weights, 0, circuit.rows, active, count, work.past
        )


@bare
def answer(circuit: Circuit, label: int, t: int, work: Workspace) -> None:
    """Let the units spike, outputs as ``label`` says; write probabilities and d."""
    potentials, probabilities, all_errors = work.potential, work.probabilities, work.errors
    now, values = work.history[t % len(circuit.table)], circuit.values
    logarithms, words, hidden = work.logarithms, work.words, circuit.hidden
    for unit in range(len(now)):
        row, chances = first_row(circuit, unit), probabilities[unit]
        total = _softmax(potentials[row:], chances)
        if unit < hidden or label == FREE:
            value = _drawn(chances, words[unit])
        else:
            value = 1 if unit - hidden == label else 0
        now[unit] = value
        logarithms[unit] = (float(potentials[row + value - 1]) if value > 0 else 0.0) - total
        for c in range(values):
            all_errors[row + c] = (1.0 if value == c + 1 else 0.0) - chances[c + 1]


@bare
def first_row(circuit: Circuit, unit: int) -> int:
    """Return the first of a unit's C rows."""
    row = unit * circuit.values
    if unit < circuit.hidden:
        return row
    return row - circuit.hidden * circuit.values + circuit.first_output


@bare
def _softmax(potential: Reals, chances: F64) -> float:
    """Write the softmax (C + 1,) of 0 and the first C potentials; return log of its denominator."""
    highest, total = exponentials(potential, chances)
    for c in range(len(chances)):
        chances[c] /= total
    return highest + math.log(total)


@bare
def exponentials(potential: Reals, chances: F64) -> tuple[float, float]:
    """Write exp of 0 and of the first C potentials, less their highest (C + 1,).

    Returns that one, and the sum.
    """
    highest = 0.0
    for c in range(len(chances) - 1):
        highest = max(highest, float(potential[c]))
    chances[0] = math.exp(-highest) if highest > 0 else 1.0
    total = chances[0]
    for c in range(1, len(chances)):
        below = float(potential[c - 1]) - highest
        chances[c] = math.exp(below) if below != 0 else 1.0
        total += chances[c]
    return highest, total


@bare
def _drawn(chances: F64, word: np.uint32) -> int:
    """Return the value that a word stands for: the first has the lowest words, silence the rest."""
    bound = 0.0
    for value in range(1, len(chances)):
        bound += chances[value]
        if np.int64(word) < np.int64(np.rint(bound * _WORDS)):
            return value
    return 0


@bare
def leave(circuit: Circuit, work: Workspace) -> None:
    """Let nothing enter any synapse."""
    past = work.past
    for part in range(2):
        active = work.active[part * circuit.entering :]
        for place in range(work.counts[part]):
            past[active[place]] = 0
        work.counts[part] = 0
