"""One layer on events, forward and backward in time: numba kernels without the GIL.

T time bins, L hidden layers, N a layer's padded width, R samples at once. Forward, with d the
decayed current and b the threshold (the equations of ``reference``; a LIF and an IF neuron differ
in three constants)::

    i = d + W x + V z_prev;  u = keep v + drive i;  z = [u > b];  v = (1 - z) u;  d = decay i

Backward, with g_y the gradient of y and f = 1 where gradients pass through the reset, else 0::

    g_z += f (beta g_b - u g_v);  g_x = g_z surrogate'(u - b);  g_u = g_x + (1 - z) g_v
    g_i = drive g_u + decay g_d;  g_d = g_i;  g_v = keep g_u;   g_b = (1 - relax)(g_b - g_x)

W x is a sum of one row for each spike; so is its gradient. All of a layer's bins are done before
the next layer's.
"""

from __future__ import annotations

import numpy as np

from hpcfed.compiled import inner
from hpcfed.snn.event_plan import READOUTS, SURROGATES, Neuron, Plan, Readout, Reals
from hpcfed.snn.event_readout import current_gradient
from hpcfed.snn.event_work import Work
from hpcfed.snn.vectors import ROWS, add_rows, append_positive, multiply_rows, scatter_row

_TRIANGLE, _TANH = SURROGATES.index("triangle"), SURROGATES.index("tanh")
_MAX = READOUTS.index("max")


@inner
def layer_forward(
    plan: Plan, neuron: Neuron, weights: Reals, work: Work, layer: int, rows: int
) -> None:
    """Run one hidden layer on the events of ``rows`` samples; leaves trace and spikes in work."""
    width = plan.padded[layer]
    size = rows * width
    current, voltage, level = work.current[:size], work.voltage[:size], work.level[:size]
    current[:], voltage[:], level[:] = 0, 0, neuron.threshold
    inputs, spikes = work.offsets[layer], work.offsets[layer + 1]
    for row in range(rows):
        spikes[row, 0] = work.regions[layer + 1] + row * plan.num_bins * plan.widths[layer]
    for t in range(plan.num_bins):
        for row in range(rows):
            add_rows(
                work.current, row * width, weights, plan.inputs[layer], width, work.events,
                inputs[row, t], inputs[row, t + 1],
            )  # fmt: skip
            if plan.recurrent and t > 0:
                add_rows(
                    work.current, row * width, weights, plan.recurrents[layer], width, work.events,
                    spikes[row, t - 1], spikes[row, t],
                )  # fmt: skip
        start = plan.traces[layer] + t * ROWS * width
        distance = work.trace[start : start + size]
        if neuron.adaptive:
            _adapt(neuron, current, voltage, level, distance)
            if neuron.full > 0:
                _remember(neuron, distance, level, work.voltages[start : start + size])
        else:
            _integrate(neuron, current, voltage, distance)
        for row in range(rows):
            spikes[row, t + 1] = append_positive(
                work.trace, start + row * width, width, work.events, spikes[row, t]
            )


@inner
def layer_backward(
    plan: Plan,
    neuron: Neuron,
    weights: tuple[Reals, Reals],
    gradient: Reals,
    work: Work,
    layer: int,
    rows: int,
    readout: Readout,
) -> None:
    """Turn a layer's trace into gradients of its current, and add those of its weights.

    ``weights`` are the vector and its copy for the way back. Of the last layer's spikes the
    gradient comes from the readout, else from the layer above, which must have been done.
    """
    num_bins, width = plan.num_bins, plan.padded[layer]
    size = rows * width
    spike, derivative = work.spike[:size], work.derivative[:size]
    current, voltage, level = work.current[:size], work.voltage[:size], work.level[:size]
    current[:], voltage[:], level[:] = 0, 0, 0
    inputs, spikes = work.offsets[layer], work.offsets[layer + 1]
    summed = layer + 2 == len(plan.widths) and plan.readout != _MAX
    after_readout = work.summed[:size] if summed else spike
    for t in range(num_bins - 1, -1, -1):
        start = plan.traces[layer] + t * ROWS * width
        trace = work.trace[start : start + size]
        if summed:
            factor = readout.factors[t]
            for n in range(size):
                spike[n] = factor * after_readout[n]
        else:
            _gradient_from_above(plan, readout, weights[1], gradient, work, (layer, rows, t))
        if len(work.rates) > 0:
            for row in range(rows):
                for n in range(width):
                    spike[row * width + n] += work.rates[layer, n]
        if plan.recurrent and t + 1 < num_bins:
            multiply_rows(
                work.spike, 0, width, work.trace, start + ROWS * width, width, weights[1],
                plan.recurrents_back[layer], plan.widths[layer],
            )  # fmt: skip
        _differentiate(neuron, trace, derivative)
        if neuron.adaptive:
            voltages = work.voltages[start : start + size] if neuron.full > 0 else trace
            _return_adaptive(neuron, spike, derivative, voltages, current, voltage, level, trace)
        else:
            _return(neuron, spike, derivative, current, voltage, trace)
        for row in range(rows):
            at = start + row * width
            scatter_row(
                gradient, plan.inputs[layer], width, work.events, inputs[row, t],
                inputs[row, t + 1], work.trace, at,
            )  # fmt: skip
            if plan.recurrent and t > 0:
                scatter_row(
                    gradient, plan.recurrents[layer], width, work.events, spikes[row, t - 1],
                    spikes[row, t], work.trace, at,
                )  # fmt: skip


@inner
def _gradient_from_above(
    plan: Plan,
    readout: Readout,
    back: Reals,
    gradient: Reals,
    work: Work,
    place: tuple[int, int, int],
) -> None:
    """Write the gradient of a layer's spikes in a bin as the layer above gives it."""
    layer, rows, t = place
    width, above = plan.padded[layer], plan.padded[layer + 1]
    left, at = work.trace, plan.traces[layer + 1] + t * ROWS * above
    if layer + 2 == len(plan.widths):
        current_gradient(plan, readout, gradient, work, rows, t)
        left, at = work.outputs, 0
    work.spike[: ROWS * width] = 0
    multiply_rows(
        work.spike, 0, width, left, at, above, back, plan.inputs_back[layer + 1],
        plan.widths[layer + 1],
    )  # fmt: skip


@inner
def _integrate(neuron: Neuron, current: Reals, voltage: Reals, distance: Reals) -> None:
    """Let LIF and IF neurons take their current (N,); writes u - b to ``distance``."""
    zero = current.dtype.type(0)
    for n in range(len(distance)):
        u = neuron.keep * voltage[n] + neuron.drive * current[n]
        x = u - neuron.threshold
        distance[n] = x
        voltage[n] = zero if x > zero else u
        current[n] *= neuron.decay


@inner
def _adapt(neuron: Neuron, current: Reals, voltage: Reals, level: Reals, distance: Reals) -> None:
    """Let ALIF neurons take their current (N,); writes u - b to ``distance``."""
    zero = current.dtype.type(0)
    for n in range(len(distance)):
        u = neuron.keep * voltage[n] + neuron.drive * current[n]
        b = level[n] + neuron.relax * (neuron.threshold - level[n])
        x = u - b
        distance[n] = x
        voltage[n] = zero if x > zero else u
        level[n] = b + neuron.beta if x > zero else b
        current[n] *= neuron.decay


@inner
def _remember(neuron: Neuron, distance: Reals, level: Reals, voltages: Reals) -> None:
    """Write u (N,), from its distance to the threshold and the threshold after the bin."""
    zero = distance.dtype.type(0)
    for n in range(len(distance)):
        x = distance[n]
        voltages[n] = x + (level[n] - neuron.beta if x > zero else level[n])


@inner
def _differentiate(neuron: Neuron, distance: Reals, derivative: Reals) -> None:
    """Write the surrogate's derivative (N,) at ``distance``."""
    one, zero = distance.dtype.type(1), distance.dtype.type(0)
    if neuron.surrogate == _TRIANGLE:
        for n in range(len(distance)):
            derivative[n] = max(zero, one - neuron.slope * abs(distance[n]))
    elif neuron.surrogate == _TANH:
        for n in range(len(distance)):
            derivative[n] = one - np.tanh(neuron.slope * distance[n]) ** 2
    else:
        for n in range(len(distance)):
            root = one + neuron.slope * abs(distance[n])
            derivative[n] = one / (root * root)


@inner
def _return(
    neuron: Neuron, spike: Reals, derivative: Reals, current: Reals, voltage: Reals, trace: Reals
) -> None:
    """Go back one bin in LIF and IF neurons; ``trace`` becomes g_i (N,)."""
    zero = trace.dtype.type(0)
    for n in range(len(trace)):
        x = trace[n]
        g_z = spike[n] - neuron.full * (x + neuron.threshold) * voltage[n]
        g_u = g_z * derivative[n] + (zero if x > zero else voltage[n])
        g_i = neuron.drive * g_u + neuron.decay * current[n]
        current[n] = g_i
        voltage[n] = neuron.keep * g_u
        trace[n] = g_i


@inner
def _return_adaptive(
    neuron: Neuron,
    spike: Reals,
    derivative: Reals,
    voltages: Reals,
    current: Reals,
    voltage: Reals,
    level: Reals,
    trace: Reals,
) -> None:
    """Go back one bin in ALIF neurons; ``trace`` becomes g_i (N,)."""
    one, zero = trace.dtype.type(1), trace.dtype.type(0)
    for n in range(len(trace)):
        through_reset = neuron.beta * level[n] - voltages[n] * voltage[n]
        g_z = spike[n] + neuron.full * through_reset
        g_x = g_z * derivative[n]
        g_u = g_x + (zero if trace[n] > zero else voltage[n])
        g_i = neuron.drive * g_u + neuron.decay * current[n]
        level[n] = (one - neuron.relax) * (level[n] - g_x)
        current[n] = g_i
        voltage[n] = neuron.keep * g_u
        trace[n] = g_i
