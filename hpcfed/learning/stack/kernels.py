"""Whole local training, and evaluation, of a stack of layers: one native call without the GIL each.

Nothing depends on what other threads do, and every sum has a fixed order.
"""

from __future__ import annotations

from typing import Any  # Any: an int to mypy

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import compiled, inlined, inner
from hpcfed.learning.constants import Optimiser, Reals
from hpcfed.learning.event.optimiser import adjust, optimise
from hpcfed.learning.stack.convolution import convolve
from hpcfed.learning.stack.copies import framed, keep_groups, turned
from hpcfed.learning.stack.geometry import num_events
from hpcfed.learning.stack.gradients import convolve_back
from hpcfed.learning.stack.inputs import list_inputs
from hpcfed.learning.stack.lists import drop, drop_back, pool, pool_back, signal
from hpcfed.learning.stack.neurons import fire, fire_back
from hpcfed.learning.stack.norms import norm_back, note_moments, ready_norm
from hpcfed.learning.stack.readout import learn_labels, read_back, read_out
from hpcfed.learning.stack.tables import (
    BY_GROUP,
    DROPOUT,
    LAYER,
    Constants,
    Found,
    Learned,
    Source,
    Stack,
)
from hpcfed.learning.stack.work import Work

I64 = NDArray[np.int64]

kernel = compiled(_nrt=False)  # no kernel makes an array
_FIRST_WORD: Any = np.int64(0)  # a literal has a type of its own, and all is compiled for it again


@kernel
def train_client(
    network: Constants,
    optimiser: Optimiser,
    source: Source,
    learned: Learned,
    steps: I64,
    received: Reals,
    work: Work,
) -> tuple[float, int]:
    """Take the steps ``steps[s]`` to ``steps[s + 1]`` of the samples, one optimiser step each.

    Returns the loss summed over samples (each of its step's mean loss with the penalty), and the
    spikes of all hidden layers; leaves weights and statistics in the work space.
    """
    total, spikes, word = 0.0, 0, _FIRST_WORD
    for k in range(len(received)):
        work.weights[k] = received[k]
    work.activity[:] = 0
    for step in range(len(steps) - 1):
        start, batch = steps[step], steps[step + 1] - steps[step]
        turned(network.stack, work)
        framed(network.stack, work)
        word = _forward(network, source, learned, (start, batch, word), work)
        spikes += _note_activity(network, work, batch)
        read_out(network, work, batch)
        loss = learn_labels(network, work, learned, start, batch)
        loss += _penalise(network, work, batch)
        _backward(network, learned, batch, word, work)
        keep_groups(network.stack, work)
        total += loss * batch
        adjust(optimiser, work.weights, received, work.gradient)
        optimise(optimiser, step + 1, work.weights, work.gradient, work.first, work.second)
    return total, spikes


@kernel
def evaluate_samples(
    network: Constants, source: Source, learned: Learned, received: Reals, work: Work, found: Found
) -> None:
    """Write what is found in the samples, as many at once as fit the work space."""
    stack, count = network.stack, len(learned.labels)
    for k in range(len(received)):
        work.weights[k] = received[k]
    framed(stack, work)
    most = work.room // stack.num_bins
    for start in range(0, count, most):
        batch = min(most, count - start)
        _forward(network, source, learned, (start, batch, _FIRST_WORD), work)
        read_out(network, work, batch)
        learn_labels(network, work, learned, start, batch)
        for b in range(batch):
            found.losses[start + b] = work.losses[b]
            found.predictions[start + b] = work.predictions[b]
            for k in range(stack.num_classes):
                found.logits[start + b, k] = work.logits[b, k]
        _count(stack, work, found.neurons, batch)
        for layer in range(len(stack.steps)):
            number = stack.steps[layer] + 1
            found.spikes[layer] += num_events(stack, work, number, 0, stack.num_bins * batch)
        _note_entering(stack, work, batch, found)
        if len(found.raster) > 0:
            _mark(stack, work, start, batch, found.raster)


@inner
def _forward(
    network: Constants, source: Source, learned: Learned, batches: tuple[int, int, int], work: Work
) -> int:
    """Run samples (first, number) through all steps; return the next word of dropout.

    A work space without gradients is one that does not learn.
    """
    stack, (start, batch, word), learn = network.stack, batches, len(work.gradient) > 0
    images = stack.num_bins * batch
    list_inputs(stack, work, source, start, batch)
    for step in range(len(stack.kinds)):
        if stack.kinds[step] == LAYER:
            _flow_in(stack, work, step, images)
            ready_norm(network, work, step, batch, learn and not learned.frozen)
            fire(stack, network.neuron, work, step, batch)
        elif stack.kinds[step] == DROPOUT:
            each = stack.heights[step] * stack.widths[step] * stack.real_channels[step]
            for image in range(images):
                if learn:
                    drop(stack, work, step, image, learned.words, word + image * each)
                else:
                    _pass_on(stack, work, step, image)
            word += each * images
        else:
            for image in range(images):
                pool(stack, work, step, image)
    return word


@inner
def _flow_in(stack: Stack, work: Work, step: int, images: int) -> None:
    for first in range(0, images, stack.together[step]):
        stop = min(images, first + stack.together[step])
        convolve(stack, work, step, first, stop)
        if stack.normed[stack.layers[step]]:
            note_moments(stack, work, step, first, stop)


@inner
def _pass_on(stack: Stack, work: Work, step: int, image: int) -> None:
    seen, made = signal(stack, work, step, image), signal(stack, work, step + 1, image)
    for place in range(len(seen.bounds)):
        made.bounds[place] = seen.bounds[place]
    for k in range(seen.bounds[len(seen.bounds) - 1]):
        made.entries[k] = seen.entries[k]
        made.values[k] = seen.values[k] if len(seen.values) > 0 else 1


@inlined
def _backward(network: Constants, learned: Learned, batch: int, word: int, work: Work) -> None:
    """Add the gradients of all weights; ``word`` is the one after the last of dropout."""
    stack = network.stack
    images, penalised = stack.num_bins * batch, network.penalty.strength > 0
    read_back(network, work, batch)
    for step in range(len(stack.kinds) - 1, stack.first_layer - 1, -1):
        if stack.kinds[step] == LAYER:
            if stack.layers[step] == 0 and len(stack.steps) > 1:
                _flow_in(stack, work, step, images)  # the second layer's has taken its place
            fire_back(stack, network.neuron, work, step, batch, penalised)
            moved = stack.norm == BY_GROUP or not learned.frozen
            norm_back(network, work, step, batch, moved)
            for first in range(0, images, stack.together[step]):
                stop = min(images, first + stack.together[step])
                needed = step > stack.first_layer
                convolve_back(stack, work, step, batch, first, stop, needed)
        elif stack.kinds[step] == DROPOUT:
            each = stack.heights[step] * stack.widths[step] * stack.real_channels[step]
            word -= each * images
            for image in range(images):
                drop_back(stack, work, step, image, learned.words, word + image * each)
        else:
            for image in range(images - 1, -1, -1):  # larger pictures, in the same place
                pool_back(stack, work, step, image)


@inner
def _note_activity(network: Constants, work: Work, batch: int) -> int:
    """Count the samples that are silent and saturated in each layer; return all spikes."""
    stack, limits, spikes = network.stack, network.limits, 0
    for layer in range(len(stack.steps)):
        number = stack.steps[layer] + 1
        for b in range(batch):
            fired = 0
            for t in range(stack.num_bins):
                image = t * batch + b
                fired += num_events(stack, work, number, image, image + 1)
            work.activity[layer, 0] += 1
            work.activity[layer, 1] += fired < limits[layer, 0]
            work.activity[layer, 2] += fired >= limits[layer, 1]
            spikes += fired
    return spikes


@inner
def _count(stack: Stack, work: Work, counts: I64, batch: int) -> None:
    """Add the spikes of each neuron to ``counts`` (N,), layer by layer, (channels, pixels) each."""
    for layer in range(len(stack.steps)):
        number, places = stack.steps[layer] + 1, stack.neurons[layer, 0]
        for image in range(stack.num_bins * batch):
            listed = signal(stack, work, number, image)
            for place in range(places):
                first = place % listed.width * listed.channels
                for k in range(listed.bounds[place], listed.bounds[place + 1]):
                    channel = np.int64(listed.entries[k]) - first
                    counts[stack.first_neurons[layer] + channel * places + place] += 1


@inner
def _penalise(network: Constants, work: Work, batch: int) -> float:
    """Write the gradient of the rate penalty; return the penalty."""
    stack, penalty, total = network.stack, network.penalty, 0.0
    if penalty.strength == 0:
        return total
    work.counts[:] = 0
    _count(stack, work, work.counts, batch)
    chances = batch * stack.num_bins
    for layer in range(len(stack.steps)):
        places, real = stack.neurons[layer, 0], stack.neurons[layer, 1]
        padded = stack.channels[stack.steps[layer] + 1]
        for c in range(real):
            for place in range(places):
                rate = work.counts[stack.first_neurons[layer] + c * places + place] / chances
                below, above = max(0.0, penalty.lower - rate), max(0.0, rate - penalty.upper)
                total += (below * below + above * above) / (places * real)
                slope = 2 * penalty.strength * (above - below) / (places * real * chances)
                work.rates[layer, place * padded + c] = slope
    return penalty.strength * total


@inner
def _note_entering(stack: Stack, work: Work, batch: int, found: Found) -> None:
    """Add, of what enters each layer and the readout, how many values there are and their sizes."""
    for product in range(len(stack.steps) + 1):
        last = product == len(stack.steps)
        number = len(stack.kinds) if last else stack.steps[product]
        for image in range(stack.num_bins * batch):
            listed = signal(stack, work, number, image)
            events = listed.bounds[len(listed.bounds) - 1]
            found.entering[product, 0] += events
            if len(listed.values) == 0:
                found.entering[product, 1] += events
                continue
            total = 0.0
            for k in range(events):
                total += abs(np.float64(listed.values[k]))
            found.entering[product, 1] += total


@inner
def _mark(stack: Stack, work: Work, start: int, batch: int, raster: NDArray[np.bool_]) -> None:
    """Mark the spikes (samples, T, N) of all layers, (channels, pixels) each."""
    for layer in range(len(stack.steps)):
        number, places = stack.steps[layer] + 1, stack.neurons[layer, 0]
        for b in range(batch):
            for t in range(stack.num_bins):
                listed = signal(stack, work, number, t * batch + b)
                for place in range(places):
                    first = place % listed.width * listed.channels
                    for k in range(listed.bounds[place], listed.bounds[place + 1]):
                        channel = np.int64(listed.entries[k]) - first
                        neuron = stack.first_neurons[layer] + channel * places + place
                        raster[start + b, t, neuron] = True
