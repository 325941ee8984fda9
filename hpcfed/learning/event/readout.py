"""The leaky readout and the cross-entropy on events: numba kernels without the GIL.

T time bins, K classes, N a padded width, R samples at once. For the mean and the last bin the
readout is linear in the spikes, so they are summed over time first, each weighted by what its bin
counts, and one small product gives the logits; nothing runs over time on the way back. The maximum
needs the voltage in every bin; its gradient goes to the first bin that attains it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import inner
from hpcfed.learning.constants import MAXIMUM, Readout, Reals
from hpcfed.learning.event.tables import Sizes
from hpcfed.learning.event.vectors import add_rows, multiply_rows, scatter_row
from hpcfed.learning.event.work import Workspace, fill

I64 = NDArray[np.int64]


@inner
def readout_forward(
    plan: Sizes, readout: Readout, weights: Reals, work: Workspace, rows: int
) -> None:
    """Write the logits of ``rows`` samples from the last layer's spikes, summed or listed."""
    if plan.readout == MAXIMUM:
        for row in range(rows):
            _maximum(plan, readout, weights, work, row)
        return
    layer = len(plan.widths) - 2
    fill(work.logits, 0.0)
    multiply_rows(
        work.logits, 0, plan.padded[layer + 1], work.summed, 0, plan.padded[layer], weights,
        plan.inputs[layer + 1], plan.widths[layer], plan.rows,
    )  # fmt: skip


@inner
def _maximum(plan: Sizes, readout: Readout, weights: Reals, work: Workspace, row: int) -> None:
    """Write the maximum over time of one sample's readout voltage, and its first bin."""
    layer = len(plan.widths) - 2
    width = plan.padded[layer + 1]
    current, voltage = work.current[:width], work.voltage[:width]
    own = slice(row * width, (row + 1) * width)
    best, peaks = work.logits[own], work.peaks[own]
    current[:], voltage[:], best[:], peaks[:] = 0, 0, -np.inf, 0
    bounds = work.offsets[layer + 1, row]
    for t in range(plan.num_bins):
        add_rows(
            work.current, 0, weights, plan.inputs[layer + 1], width, work.events, bounds[t],
            bounds[t + 1],
        )  # fmt: skip
        for n in range(width):
            voltage[n] = readout.keep * voltage[n] + readout.drive * current[n]
            current[n] *= readout.decay
            if voltage[n] > best[n]:
                best[n], peaks[n] = voltage[n], t


@inner
def cross_entropy(
    plan: Sizes, labels: I64, batch: int, work: Workspace, losses: Reals, predictions: I64
) -> None:
    """Turn the logits of ``labels`` (rows,) into gradients of their mean loss in ``batch``.

    Writes the loss (rows,) float64 and the predicted class (rows,) of each.
    """
    num_classes, width = plan.widths[-1], plan.padded[-1]
    for row in range(len(labels)):
        logits = work.logits[row * width : row * width + num_classes]
        best = 0
        for k in range(1, num_classes):
            if logits[k] > logits[best]:
                best = k
        predictions[row], largest = best, np.float64(logits[best])
        total = 0.0
        for k in range(num_classes):
            total += math.exp(np.float64(logits[k]) - largest)
        losses[row] = math.log(total) + largest - np.float64(logits[labels[row]])
        for k in range(num_classes):
            part = math.exp(np.float64(logits[k]) - largest) / total
            logits[k] = (part - (k == labels[row])) / batch


@inner
def copy_logits(plan: Sizes, work: Workspace, found: NDArray[np.float64]) -> None:
    """Write the logits, (rows, K)."""
    width = plan.padded[-1]
    for row in range(len(found)):
        for k in range(found.shape[1]):
            found[row, k] = work.logits[row * width + k]


@inner
def readout_backward(plan: Sizes, work: Workspace, rows: int) -> None:
    """Add the readout weights' gradient; leave that of the summed spikes (mean and last bin)."""
    if plan.readout == MAXIMUM:
        return
    layer = len(plan.widths) - 2
    width, above = plan.padded[layer], plan.padded[layer + 1]
    for row in range(rows):
        logits = work.logits[row * above : (row + 1) * above]
        for n in range(plan.widths[layer]):
            value = work.summed[row * width + n]
            if value != 0:
                start = plan.inputs[layer + 1] + n * above
                part = work.gradient[start : start + above]
                for k in range(above):
                    part[k] += value * logits[k]
    fill(work.summed, 0.0)
    multiply_rows(
        work.summed, 0, width, work.logits, 0, above, work.back, plan.inputs_back[layer + 1],
        plan.widths[layer + 1], plan.rows,
    )  # fmt: skip


@inner
def current_gradient(plan: Sizes, readout: Readout, work: Workspace, rows: int, t: int) -> None:
    """Write the gradient of the readout's currents in bin ``t``, and add the weights' (maximum)."""
    layer = len(plan.widths) - 2
    width = plan.padded[layer + 1]
    outputs = work.outputs[: len(work.outputs)]
    for row in range(rows):
        for n in range(row * width, (row + 1) * width):
            bins = work.peaks[n] - t
            outputs[n] = work.logits[n] * readout.response[bins] if bins >= 0 else 0
        bounds = work.offsets[layer + 1, row]
        scatter_row(
            work.gradient, plan.inputs[layer + 1], width, work.events, bounds[t], bounds[t + 1],
            work.outputs, row * width,
        )  # fmt: skip
