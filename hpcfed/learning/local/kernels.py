"""Whole local training, and evaluation, in one native call without the GIL each.

In each bin neurons move on (``neurons``), and from ``burn_in`` on all layers learn by their own
readouts (``readout``): an optimiser step of the latent weights, of which weights are made anew.
"""

from __future__ import annotations

from hpcfed.base.compiled import compiled, inner
from hpcfed.learning.constants import Reals
from hpcfed.learning.event.optimiser import adjust, optimise
from hpcfed.learning.latents import draw_weights, keep_within, pull, turn
from hpcfed.learning.local.neurons import rest, run_bin, transpose
from hpcfed.learning.local.readout import add_probabilities, find_gradient
from hpcfed.learning.local.tables import I64, Constants, Found, Inputs, Learning, Workspace


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
    transpose(network, weights, work.across)
    found.probabilities[:] = 0
    found.neurons[:] = 0
    for start in range(0, len(inputs.samples), rows):
        block = (start, min(rows, len(inputs.samples) - start))
        rest(work)
        for t in range(network.num_bins):
            run_bin(network, inputs, block, t, work)
            if t >= network.burn_in:
                add_probabilities(network, block, work, found)
            _count(network, block, t, work, found)
    bins = network.num_bins - network.burn_in
    for probabilities in found.probabilities:  # as a whole it would take numba seconds to compile
        for k in range(len(probabilities)):
            probabilities[k] /= bins


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
    transpose(network, work.weights, work.across)


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
