"""A client's whole training, and evaluation, in one native call without the GIL each.

Diehl and Cook 2015 (doi:10.3389/fncom.2015.00099) in the form of 2403.00450: N excitatory neurons,
each with an inhibitory partner that silences all others. In each bin, from the spikes of the bin
before, with v' = rest + keep (v - rest), and input taken by neurons that are not refractory::

    v = v' + sum_i w_ij s_i - inhibition (inhibitory spikes but the partner's)
    theta = theta_keep theta;  a neuron crosses if v >= threshold + theta

All that cross are reset, refractory, and get theta + theta_plus; one of them, drawn evenly, spikes.
The inhibitory neurons do the same with v = v' + excitation (their partner's spike), and all that
cross spike. Traces x fade, and are 1 at a spike; with this bin's spikes and traces::

    w_ij = w_ij - depression x_j           where input i spikes
    w_ij = w_ij + potentiation x_i         where neuron j spikes
    w_ij = min(max(w_ij, 0), 1)

Neurons begin each sample at rest; after it the weights onto each are scaled to a fixed sum. Only
theta and the weights go on. What is evaluated changes neither. Cost follows the input spikes: each
is one pass over a row of weights, which are changed and added to the next bin's current at once.
"""

from __future__ import annotations

from hpcfed.base.bare import bare
from hpcfed.base.compiled import compiled
from hpcfed.learning.stdp.inputs import show
from hpcfed.learning.stdp.neurons import NOBODY, excite, inhibit, rest
from hpcfed.learning.stdp.synapses import add_up, learn, scale_weights
from hpcfed.learning.stdp.tables import Found, Inputs, Learning, Network, Sums, Workspace


@compiled(_nrt=False)
def train_client(
    network: Network, learning: Learning, inputs: Inputs, work: Workspace, sums: Sums
) -> None:
    """Learn from all samples, one after the other, in ``work``."""
    for number in range(len(inputs.samples)):
        show(network, inputs, number, work.spikes)
        rest(network, work)
        fired, inner, winner = 0, 0, NOBODY
        for t in range(network.num_bins):
            before = winner
            winner = excite(network, inputs, number, t, True, work)
            inner += inhibit(network, before, work)
            if winner != NOBODY:
                fired += 1
                sums.responses[winner, inputs.labels[number]] += 1
            learn(network, learning, t, winner, work)
        _note(network, 0, fired, sums)
        _note(network, 1, inner, sums)
        scale_weights(network, work)


@compiled(_nrt=False)
def run_samples(network: Network, inputs: Inputs, work: Workspace, found: Found) -> None:
    """Write what the neurons do in all samples, without learning."""
    for number in range(len(inputs.samples)):
        show(network, inputs, number, work.spikes)
        rest(network, work)
        found.entering[0] += work.spikes.counts.sum()
        winner = NOBODY
        for t in range(network.num_bins):
            before = winner
            winner = excite(network, inputs, number, t, False, work)
            if inhibit(network, before, work) > 0:
                _mark(number, t, work, found)
            if winner != NOBODY:
                found.counts[number, winner] += 1
                if len(found.rasters) > 0:
                    found.rasters[number, 0, t, winner] = True
            add_up(t, work)


@bare
def _mark(number: int, t: int, work: Workspace, found: Found) -> None:
    """Count the inhibitory neurons that spike in a bin, and mark them where they are asked for."""
    for j in range(len(work.silencing)):
        if work.silencing[j] > 0:
            found.inner[j] += 1
            if len(found.rasters) > 0:
                found.rasters[number, 1, t, j] = True


@bare
def _note(network: Network, layer: int, fired: int, sums: Sums) -> None:
    """Count a sample in which the neurons of a layer have ``fired`` so many spikes."""
    sums.spikes[layer] += fired
    sums.activity[layer, 0] += 1
    sums.activity[layer, 1] += fired < network.limits[layer, 0]
    sums.activity[layer, 2] += fired >= network.limits[layer, 1]
