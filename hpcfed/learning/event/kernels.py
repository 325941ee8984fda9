"""Whole local training, and evaluation, on events: one native call without the GIL each.

T time bins, L hidden layers, C channels, R = plan.rows samples at once, n samples of the call.
Nothing depends on what other threads do, and every sum has a fixed order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import compiled, inlined, inner
from hpcfed.learning.constants import MAXIMUM, Optimiser, Reals
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.event.layers import layer_backward, layer_forward
from hpcfed.learning.event.optimiser import adjust, optimise
from hpcfed.learning.event.readout import (
    copy_logits,
    cross_entropy,
    readout_backward,
    readout_forward,
)
from hpcfed.learning.event.samples import change_events, copy_events
from hpcfed.learning.event.tables import Evaluated, Inputs, NetworkConstants, Sizes
from hpcfed.learning.event.teaching import keep_logits, learn_from_teacher
from hpcfed.learning.event.vectors import turn_block
from hpcfed.learning.event.work import Workspace

I64 = NDArray[np.int64]

# no kernel makes an array: without numba's reference counts they are compiled in less time
kernel = compiled(_nrt=False)


@kernel
def train_client(
    network: NetworkConstants,
    optimiser: Optimiser,
    inputs: Inputs,
    steps: I64,
    received: Reals,
    work: Workspace,
) -> tuple[float, int]:
    """Take the steps ``steps[s]`` to ``steps[s + 1]`` of the samples, one optimiser step each.

    Returns the loss summed over samples (each of its step's mean loss with the penalty), and the
    spikes of all hidden layers; leaves the trained minus the received weights in the work space,
    and how many samples were silent and saturated.
    """
    weights, total = work.weights, 0.0
    for k in range(len(received)):
        weights[k] = received[k]
    work.spikes[:] = 0
    work.activity[:] = 0
    for step in range(len(steps) - 1):
        transpose(network.plan, work)
        loss = batch_gradient(network, inputs, steps[step], steps[step + 1], work)
        total += loss * (steps[step + 1] - steps[step])
        adjust(optimiser, weights, received, work.gradient)
        optimise(optimiser, step + 1, weights, work.gradient, work.first, work.second)
    for k in range(len(received)):
        weights[k] -= received[k]
    spikes = 0
    for layer in range(len(work.spikes)):
        spikes += work.spikes[layer]
    return total, spikes // (2 if network.penalty.strength > 0 else 1)  # which runs a batch twice


@kernel
def evaluate_batch(
    network: NetworkConstants, inputs: Inputs, weights: Reals, work: Workspace, found: Evaluated
) -> None:
    """Write what is found in the samples."""
    plan, count = network.plan, len(inputs.samples)
    work.spikes[:] = 0
    for block in range(0, count, plan.rows):
        rows = min(plan.rows, count - block)
        _hidden_layers(network, inputs, (block, rows), weights, work, True)
        _count(plan, work, found.neurons, rows)
        readout_forward(plan, network.readout, weights, work, rows)
        copy_logits(plan, work, found.logits[block : block + rows])
        labels = inputs.labels[block : block + rows]
        cross_entropy(plan, labels, rows, work, found.losses[block:], found.predictions[block:])
        if len(found.raster) > 0:
            _mark(plan, work, found.raster[block : block + rows])
    for layer in range(len(work.spikes)):
        found.spikes[layer] = work.spikes[layer]


@kernel
def flatten(plan: Sizes, weights: Reals, flat: Reals) -> None:
    """Write the kernels' vector as flat parameters (P,), matrices (out, in) row-major, in order."""
    _relay(plan, weights, flat, True)


@inner
def packed(plan: Sizes, flat: Reals, weights: Reals) -> None:
    """Write flat parameters (P,) as the kernels' vector, in which padding stays as it is."""
    _relay(plan, weights, flat, False)


@inner
def _relay(plan: Sizes, weights: Reals, flat: Reals, back: bool) -> None:
    """Copy matrices between the kernels' vector and flat parameters, ``back`` to the latter."""
    end = 0
    for layer in range(len(plan.widths)):
        width, padded = plan.widths[layer], plan.padded[layer]
        below = plan.num_channels if layer == 0 else plan.widths[layer - 1]
        for second in range(2 if plan.recurrent and layer < len(plan.widths) - 1 else 1):
            start, length = plan.inputs[layer], below
            if second:
                start, length = plan.recurrents[layer], width
            if back:
                _turn(weights, (start, padded), flat, (end, length), (width, length))
            else:
                _turn(flat, (end, length), weights, (start, padded), (length, width))
            end += width * length


@inner
def _turn(
    source: Reals,
    place: tuple[int, int],
    target: Reals,
    other: tuple[int, int],
    shape: tuple[int, int],
) -> None:
    """Write a matrix's transpose, (rows, columns) in ``target``; a place is (start, stride)."""
    (start, stride), (to, step), (rows, columns) = place, other, shape
    for row in range(0, rows, LANES):
        for column in range(0, columns, LANES):
            at, put = start + column * stride + row, to + row * step + column
            if row + LANES <= rows and column + LANES <= columns:
                turn_block(target, put, step, source, at, stride)
                continue
            for i in range(min(LANES, rows - row)):
                for j in range(min(LANES, columns - column)):
                    target[put + i * step + j] = source[at + j * stride + i]


@inlined
def batch_gradient(
    network: NetworkConstants, inputs: Inputs, start: int, stop: int, work: Workspace
) -> float:
    """Return the mean loss of samples start to stop; add its gradient, and count their spikes."""
    plan, batch = network.plan, stop - start
    penalised = network.penalty.strength > 0
    total, penalty = 0.0, 0.0
    if penalised:
        work.counts[:] = 0
    for counting in range(penalised, -1, -1):  # a penalty needs the rates of the whole batch first
        for block in range(start, stop, plan.rows):
            rows = min(plan.rows, stop - block)
            _hidden_layers(network, inputs, (block, rows), work.weights, work, counting > 0)
            if counting:
                _count(plan, work, work.counts, rows)
                continue
            _note_activity(network.limits, work, rows)
            readout_forward(plan, network.readout, work.weights, work, rows)
            taught = len(inputs.teacher) > 0
            if taught:
                keep_logits(plan, work, rows)
            labels = inputs.labels[block : block + rows]
            cross_entropy(plan, labels, batch, work, work.losses, work.predictions)
            if taught:
                ids = inputs.samples[block : block + rows]
                learn_from_teacher(plan, network.teaching, inputs.teacher, ids, batch, work)
            for row in range(rows):
                total += work.losses[row]
            readout_backward(plan, work, rows)
            for layer in range(len(plan.widths) - 2, -1, -1):
                layer_backward(plan, network.neuron, network.readout, work, layer, rows)
        if counting:
            penalty = _penalise(network, batch, work)
    return penalty + total / batch


@inner
def _note_activity(limits: I64, work: Workspace, rows: int) -> None:
    for layer in range(len(limits)):
        for row in range(rows):
            work.activity[layer, 0] += 1
            work.activity[layer, 1] += work.fired[layer, row] < limits[layer, 0]
            work.activity[layer, 2] += work.fired[layer, row] >= limits[layer, 1]


@inner
def _mark(plan: Sizes, work: Workspace, raster: NDArray[np.bool_]) -> None:
    first = 0
    for layer in range(len(plan.widths) - 1):
        for row in range(len(raster)):
            bounds = work.offsets[layer + 1, row]
            for t in range(plan.num_bins):
                for k in range(bounds[t], bounds[t + 1]):
                    raster[row, t, first + work.events[k]] = True
        first += plan.widths[layer]


@inlined
def _hidden_layers(
    network: NetworkConstants,
    inputs: Inputs,
    block: tuple[int, int],
    weights: Reals,
    work: Workspace,
    listed: bool,
) -> None:
    """Run a block (first sample, rows) through the hidden layers; count their spikes."""
    plan, (first, rows) = network.plan, block
    end = int(work.regions[0])
    for row in range(rows):
        bounds = work.offsets[0, row]
        if len(inputs.time_shifts) == 0 and len(inputs.counts) == 0:
            end = copy_events(inputs, first + row, work.events, end, bounds)
        else:
            end = change_events(
                plan.num_bins, plan.num_channels, inputs, first + row, work.events, end, bounds
            )
    for layer in range(len(work.spikes)):
        needed = listed or layer + 1 < len(work.spikes) or plan.readout == MAXIMUM
        work.spikes[layer] += layer_forward(
            plan, network.neuron, network.readout, weights, work, layer, rows, needed
        )


@inner
def _count(plan: Sizes, work: Workspace, counts: I64, rows: int) -> None:
    """Add the spikes of each neuron in a block to ``counts`` (L, N)."""
    for layer in range(len(plan.widths) - 1):
        for row in range(rows):
            bounds = work.offsets[layer + 1, row]
            for k in range(bounds[0], bounds[-1]):
                counts[layer, work.events[k]] += 1


@inner
def _penalise(network: NetworkConstants, batch: int, work: Workspace) -> float:
    """Write the gradient of the rate penalty; return the penalty."""
    plan, penalty = network.plan, network.penalty
    total = 0.0
    for layer in range(len(plan.widths) - 1):
        width = plan.widths[layer]
        for n in range(width):
            rate = work.counts[layer, n] / (batch * plan.num_bins)
            below, above = max(0.0, penalty.lower - rate), max(0.0, rate - penalty.upper)
            total += (below * below + above * above) / width
            slope = 2 * penalty.strength * (above - below)
            work.rates[layer, n] = slope / (width * batch * plan.num_bins)
    return penalty.strength * total


@inner
def transpose(plan: Sizes, work: Workspace) -> None:
    """Write the copies (out, in) of the matrices that lead back."""
    weights, back = work.weights, work.back
    for layer in range(len(plan.widths)):
        width, padded = plan.widths[layer], plan.padded[layer]
        if layer > 0:
            below = plan.padded[layer - 1]
            for n in range(plan.widths[layer - 1]):
                row = weights[plan.inputs[layer] + n * padded :]
                column = back[plan.inputs_back[layer] + n :]
                for k in range(width):
                    column[k * below] = row[k]
        if plan.recurrent and layer < len(plan.widths) - 1:
            for n in range(width):
                row = weights[plan.recurrents[layer] + n * padded :]
                column = back[plan.recurrents_back[layer] + n :]
                for k in range(width):
                    column[k * padded] = row[k]
