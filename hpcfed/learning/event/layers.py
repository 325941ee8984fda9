"""One layer on events, forward and backward in time: numba kernels without the GIL.

T time bins, L hidden layers, N a layer's padded width, R = plan.rows samples at once. The neurons'
equations are in ``event_neurons``; here is what enters them besides the layer's events, and in
which order. All of a layer's bins are done before the next layer's. Where nothing but events enters
from bin to bin, a sample goes through all of them in one call. A recurrent layer, and on the way
back a layer below another, below the maximum or with the tanh's derivative, goes through one bin of
all samples at a time.
"""

from __future__ import annotations

from hpcfed.base.compiled import inlined, inner
from hpcfed.learning.constants import MAXIMUM, SURROGATES, Neuron, Readout, Reals
from hpcfed.learning.event.neurons import return_bins, run_bins, tanh_derivative
from hpcfed.learning.event.readout import current_gradient
from hpcfed.learning.event.registers import Bins
from hpcfed.learning.event.tables import Sizes
from hpcfed.learning.event.vectors import add_rows, append_positive, multiply_rows, scatter_row
from hpcfed.learning.event.work import Workspace, fill

_TANH = SURROGATES.index("tanh")


@inlined
def layer_forward(
    plan: Sizes,
    neuron: Neuron,
    readout: Readout,
    weights: Reals,
    work: Workspace,
    layer: int,
    rows: int,
    listed: bool,
) -> int:
    """Run one hidden layer on the events of ``rows`` samples; return the number of its spikes.

    Leaves the trace in ``work``, and ``summed``; the spikes themselves if they are ``listed``, and
    of a recurrent layer.
    """
    num_bins, width = plan.num_bins, plan.padded[layer]
    number = 0
    fill(work.current, 0.0)
    fill(work.voltage, -neuron.threshold)
    fill(work.level, 0.0)
    fill(work.summed, 0.0)
    inputs, spikes = work.offsets[layer], work.offsets[layer + 1]
    span = 1 if plan.recurrent else num_bins
    for row in range(rows):
        work.fired[layer, row] = 0
        spikes[row, 0] = work.regions[layer + 1] + row * num_bins * plan.widths[layer]
    for start in range(0, num_bins, span):
        for row in range(rows):
            bins = _bins(plan, layer, row, start, span)
            if plan.recurrent and start > 0:
                add_rows(
                    work.current, bins.row, weights, plan.recurrents[layer], width, work.events,
                    spikes[row, start - 1], spikes[row, start],
                )  # fmt: skip
            sent = run_bins(neuron, weights, work, inputs[row], readout.factors, bins)
            work.fired[layer, row] += sent
            number += sent
            for t in range(start, start + span if listed or plan.recurrent else start):
                at = bins.trace + t * bins.stride
                spikes[row, t + 1] = append_positive(
                    work.trace, at, width, work.events, spikes[row, t]
                )
    return number


@inlined
def layer_backward(
    plan: Sizes,
    neuron: Neuron,
    readout: Readout,
    work: Workspace,
    layer: int,
    rows: int,
) -> None:
    """Add the gradients of a layer's weights; leave that of its current for the layer below.

    Of the last layer's spikes the gradient comes from the readout, else from the layer above, which
    must have been done.
    """
    num_bins, width, size = plan.num_bins, plan.padded[layer], rows * plan.padded[layer]
    fill(work.current, 0.0)
    fill(work.voltage, 0.0)
    fill(work.level, 0.0)
    summed = layer + 2 == len(plan.widths) and plan.readout != MAXIMUM
    if not summed:
        fill(work.summed, 0.0)
    inputs, spikes = work.offsets[layer], work.offsets[layer + 1]
    alone = summed and not plan.recurrent and neuron.surrogate != _TANH
    span = num_bins if alone else 1
    for t in range(num_bins - span, -1, -span):
        start = plan.traces[layer] + t * plan.rows * width
        _begin(work, layer, width)
        if not summed:
            _add_from_above(plan, readout, work, (layer, rows, t))
        if plan.recurrent and t + 1 < num_bins:
            multiply_rows(
                work.spike, 0, width, work.trace, start + plan.rows * width, width, work.back,
                plan.recurrents_back[layer], plan.widths[layer], plan.rows,
            )  # fmt: skip
        if neuron.surrogate == _TANH:
            for n in range(size):
                derivative = tanh_derivative(neuron.slope * work.trace[start + n])
                work.derivative[n] = neuron.peak * derivative
        for row in range(rows):
            bins = _bins(plan, layer, row, t, span)
            return_bins(neuron, work.gradient, work, inputs[row], readout.factors, bins)
            if plan.recurrent and t > 0:
                scatter_row(
                    work.gradient, plan.recurrents[layer], width, work.events,
                    spikes[row, t - 1], spikes[row, t], work.trace, start + row * width,
                )  # fmt: skip


@inner
def _bins(plan: Sizes, layer: int, row: int, start: int, span: int) -> Bins:
    width = plan.padded[layer]
    return Bins(
        start=start,
        stop=start + span,
        row=row * width,
        width=width,
        matrix=plan.inputs[layer],
        trace=plan.traces[layer] + row * width,
        stride=plan.rows * width,
        kept=int(plan.recurrent or layer > 0),
    )


@inner
def _begin(work: Workspace, layer: int, width: int) -> None:
    """Begin the gradient of a bin's spikes with that of the rate penalty."""
    fill(work.spike, 0.0)
    if len(work.rates) > 0:
        for first in range(0, len(work.spike) - width + 1, width):
            for n in range(width):
                work.spike[first + n] = work.rates[layer, n]


@inner
def _add_from_above(
    plan: Sizes,
    readout: Readout,
    work: Workspace,
    place: tuple[int, int, int],
) -> None:
    """Add the gradient of a layer's spikes in a bin that the layer above gives."""
    layer, rows, t = place
    width, above = plan.padded[layer], plan.padded[layer + 1]
    left, at = work.trace, plan.traces[layer + 1] + t * plan.rows * above
    if layer + 2 == len(plan.widths):
        current_gradient(plan, readout, work, rows, t)
        left, at = work.outputs, 0
    multiply_rows(
        work.spike, 0, width, left, at, above, work.back, plan.inputs_back[layer + 1],
        plan.widths[layer + 1], plan.rows,
    )  # fmt: skip
