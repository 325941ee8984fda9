"""Whole local training, and evaluation, in one native call without the GIL each.

Neurons of a layer, old values on the right, x what enters, s its spikes (Kaiser, Mostafa, Neftci
2020, doi:10.3389/fnins.2020.00424; Jang, Skatchkovsky, Simeone 2020, arXiv 2012.08300)::

    P = a_m P + Q;  Q = a_s Q + x;  R = a_r R + s;  U = W P - R;  s = [U >= 0]

What enters a layer is what the layer below sends in the same bin. A layer's readout is
r = M s / sqrt(width) with fixed M of +1 and -1; its loss is the cross-entropy of r, of two classes
that of one output. Only through this loss, and only through this bin's U, a layer learns: the
gradient by W is the mean over samples of (g M^T dr) P^T, with g = 1 for -0.5 < U <= 0.5, else 0.

Sums run over inputs, and over samples, one after the other, without those that are zero: binary
weights make exact ties, and whether a neuron on the threshold spikes must not depend on a
processor's idea of a sum.
"""

from __future__ import annotations

import math

import numpy as np

from hpcfed.base.compiled import compiled, inner
from hpcfed.learning.constants import Reals
from hpcfed.learning.event.optimiser import adjust, optimise
from hpcfed.learning.event.work import fill
from hpcfed.learning.latents import draw_weights, keep_within, pull, turn
from hpcfed.learning.local.tables import (
    F64,
    I64,
    Constants,
    Found,
    Gathered,
    Inputs,
    Learning,
    Workspace,
)

_LEAST = 2.0**-100  # of P, Q and R: far from 2**-126, where float32 begins to lose digits
_WINDOW = 0.5  # of the surrogate; at the lower end it is 0, at the upper 1


@compiled
def train_client(
    network: Constants,
    learning: Learning,
    inputs: Inputs,
    steps: I64,
    received: Reals,
    work: Workspace,
) -> tuple[float, int]:
    """Learn in every bin from ``burn_in`` on; step s is samples ``steps[s]`` to ``steps[s + 1]``.

    Returns the last layer's loss, summed over samples and the bins that learn, and the spikes of
    all layers; leaves trained minus received latent weights (P,) in ``work.latents``, and how many
    samples were silent and saturated in ``work.activity``.
    """
    total, spikes, updates = 0.0, 0, 0
    for i in range(len(received)):
        work.latents[i] = received[i]
    work.activity[:] = 0
    for step in range(len(steps) - 1):
        block = (steps[step], steps[step + 1] - steps[step])
        rest(work)
        for t in range(network.num_bins):
            if t == 0 or t >= network.burn_in:
                draw = step * network.num_bins + (t if learning.draws_each_bin else 0)
                _draw(network, learning, draw, work)
            run_bin(network, inputs, block, t, work)
            if t >= network.burn_in:
                find_gradient(network, inputs, block, work)
                total += work.losses[-1]
                updates += 1
                learn(learning, updates, received, work)
        spikes += _note_activity(network, block[1], work)
    for i in range(len(received)):
        work.latents[i] -= received[i]
    return total, spikes


@compiled
def evaluate_batch(
    network: Constants, inputs: Inputs, weights: Reals, work: Workspace, found: Found
) -> None:
    """Write what is found in the samples with ``weights`` (P,)."""
    rows = work.fired.shape[1]
    _transpose(network, weights, work.across)
    found.probabilities[:] = 0
    found.neurons[:] = 0
    for start in range(0, len(inputs.samples), rows):
        block = (start, min(rows, len(inputs.samples) - start))
        rest(work)
        for t in range(network.num_bins):
            run_bin(network, inputs, block, t, work)
            if t >= network.burn_in:
                _add_probabilities(network, block, work, found)
            _count(network, block, t, work, found)
    found.probabilities[:] /= network.num_bins - network.burn_in


@inner
def rest(work: Workspace) -> None:
    """Bring the neurons to where a sample finds them."""
    fill(work.membrane, 0.0)
    fill(work.synapse, 0.0)
    fill(work.refractory, 0.0)
    fill(work.spikes, 0.0)
    work.fired[:] = 0


@inner
def run_bin(
    network: Constants, inputs: Inputs, block: tuple[int, int], t: int, work: Workspace
) -> None:
    """Take the neurons through bin ``t`` of the samples of a block (first sample, rows)."""
    _leak(network, block[1], work)
    _receive(network, inputs, block, t, work)
    for layer in range(len(network.limits)):
        if layer > 0:
            _pass_on(network, layer, block[1], work)
        _fire(network, layer, block[1], work)


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
def learn(learning: Learning, update: int, received: Reals, work: Workspace) -> None:
    """Take update number ``update``, from 1, of the latent weights with the weights' gradient."""
    latents, gradient = work.latents, work.gradient
    turn(work.slopes, gradient)
    adjust(learning.optimiser, latents, received, gradient)
    pull(learning.binary, learning.optimiser.rate, latents)
    optimise(learning.optimiser, update, latents, gradient, work.first, work.second)
    keep_within(learning.binary, latents)


@inner
def _draw(network: Constants, learning: Learning, draw: int, work: Workspace) -> None:
    """Make weights of the latent ones, with the words of draw number ``draw``."""
    start = draw * len(work.latents)
    draw_weights(learning.binary, work.latents, learning.address, start, work.weights, work.slopes)
    _transpose(network, work.weights, work.across)


@inner
def _transpose(network: Constants, weights: Reals, across: Reals) -> None:
    """Write matrices (out, in) as (in, out)."""
    for layer in range(len(network.limits)):
        width = network.outputs[layer + 1] - network.outputs[layer]
        fan_in = network.inputs[layer + 1] - network.inputs[layer]
        start = network.weights[layer]
        for k in range(fan_in):
            row, column = across[start + k * width :], weights[start + k :]
            for n in range(width):
                row[n] = column[n * fan_in]


@inner
def _leak(network: Constants, rows: int, work: Workspace) -> None:
    """Take P, Q and R one bin on, but for what enters Q in this bin.

    A trace that has become very small is nothing, and a refractory one stays: a neuron that nothing
    enters must not come to be on its threshold. Smaller numbers still are no better rounded, never
    become zero either, and make a processor slow.
    """
    membrane, synapse, refractory = work.membrane, work.synapse, work.refractory
    zero, least = membrane.dtype.type(0), membrane.dtype.type(_LEAST)
    for i in range(rows * network.inputs[-1]):
        left = network.keep_membrane * membrane[i] + synapse[i]
        membrane[i] = left if left > least else zero
        left = network.keep_synapse * synapse[i]
        synapse[i] = left if left > least else zero
    for i in range(rows * network.outputs[-1]):
        left = network.keep_refractory * refractory[i] + work.spikes[i]
        refractory[i] = left if left > least or left == zero else least


@inner
def _receive(
    network: Constants, inputs: Inputs, block: tuple[int, int], t: int, work: Workspace
) -> None:
    """Let the events of bin ``t`` of a block's samples enter."""
    first, rows = block
    for row in range(rows):
        synapse, sample = work.synapse[row * network.inputs[-1] :], inputs.samples[first + row]
        start, offsets = inputs.sample_offsets[sample], inputs.bin_offsets[sample]
        for event in range(start + np.int64(offsets[t]), start + np.int64(offsets[t + 1])):
            count = inputs.counts[event] if len(inputs.counts) > 0 else 1
            synapse[inputs.channels[event]] += synapse.dtype.type(count)


@inner
def _pass_on(network: Constants, layer: int, rows: int, work: Workspace) -> None:
    """Let the spikes of the layer below enter."""
    fan_in = network.inputs[layer + 1] - network.inputs[layer]
    for row in range(rows):
        synapse = work.synapse[row * network.inputs[-1] + network.inputs[layer] :]
        spikes = work.spikes[row * network.outputs[-1] + network.outputs[layer - 1] :]
        for k in range(fan_in):
            synapse[k] += spikes[k]


@inner
def _fire(network: Constants, layer: int, rows: int, work: Workspace) -> None:
    """Write U and s of a layer, and count its spikes."""
    width = network.outputs[layer + 1] - network.outputs[layer]
    fan_in = network.inputs[layer + 1] - network.inputs[layer]
    matrix, zero = work.across[network.weights[layer] :], work.spikes.dtype.type(0)
    for row in range(rows):
        membrane = work.membrane[row * network.inputs[-1] + network.inputs[layer] :]
        start, count = row * network.outputs[-1] + network.outputs[layer], 0
        potential, refractory = work.potential[start : start + width], work.refractory[start:]
        spikes = work.spikes[start:]
        found = _gather(membrane, 1, fan_in, work.gathered)
        _combine(potential, found, work.gathered, matrix, width)
        for n in range(width):
            potential[n] -= refractory[n]
            spikes[n] = potential[n] >= zero
            count += potential[n] >= zero
        work.fired[layer, row] += count


@inner
def _gather(values: Reals, stride: int, length: int, gathered: Gathered) -> int:
    """Write what of values[0, stride, 2 stride, ...] is not zero, and where; return how many."""
    (factors, places), found = gathered, 0
    for k in range(length):
        value = values[k * stride]
        factors[found] = value
        places[found] = k
        found += value != 0
    return found


@inner
def _combine(out: Reals, found: int, gathered: Gathered, matrix: Reals, pitch: int) -> None:
    """Write the sum of rows of a matrix, ``pitch`` apart, each times what was gathered for it.

    Each element's sum begins at 0 and goes along the rows; four at a time spares memory's time.
    """
    factors, places = gathered
    fill(out, 0.0)
    whole = found - found % 4
    for j in range(0, whole, 4):
        a, b, c, d = factors[j], factors[j + 1], factors[j + 2], factors[j + 3]
        row_a, row_b = matrix[places[j] * pitch :], matrix[places[j + 1] * pitch :]
        row_c, row_d = matrix[places[j + 2] * pitch :], matrix[places[j + 3] * pitch :]
        for n in range(len(out)):
            out[n] = (((out[n] + a * row_a[n]) + b * row_b[n]) + c * row_c[n]) + d * row_d[n]
    for j in range(whole, found):
        factor, row = factors[j], matrix[places[j] * pitch :]
        for n in range(len(out)):
            out[n] += factor * row[n]


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
        found = _gather(column, network.outputs[-1], rows, work.gathered)
        gradient = work.gradient[start : start + fan_in]
        _combine(gradient, found, work.gathered, membrane, network.inputs[-1])


@inner
def _add_probabilities(
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
def _count(
    network: Constants, block: tuple[int, int], t: int, work: Workspace, found: Found
) -> None:
    """Count the spikes of each neuron in bin ``t``, and mark them where somebody asks for it."""
    (start, rows), total = block, network.outputs[-1]
    for row in range(rows):
        spikes = work.spikes[row * total :]
        for n in range(total):
            found.neurons[n] += spikes[n] > 0
        if len(found.raster) > 0:
            marks = found.raster[start + row, t]
            for n in range(total):
                marks[n] = spikes[n] > 0


@inner
def _note_activity(network: Constants, rows: int, work: Workspace) -> int:
    """Count samples that are silent or saturated; return the spikes of all."""
    spikes = 0
    for layer in range(len(network.limits)):
        for row in range(rows):
            fired = work.fired[layer, row]
            work.activity[layer, 0] += 1
            work.activity[layer, 1] += fired < network.limits[layer, 0]
            work.activity[layer, 2] += fired >= network.limits[layer, 1]
            spikes += fired
    return spikes
