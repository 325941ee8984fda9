"""A client's vector of float32 from which its units go on exactly where they were, within a sample.

S places of weights, R rows, Y synapses, P parameters, W bins of the past, U units. What it holds,
in this order: the bins done so far, as two numbers; the learning signal; hidden spikes of the
sample; when each synapse was last reached, and how long its hidden traces are kept (Y + 2, Y); the
last spikes (W U,); what learning remembers of each parameter, (P,) for each kind of trace; and what
a change in float32 leaves of weights, (P,). It is exact for training in float32.

In a sample's middle outputs' weights are those that are credited (hpcfed.learning.circuit.steps).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.learning.circuit.tables import Circuit, Workspace
from hpcfed.learning.constants import Reals

F32 = NDArray[np.float32]

_HALF = 1 << 24  # float32 has all whole numbers below
_HEAD = 4


def size(circuit: Circuit, num_parameters: int, smooths_signal: bool) -> int:
    """Return the length of the vector."""
    kinds = 1 + (2 + (not smooths_signal) if circuit.hidden else 0)
    spikes = len(circuit.table) * circuit.units
    return _HEAD + 2 * len(circuit.bases) + 2 + spikes + (kinds + 1) * num_parameters


def bins_done(memory: F32 | None) -> int:
    """Return how many bins the client has learned in; 0 in its first round."""
    return 0 if memory is None else int(memory[0]) * _HALF + int(memory[1])


def pack(circuit: Circuit, done: int, work: Workspace, rest: F32) -> F32:
    """Return the vector after ``done`` bins; ``rest`` (P,) is what the change leaves of weights."""
    head = np.array([done // _HALF, done % _HALF, work.signal[0], work.counts[4]])
    traces = [to_parameters(circuit, trace) for trace in work.traces if len(trace)]
    parts = [head, work.seen, work.left, work.history.ravel(), *traces, rest]
    return np.concatenate([part.astype(np.float32) for part in parts])


def unpack(circuit: Circuit, memory: F32, work: Workspace) -> F32:
    """Bring ``work`` to where the vector was made; return what the change left of weights."""
    synapses, kinds = len(circuit.bases), sum(len(trace) > 0 for trace in work.traces)
    lengths = [_HEAD, synapses + 2, synapses, work.history.size]
    head, seen, left, history, tail = np.split(memory, np.cumsum(lengths))
    held, entering = np.flatnonzero(left), circuit.entering
    first, second = held[held < entering], held[held >= entering]
    work.held[: len(first)], work.held[entering : entering + len(second)] = first, second
    work.signal[0], work.counts[:] = head[2], (0, 0, len(first), len(second), head[3])
    work.seen[:], work.left[:] = seen, left
    work.history[:] = history.reshape(work.history.shape)
    work.past[:synapses] = 0
    *traces, rest = np.split(tail, kinds + 1)
    for trace, kept in zip([t for t in work.traces if len(t)], traces, strict=True):
        to_places(circuit, kept, trace)
    return rest


def to_places(circuit: Circuit, values: Reals, places: Reals) -> None:
    """Write ``values`` (P,) to where kernels have them, (S,)."""
    bases, rows = circuit.table.shape[1], circuit.places
    lines, middle = len(circuit.bases) // bases, len(circuit.bases) * len(rows)
    every = places.reshape(-1, circuit.rows)
    kernel = values[:middle].reshape(bases, len(rows), lines).transpose(2, 0, 1)
    every[:-2].reshape(lines, bases, -1)[:, :, rows] = kernel
    every[-2, rows] = values[middle : -len(rows)] if circuit.feedback else 0
    every[-1, rows] = values[-len(rows) :]


def to_parameters(circuit: Circuit, places: Reals) -> Reals:
    """Return values (P,) from where kernels have them, (S,)."""
    bases, every = circuit.table.shape[1], places.reshape(-1, circuit.rows)[:, circuit.places]
    kernel = every[:-2].reshape(-1, bases, len(circuit.places)).transpose(1, 2, 0)
    tail = every[-2:] if circuit.feedback else every[-1:]
    return np.concatenate([kernel.ravel(), tail.ravel()])
