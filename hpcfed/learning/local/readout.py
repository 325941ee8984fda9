"""The layers' readouts: what they say, and how a layer learns by its own.

A layer's readout is r = M s / sqrt(width) with fixed M of +1 and -1; its loss is the cross-entropy
of r, of two classes that of one output. Only through this loss, and only through this bin's U, a
layer learns: the gradient by W is the mean over samples of (g M^T dr) P^T, with the surrogate g = 1
for -0.5 < U <= 0.5, else 0. Sums over samples run one after the other.
"""

from __future__ import annotations

import math

from hpcfed.base.compiled import inner
from hpcfed.learning.event.work import fill
from hpcfed.learning.local.neurons import combine, gather
from hpcfed.learning.local.tables import F64, Constants, Found, Inputs, Workspace

_WINDOW = 0.5  # of the surrogate


@inner
def find_gradient(
    network: Constants, inputs: Inputs, block: tuple[int, int], work: Workspace
) -> None:
    """Write the gradient (P,) by the weights of the layers' losses in this bin, and the losses.

    The gradient is that of the mean over the block's samples; losses are summed.
    """
    for layer in range(len(network.limits)):
        _read(network, layer, block[1], work)
        _send_back(network, inputs, layer, block, work)
        _add_products(network, layer, block[1], work)


@inner
def add_probabilities(
    network: Constants, block: tuple[int, int], work: Workspace, found: Found
) -> None:
    """Add what the last layer's readout says in this bin of the samples of a block."""
    (start, rows), last = block, len(network.limits) - 1
    _read(network, last, rows, work)
    for row in range(rows):
        readout, probabilities = work.readout[last, row], found.probabilities[start + row]
        if len(readout) == 1:
            value = float(readout[0])
            probabilities[0] += _logistic(-value)
            probabilities[1] += _logistic(value)
            continue
        _softmax(readout, work.output_errors)
        for k in range(len(readout)):
            probabilities[k] += work.output_errors[k]


@inner
def _read(network: Constants, layer: int, rows: int, work: Workspace) -> None:
    """Write r of a layer."""
    begin, width = network.outputs[layer], network.outputs[layer + 1] - network.outputs[layer]
    readouts, scale = network.readouts, math.sqrt(width)
    for row in range(rows):
        spikes, readout = work.spikes[row * network.outputs[-1] + begin :], work.readout[layer, row]
        fill(readout, 0.0)
        for n in range(width):
            if spikes[n] > 0:
                for k in range(len(readout)):
                    readout[k] += readouts[k, begin + n]
        for k in range(len(readout)):
            readout[k] /= scale


@inner
def _send_back(
    network: Constants, inputs: Inputs, layer: int, block: tuple[int, int], work: Workspace
) -> None:
    """Write a layer's loss, summed over samples, and the gradient by U of its mean."""
    begin, width = network.outputs[layer], network.outputs[layer + 1] - network.outputs[layer]
    (first, rows), slopes, real = block, work.output_errors, work.errors.dtype.type
    lowest, highest, loss = real(-_WINDOW), real(_WINDOW), 0.0
    for row in range(rows):
        label, target = inputs.labels[first + row], inputs.targets[first + row]
        loss += _loss(work.readout[layer, row], label, target, slopes)
        start = row * network.outputs[-1] + begin
        errors, potential = work.errors[start : start + width], work.potential[start:]
        fill(errors, 0.0)
        for k in range(len(slopes)):
            slope = real(slopes[k] / (rows * math.sqrt(width)))
            signs = network.readouts[k, begin:]
            for n in range(width):
                errors[n] += slope * signs[n]
        for n in range(width):
            if not lowest < potential[n] <= highest:
                errors[n] = real(0)
    work.losses[layer] = loss


@inner
def _add_products(network: Constants, layer: int, rows: int, work: Workspace) -> None:
    """Write a layer's part of the gradient (P,): the sum over samples of errors times P."""
    fan_in = network.inputs[layer + 1] - network.inputs[layer]
    membrane = work.membrane[network.inputs[layer] :]
    for n in range(network.outputs[layer + 1] - network.outputs[layer]):
        start = network.weights[layer] + n * fan_in
        column = work.errors[network.outputs[layer] + n :]
        found = gather(column, network.outputs[-1], rows, work.gathered)
        gradient = work.gradient[start : start + fan_in]
        combine(gradient, found, work.gathered, membrane, network.inputs[-1])


@inner
def _loss(readout: F64, label: int, target: float, errors: F64) -> float:
    """Return the cross-entropy of r (K',); write its gradient by r."""
    if len(readout) == 1:
        value = float(readout[0])
        errors[0] = _logistic(value) - target
        return max(value, 0.0) - target * value + math.log1p(math.exp(-abs(value)))
    total = _softmax(readout, errors)
    errors[label] -= 1
    return total - float(readout[label])


@inner
def _softmax(readout: F64, parts: F64) -> float:
    """Write the softmax of r (K',); return log(sum of exp(r))."""
    highest, total = float(readout.max()), 0.0
    for k in range(len(readout)):
        part = math.exp(readout[k] - highest)
        parts[k] = part
        total += part
    for k in range(len(readout)):
        parts[k] /= total
    return highest + math.log(total)


@inner
def _logistic(value: float) -> float:
    small = math.exp(-abs(value))
    return (1.0 if value >= 0 else small) / (1.0 + small)
