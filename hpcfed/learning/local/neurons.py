"""The neurons of local learning: a bin of a block of samples, layer by layer.

Old values on the right, x what enters, s a layer's spikes (Kaiser, Mostafa, Neftci 2020,
doi:10.3389/fnins.2020.00424; Jang, Skatchkovsky, Simeone 2020, arXiv 2012.08300)::

    P = a_m P + Q;  Q = a_s Q + x;  R = a_r R + s;  U = W P - R;  s = [U >= 0]

What enters a layer is what the layer below sends in the same bin. Sums run over inputs one after
the other, without those that are zero: binary weights make exact ties, and whether a neuron on its
threshold spikes must not depend on a processor's idea of a sum.
"""

from __future__ import annotations

import numpy as np

from hpcfed.base.compiled import inner
from hpcfed.learning.constants import Reals
from hpcfed.learning.event.work import fill
from hpcfed.learning.local.tables import Constants, Gathered, Inputs, Workspace

_LEAST = 2.0**-100  # of P, Q and R: far from 2**-126, where float32 begins to lose digits


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
def transpose(network: Constants, weights: Reals, across: Reals) -> None:
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
def gather(values: Reals, stride: int, length: int, gathered: Gathered) -> int:
    """Write what of values[0, stride, 2 stride, ...] is not zero, and where; return how many."""
    (factors, places), found = gathered, 0
    for k in range(length):
        value = values[k * stride]
        factors[found] = value
        places[found] = k
        found += value != 0
    return found


@inner
def combine(out: Reals, found: int, gathered: Gathered, matrix: Reals, pitch: int) -> None:
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
def _leak(network: Constants, rows: int, work: Workspace) -> None:
    """Take P, Q and R one bin on, but for what enters Q in this bin.

    A trace that has become very small is nothing; a refractory one stays, for a neuron that nothing
    enters must not come to be on its threshold. Left alone, both would end in the numbers below
    float32's normal ones, which never round to zero and make a processor slow.
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
        found = gather(membrane, 1, fan_in, work.gathered)
        combine(potential, found, work.gathered, matrix, width)
        for n in range(width):
            potential[n] -= refractory[n]
            spikes[n] = potential[n] >= zero
            count += potential[n] >= zero
        work.fired[layer, row] += count
