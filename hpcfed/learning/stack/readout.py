"""What enters the readout, weighted by its bin and summed; its logits, loss and way back."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import inner
from hpcfed.learning.stack.lists import signal
from hpcfed.learning.stack.tables import Constants, Learned
from hpcfed.learning.stack.work import Work

F32 = NDArray[np.float32]


@inner
def read_out(network: Constants, work: Work, batch: int) -> None:
    """Write the logits of ``batch`` samples, and what they are the products of."""
    stack, last = network.stack, len(network.stack.kinds)
    row = stack.widths[last] * stack.channels[last]
    size, classes = stack.heights[last] * row, stack.num_classes
    weights = work.weights[stack.weights[-1] : stack.weights[-1] + size * classes]
    for b in range(batch):
        summed, logits = work.summed[b], work.logits[b]
        summed[:] = 0
        for t in range(stack.num_bins):
            listed, factor = signal(stack, work, last, t * batch + b), network.factors[t]
            valued = len(listed.values) > 0
            for y in range(listed.height):
                start = listed.bounds[y * listed.width]
                for k in range(start, listed.bounds[(y + 1) * listed.width]):
                    value = factor * listed.values[k] if valued else factor
                    summed[y * row + np.int64(listed.entries[k])] += value
        logits[:] = 0
        for at in range(size):
            value = summed[at]
            if value != 0:
                for k in range(classes):
                    logits[k] += value * weights[at * classes + k]


@inner
def learn_labels(network: Constants, work: Work, learned: Learned, start: int, batch: int) -> float:
    """Write the gradients of a batch's mean loss at its logits; return that loss.

    Leaves the losses and classes of the samples.
    """
    classes, total = network.stack.num_classes, 0.0
    for b in range(batch):
        logits, slopes, best, power = work.logits[b], work.slopes[b], 0, 0.0
        for k in range(1, classes):
            if logits[k] > logits[best]:
                best = k
        highest, label = float(logits[best]), learned.labels[start + b]
        for k in range(classes):
            power += math.exp(np.float64(logits[k]) - highest)
        for k in range(classes):
            part = math.exp(np.float64(logits[k]) - highest) / power
            slopes[k] = (part - (k == label)) / batch
        work.predictions[b] = best
        work.losses[b] = math.log(power) + highest - np.float64(logits[label])
        if len(learned.teacher) > 0:
            _learn_from_teacher(
                network, work, learned.teacher[learned.samples[start + b]], b, batch
            )
        total += work.losses[b]
    return total / batch


@inner
def _learn_from_teacher(network: Constants, work: Work, theirs: F32, b: int, batch: int) -> None:
    """Turn a sample's loss and gradients into those of its label and a teacher's logits (K,).

    The equations are those of ``learning.teaching``.
    """
    logits, slopes, classes = work.logits[b], work.slopes[b], network.stack.num_classes
    weight, tau = network.teaching.weight, network.teaching.temperature
    highest, high = float(logits[0]), float(theirs[0])
    for k in range(1, classes):
        highest, high = max(highest, float(logits[k])), max(high, float(theirs[k]))
    total, whole, apart = 0.0, 0.0, 0.0
    for k in range(classes):
        mine = (np.float64(logits[k]) - highest) / tau
        their = (np.float64(theirs[k]) - high) / tau
        total, whole = total + math.exp(mine), whole + math.exp(their)
        apart += math.exp(their) * (their - mine)
    divergence = apart / whole + math.log(total) - math.log(whole)
    for k in range(classes):
        part = math.exp((np.float64(logits[k]) - highest) / tau) / total
        aim = math.exp((np.float64(theirs[k]) - high) / tau) / whole
        slopes[k] = (1 - weight) * slopes[k] + weight * tau * (part - aim) / batch
    work.losses[b] = (1 - weight) * work.losses[b] + weight * tau * tau * divergence


@inner
def read_back(network: Constants, work: Work, batch: int) -> None:
    """Add the gradient of the readout's weights; leave that of what enters."""
    stack, last = network.stack, len(network.stack.kinds)
    size = stack.heights[last] * stack.widths[last] * stack.channels[last]
    classes, place = stack.num_classes, stack.weights[-1]
    changes = stack.changes[last] * work.room
    for b in range(batch):
        slopes = work.slopes[b]
        for at in range(size):
            value, back = work.summed[b, at], work.traces.dtype.type(0)
            for k in range(classes):
                back += work.weights[place + at * classes + k] * slopes[k]
            if value != 0:
                for k in range(classes):
                    work.gradient[place + at * classes + k] += value * slopes[k]
            work.summed[b, at] = back
        for t in range(stack.num_bins):
            first = changes + (t * batch + b) * size
            for at in range(size):
                work.traces[first + at] = network.factors[t] * work.summed[b, at]
