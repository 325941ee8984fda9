"""How the weights onto the excitatory neurons change, and what they carry.

C inputs, N neurons; equations: hpcfed.learning.stdp.kernels. A row of weights is one input's.
"""

from __future__ import annotations

from hpcfed.base.bare import bare
from hpcfed.learning.stdp.neurons import NOBODY
from hpcfed.learning.stdp.tables import Learning, Network, Workspace


@bare
def scale_weights(network: Network, work: Workspace) -> None:
    """Scale the weights onto each neuron to a fixed sum, each at most 1; nothing is nothing."""
    weights, total, one = work.weights, work.total, network.trace[0]
    total[:] = 0
    for i in range(network.inputs):
        for j in range(len(total)):
            total[j] += weights[i, j]
    for j in range(len(total)):
        total[j] = network.norm / total[j] if total[j] > 0 else total[j]
    for i in range(network.inputs):
        for j in range(len(total)):
            weights[i, j] = min(weights[i, j] * total[j], one)


@bare
def learn(network: Network, learning: Learning, t: int, winner: int, work: Workspace) -> None:
    """Change the weights by this bin's spikes, and add up the current of the next bin."""
    spikes, trace, state = work.spikes, work.trace, work.state
    for place in range(spikes.counts[t]):
        work.last[spikes.channels[t, place]] = t
    if winner != NOBODY:
        state[2] = 1
    if state[2] == 0:  # no neuron has spiked yet
        add_up(t, work)
        return
    for j in range(len(trace)):
        trace[j] *= network.trace[1]
    if winner != NOBODY:
        trace[winner] = network.trace[0]
        _change_column(network, learning, t, winner, work)
        trace[winner] = 0  # this column is done
    _change_rows(learning, t, work)
    if winner != NOBODY:
        trace[winner] = network.trace[0]


@bare
def _change_column(
    network: Network, learning: Learning, t: int, winner: int, work: Workspace
) -> None:
    """Change the weights onto the neuron that spikes; depression comes before potentiation."""
    one = network.trace[0]
    for i in range(network.inputs):
        if work.last[i] >= 0:
            w = work.weights[i, winner]
            if work.last[i] == t:
                w -= learning.depression
            w += learning.potentiation * network.trace[t - work.last[i]]
            work.weights[i, winner] = min(max(w, one * 0), one)


@bare
def _change_rows(learning: Learning, t: int, work: Workspace) -> None:
    """Depress the rows of this bin's input spikes, and add them up."""
    current, trace, nothing = work.current, work.trace, learning.potentiation * 0
    current[:] = 0
    for place in range(work.spikes.counts[t]):
        row = work.weights[work.spikes.channels[t, place]]
        for j in range(len(row)):
            w = max(row[j] - learning.depression * trace[j], nothing)
            row[j] = w
            current[j] += w


@bare
def add_up(t: int, work: Workspace) -> None:
    """Add up what this bin's input spikes are to the neurons in the next one."""
    work.current[:] = 0
    for place in range(work.spikes.counts[t]):
        row = work.weights[work.spikes.channels[t, place]]
        for j in range(len(row)):
            work.current[j] += row[j]
