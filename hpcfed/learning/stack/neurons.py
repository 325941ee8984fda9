"""Neurons through time: what flows into a layer is normed, integrated and fired in one pass.

T time bins, B batch, n pixels. With y = gain x + offset and the constants of ``Neuron``, everything
zero (b: theta) at the start; s(x) the surrogate, full = 1 where gradients pass through the reset::

    i = d + y;  u = keep v + drive i;  d = decay i;  b = b + relax (theta - b);  z = [u > b]
    v = u - z (subtracted + kept u);  b = b + beta z

Backward, with g_z the gradient of a spike, and + marking the bin after::

    g_z = g_z + full (beta g_b+ - g_v (subtracted + kept u));  g_x = s(u - b) g_z
    g_u = g_x + g_v (1 - kept z);  g_b = (1 - relax) (g_b+ - g_x)
    g_v = keep g_u;  g_y = drive g_u + decay g_d+;  g_d = g_y

Of all this x alone is kept: the potentials are computed again on the way back.
"""

from __future__ import annotations

from hpcfed.base.compiled import inlined, inner
from hpcfed.learning.constants import SURROGATES, Neuron
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.event.neurons import tanh_derivative
from hpcfed.learning.stack.lists import append_pixel, copy, signal
from hpcfed.learning.stack.norms import rows_of
from hpcfed.learning.stack.registers import add_products, integrate, mark, return_bin
from hpcfed.learning.stack.tables import Stack
from hpcfed.learning.stack.work import Work

_TANH = SURROGATES.index("tanh")
CHUNK = 512  # values of one bin that are taken at once


@inner
def fire(stack: Stack, neuron: Neuron, work: Work, step: int, batch: int) -> None:
    """List the spikes of a layer for what flows in; gain and offset lie in ``work.gains``."""
    layer, width, num_bins = stack.layers[step], stack.channels[step + 1], stack.num_bins
    places = stack.heights[step + 1] * stack.widths[step + 1]
    span, rows = max(1, CHUNK // width), rows_of(stack, layer, batch)
    first, zero = stack.traces[layer] * work.room, work.traces.dtype.type(0)
    row, columns, n = work.row, stack.widths[step + 1], work.values_at_once
    marked = stack.marks[step + 1] >= 0 and len(work.marks) > 0
    for image in range(stack.num_bins * batch):
        work.marked[step + 1, image] = 0
    for b in range(batch):
        if b == 0 or rows > 1:
            _lay_patterns(work, layer, num_bins, b if rows > 1 else 0, width, span)
        for start in range(0, places, span):
            length = min(span, places - start) * width
            row.v[:length], row.d[:length], row.level[:length] = zero, zero, neuron.threshold
            for t in range(num_bins):
                at = first + ((t * batch + b) * places + start) * width
                integrate(neuron, row, work.traces, at, t * n, length)
                to = t + stack.delay
                if t == 0 and stack.delay > 0:
                    _append_nothing(stack, work, step, b, start, length // width)
                if to >= num_bins:
                    continue
                if marked:
                    image = to * batch + b
                    word = (image * places + start) * width // LANES
                    work.marked[step + 1, image] += mark(
                        neuron, row, work.marks, stack.marks[step + 1] * work.room + word, t * n,
                        length,
                    )  # fmt: skip
                listed = signal(stack, work, step + 1, to * batch + b)
                end = 0 if start == 0 else listed.bounds[start]
                for k in range(length // width):
                    place = start + k
                    listed.bounds[place] = end
                    end = append_pixel(listed, row.sent, k * width, place % columns, end)
                listed.bounds[start + length // width] = end


@inner
def _append_nothing(
    stack: Stack, work: Work, step: int, image: int, start: int, count: int
) -> None:
    listed = signal(stack, work, step + 1, image)
    listed.bounds[start : start + count + 1] = 0


@inner
def _lay_patterns(work: Work, layer: int, num_bins: int, row: int, width: int, span: int) -> None:
    """Repeat the numbers of channels for as many pixels as are taken at once."""
    gain, offset = work.gains[layer, 0], work.gains[layer, 1]
    for t in range(num_bins):
        for k in range(span):
            at = t * work.values_at_once + k * width
            for c in range(width):
                work.row.gain[at + c] = gain[t, row, c]
                work.row.offset[at + c] = offset[t, row, c]


@inlined
def fire_back(
    stack: Stack, neuron: Neuron, work: Work, step: int, batch: int, penalised: bool
) -> None:
    """Turn the gradient of a layer's spikes into that of y = gain x + offset, in its place.

    Leaves the gradients of gain and offset in ``work.sums``; ``penalised`` adds ``work.rates``.
    """
    layer, width, num_bins = stack.layers[step], stack.channels[step + 1], stack.num_bins
    places = stack.heights[step + 1] * stack.widths[step + 1]
    span, rows = max(1, CHUNK // width), rows_of(stack, layer, batch)
    first, zero = stack.traces[layer] * work.room, work.traces.dtype.type(0)
    changes = stack.changes[step + 1] * work.room
    own, n, real = work.row, work.values_at_once, stack.neurons[layer, 1]
    with_levels = neuron.decay != 0 or neuron.adaptive
    for t in range(num_bins):
        for row in range(rows):
            for c in range(width):
                work.sums[0, t, row, c], work.sums[1, t, row, c] = 0, 0
    for b in range(batch):
        row = b if rows > 1 else 0
        if b == 0 or rows > 1:
            _lay_patterns(work, layer, num_bins, row, width, span)
        own.of_gain[:], own.of_offset[:] = zero, zero
        for start in range(0, places, span):
            length = min(span, places - start) * width
            own.v[:length], own.d[:length], own.level[:length] = zero, zero, neuron.threshold
            for t in range(num_bins):
                at = first + ((t * batch + b) * places + start) * width
                integrate(neuron, own, work.traces, at, t * n, length)
            own.v[:length], own.d[:length], own.level[:length] = zero, zero, zero
            for t in range(num_bins - 1, -1, -1):
                at = ((t * batch + b) * places + start) * width
                _hear(stack, work, layer, t, changes + at, start * width, length, penalised)
                if neuron.surrogate == _TANH:
                    for j in range(length):
                        level = own.levels[t * n + j] if with_levels else neuron.threshold
                        steep = neuron.slope * (own.potentials[t * n + j] - level)
                        own.steepness[j] = neuron.peak * tanh_derivative(steep)
                return_bin(neuron, own, work.traces, changes + at, t * n, length)
                if stack.normed[layer]:
                    add_products(
                        own.of_gain, own.of_offset, t * n, work.traces, first + at, work.traces,
                        changes + at, length,
                    )  # fmt: skip
        if stack.normed[layer]:
            for t in range(num_bins):
                for k in range(span):
                    for c in range(real):
                        at = t * n + k * width + c
                        work.sums[0, t, row, c] += own.of_gain[at]
                        work.sums[1, t, row, c] += own.of_offset[at]


@inner
def _hear(
    stack: Stack, work: Work, layer: int, t: int, at: int, neuron: int, length: int,
    penalised: bool,
) -> None:  # fmt: skip
    """Write the gradient of the spikes that what flows in at a bin makes, ``delay`` bins later."""
    heard, change = work.row.heard, work.traces[at : at + length]
    if stack.delay == 0:
        copy(heard[:length], change)
    elif t + stack.delay < stack.num_bins:
        copy(heard[:length], work.ahead)
    else:
        heard[:length] = 0
    if stack.delay > 0:
        copy(work.ahead[:length], change)
    if penalised and t + stack.delay < stack.num_bins:
        for j in range(length):
            heard[j] += work.rates[layer, neuron + j]
