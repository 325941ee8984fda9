"""How the two populations of neurons go on from bin to bin.

Equations: hpcfed.learning.stdp.kernels. N neurons of each. What may be skipped is at rest, where a
step changes nothing.
"""

from __future__ import annotations

import numpy as np

from hpcfed.base.bare import bare
from hpcfed.base.philox import block
from hpcfed.learning.stdp.tables import Inputs, Network, Workspace

NOBODY = -1


@bare
def rest(network: Network, work: Workspace) -> None:
    """Bring all neurons to rest, without a spike or a trace of one."""
    work.potential[:] = network.excitatory.rest
    work.inner[:] = network.inhibitory.rest
    work.refractory[:] = 0
    work.inner_refractory[:] = 0
    work.silencing[:] = 0
    work.trace[:] = 0
    work.current[:] = 0
    work.last[:] = -1
    work.state[:] = 0
    for j in range(len(work.theta)):
        work.bound[j] = network.excitatory.threshold + work.theta[j]


@bare
def excite(
    network: Network, inputs: Inputs, number: int, t: int, learns: bool, work: Workspace
) -> int:
    """Step the excitatory neurons; return which one spikes, NOBODY for none."""
    neuron, count = network.excitatory, len(work.theta)
    if learns:
        for j in range(count):
            work.theta[j] *= network.theta_keep
            work.bound[j] = neuron.threshold + work.theta[j]
    above = 0
    for j in range(count):
        others = np.float32(work.state[0] - work.silencing[j])
        taken = work.current[j] - network.inhibition * others
        still = neuron.rest + neuron.keep * (work.potential[j] - neuron.rest)
        v = still + taken if work.refractory[j] <= 0 else still
        work.potential[j] = v
        work.refractory[j] -= 1
        above += v >= work.bound[j]
    if above == 0:
        return NOBODY
    return _spike(network, inputs, number, t, learns, work)


@bare
def _spike(
    network: Network, inputs: Inputs, number: int, t: int, learns: bool, work: Workspace
) -> int:
    """Reset all neurons above their threshold; return the one of them that spikes."""
    crossed = 0
    for j in range(len(work.theta)):
        if work.potential[j] >= work.bound[j]:
            work.potential[j] = network.excitatory.reset
            work.refractory[j] = network.excitatory.refractory
            if learns:
                work.theta[j] += network.theta_plus
            work.crossed[crossed] = j
            crossed += 1
    if crossed == 1:
        return int(work.crossed[0])
    word = _word(inputs, number, inputs.starts[number] * network.num_bins + t)
    return int(work.crossed[(np.uint64(word) * np.uint64(crossed)) >> np.uint64(32)])


@bare
def _word(inputs: Inputs, number: int, place: int) -> int:
    client, round_index, purpose, key0, key1 = inputs.winners[number]
    drawn = block(np.uint32(place // 4), client, round_index, purpose, key0, key1)
    return int(drawn[place % 4])


@bare
def inhibit(network: Network, before: int, work: Workspace) -> int:
    """Step the inhibitory neurons; return how many spike.

    ``before`` is the excitatory neuron that spiked in the bin before. All lie still until the first
    of a sample.
    """
    neuron, state = network.inhibitory, work.state
    if before != NOBODY:
        state[1] = 1
    if state[1] == 0:
        return 0
    fired = 0
    for j in range(len(work.inner)):
        v = neuron.rest + neuron.keep * (work.inner[j] - neuron.rest)
        if j == before and work.inner_refractory[j] <= 0:
            v += network.excitation
        work.inner_refractory[j] -= 1
        spikes = v >= neuron.threshold
        work.inner[j] = neuron.reset if spikes else v
        work.inner_refractory[j] = neuron.refractory if spikes else work.inner_refractory[j]
        work.silencing[j] = spikes
        fired += spikes
    state[0] = fired
    return fired
