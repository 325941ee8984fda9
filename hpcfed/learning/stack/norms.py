"""Norms of what flows into layers, and their gradients; the equations are those of networks.norms.

T time bins, B batch, C padded channels. A channel has a mean and a spread (the sum of squared
differences from it) in each image; those of a norm follow from them, be it over the batch (bntt),
over bins as well (batch, tebn), or over groups of channels (group)::

    gain = scale / sqrt(variance + eps) factor;  offset = (shift - mean scale / sqrt(..)) factor

All small sums are float64. A norm of a batch has B rows of the same numbers only where groups of
channels are normed; else one.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import inner
from hpcfed.learning.stack.registers import column_moments
from hpcfed.learning.stack.tables import BY_BIN, BY_GROUP, Constants, Stack
from hpcfed.learning.stack.work import Work

F64 = NDArray[np.float64]

_GROUPS = 2


@inner
def note_moments(stack: Stack, work: Work, step: int, start: int, stop: int) -> None:
    """Write mean and spread of each channel of what flows into a layer in images start to stop."""
    layer, width = stack.layers[step], stack.channels[step + 1]
    places = stack.heights[step + 1] * stack.widths[step + 1]
    mean, spread = work.mean, work.spread
    for image in range(start, stop):
        first = stack.traces[layer] * work.room + image * places * width
        column_moments(mean, spread, 0, work.traces, first, width, places)
        for c in range(width):
            work.moments[0, image, c] = mean[c]
            work.moments[1, image, c] = spread[c]


@inner
def rows_of(stack: Stack, layer: int, batch: int) -> int:
    """Return how many rows a norm has in a bin: one for each sample, or one for all."""
    return batch if stack.norm == BY_GROUP and stack.normed[layer] else 1


@inner
def ready_norm(network: Constants, work: Work, step: int, batch: int, learn: bool) -> None:
    """Write gain and offset (T, rows, C) of a layer's norm, and move its running statistics."""
    stack = network.stack
    layer, width = stack.layers[step], stack.channels[step + 1]
    rows, real = rows_of(stack, layer, batch), stack.neurons[layer, 1]
    gains, middles = work.gains[layer], work.middles[layer]
    if not stack.normed[layer]:
        for t in range(stack.num_bins):
            for c in range(width):
                gains[0, t, 0, c], gains[1, t, 0, c] = 1, 0
        return
    if learn or stack.norm == BY_GROUP:
        _moments(stack, work, step, batch)
        if learn and stack.norm != BY_GROUP:
            _move(network, work, step, batch)
    else:
        for t in range(stack.num_bins):
            for c in range(real):
                at = c + (t * real if stack.norm == BY_BIN else 0)
                middles[0, t, 0, c] = work.statistics[stack.means[layer] + at]
                middles[1, t, 0, c] = work.statistics[stack.variances[layer] + at]
    for t in range(stack.num_bins):
        for row in range(rows):
            for c in range(width):
                gain, offset = 0.0, 0.0
                if c < real:
                    scale, shift, factor = _affine(stack, work, layer, t, c)
                    inverse = 1 / math.sqrt(middles[1, t, row, c] + network.epsilon)
                    gain = scale * inverse * factor
                    offset = (shift - middles[0, t, row, c] * scale * inverse) * factor
                gains[0, t, row, c], gains[1, t, row, c] = gain, offset


@inner
def _affine(stack: Stack, work: Work, layer: int, t: int, c: int) -> tuple[float, float, float]:
    """Return scale, shift and factor of a channel in a bin."""
    at = c + (t * stack.neurons[layer, 1] if stack.norm == BY_BIN else 0)
    scale, shift, factor = work.weights[stack.scales[layer] + at], 0.0, 1.0
    if stack.shifts[layer] >= 0:
        shift = work.weights[stack.shifts[layer] + at]
    if stack.factors[layer] >= 0:
        factor = work.weights[stack.factors[layer] + t]
    return np.float64(scale), np.float64(shift), np.float64(factor)


@inner
def count_of(stack: Stack, step: int, batch: int) -> int:
    """Return how many values a mean of a norm is of."""
    places = stack.heights[step + 1] * stack.widths[step + 1]
    if stack.norm == BY_GROUP:
        return int(places * group_size(stack, stack.layers[step]))
    return int(places * batch * (1 if stack.norm == BY_BIN else stack.num_bins))


@inner
def group_size(stack: Stack, layer: int) -> int:
    """Return the channels of a group."""
    real = stack.neurons[layer, 1]
    return int(real // _GROUPS if real % _GROUPS == 0 else real)


@inner
def _moments(stack: Stack, work: Work, step: int, batch: int) -> None:
    """Write mean and variance (T, rows, C) of a batch to ``work.middles``."""
    layer, num_bins = stack.layers[step], stack.num_bins
    real, places = stack.neurons[layer, 1], stack.heights[step + 1] * stack.widths[step + 1]
    rows, count = rows_of(stack, layer, batch), count_of(stack, step, batch)
    middles, each = work.middles[layer], np.float64(places)
    for t in range(num_bins):
        for row in range(rows):
            for c in range(real):
                middles[0, t, row, c], middles[1, t, row, c] = 0, 0
    for t in range(num_bins):
        for b in range(batch):
            for c in range(real):
                middles[0, t, b if rows > 1 else 0, c] += work.moments[0, t * batch + b, c] * each
    share(stack, layer, middles[0], rows)
    for t in range(num_bins):
        for row in range(rows):
            for c in range(real):
                middles[0, t, row, c] /= count
    for t in range(num_bins):
        for b in range(batch):
            row = b if rows > 1 else 0
            for c in range(real):
                away = work.moments[0, t * batch + b, c] - middles[0, t, row, c]
                middles[1, t, row, c] += work.moments[1, t * batch + b, c] + each * away * away
    share(stack, layer, middles[1], rows)
    for t in range(num_bins):
        for row in range(rows):
            for c in range(real):
                middles[1, t, row, c] /= count


@inner
def share(stack: Stack, layer: int, values: F64, rows: int) -> None:
    """Replace values (T, rows, C) by their sums over what one mean is of besides the batch."""
    num_bins, real = stack.num_bins, stack.neurons[layer, 1]
    if stack.norm == BY_BIN:
        return
    if stack.norm == BY_GROUP:
        size = group_size(stack, layer)
        for t in range(num_bins):
            for row in range(rows):
                for first in range(0, real, size):
                    total = 0.0
                    for c in range(first, first + size):
                        total += values[t, row, c]
                    for c in range(first, first + size):
                        values[t, row, c] = total
        return
    for c in range(real):
        total = 0.0
        for t in range(num_bins):
            total += values[t, 0, c]
        for t in range(num_bins):
            values[t, 0, c] = total


@inner
def _move(network: Constants, work: Work, step: int, batch: int) -> None:
    """Move the running statistics of a layer towards a batch's."""
    stack = network.stack
    layer, count = stack.layers[step], count_of(stack, step, batch)
    real, fair = stack.neurons[layer, 1], count / max(1, count - 1)
    bins, middles = stack.num_bins if stack.norm == BY_BIN else 1, work.middles[layer]
    for t in range(bins):
        for c in range(real):
            mean, variance = middles[0, t, 0, c], middles[1, t, 0, c] * fair
            for place, new in ((stack.means[layer], mean), (stack.variances[layer], variance)):
                old = np.float64(work.statistics[place + t * real + c])
                work.statistics[place + t * real + c] = old + network.momentum * (new - old)


@inner
def norm_back(network: Constants, work: Work, step: int, batch: int, moved: bool) -> None:
    """Add the gradient of a layer's norm, from ``work.sums``, and leave what flows back of it.

    The sums (2, T, rows, C) are the gradients of gain and offset; with ``moved`` they also reach x
    through mean and variance. The gradient of x becomes gain change + slope x + rest, with gain,
    slope and rest left in ``work.gains`` (3, T, rows, C).
    """
    stack = network.stack
    layer, width = stack.layers[step], stack.channels[step + 1]
    rows, real, num_bins = rows_of(stack, layer, batch), stack.neurons[layer, 1], stack.num_bins
    gains, middles = work.gains[layer], work.middles[layer]
    for t in range(num_bins):
        for row in range(rows):
            for c in range(width):
                gains[1, t, row, c], gains[2, t, row, c] = 0, 0
    if not stack.normed[layer]:
        return
    through, sums = work.through, work.sums
    for t in range(num_bins):
        for row in range(rows):
            for c in range(real):
                scale, shift, factor = _affine(stack, work, layer, t, c)
                mean = middles[0, t, row, c]
                inverse = 1 / math.sqrt(middles[1, t, row, c] + network.epsilon)
                of_gain, of_offset = sums[0, t, row, c], sums[1, t, row, c]
                both = of_gain - of_offset * mean
                at = c + (t * real if stack.norm == BY_BIN else 0)
                work.gradient[stack.scales[layer] + at] += both * inverse * factor
                if stack.shifts[layer] >= 0:
                    work.gradient[stack.shifts[layer] + at] += of_offset * factor
                if stack.factors[layer] >= 0:
                    work.gradient[stack.factors[layer] + t] += (
                        both * scale * inverse + of_offset * shift
                    )
                through[0, t, row, c] = -of_offset * scale * inverse * factor
                through[1, t, row, c] = -0.5 * both * scale * factor * inverse**3
    if not moved:
        return
    share(stack, layer, through[0], rows)
    share(stack, layer, through[1], rows)
    count = count_of(stack, step, batch)
    for t in range(num_bins):
        for row in range(rows):
            for c in range(real):
                slope = 2 * through[1, t, row, c] / count
                gains[1, t, row, c] = slope
                gains[2, t, row, c] = through[0, t, row, c] / count - slope * middles[0, t, row, c]
