"""What a sample is to the network: which inputs spike in each bin.

T time bins, C inputs. A pixel spikes in a bin by chance, by a word of its own: word (i T + t) of
pixel i of an image. A black pixel draws none. Events are spikes already, several in a bin are one.
"""

from __future__ import annotations

import numpy as np

from hpcfed.base.bare import bare
from hpcfed.base.philox import block
from hpcfed.learning.stdp.tables import Inputs, Network, Spikes


@bare
def show(network: Network, inputs: Inputs, number: int, spikes: Spikes) -> None:
    """Write the spikes of sample ``number`` of a call."""
    spikes.counts[:] = 0
    if len(inputs.pixels) > 0:
        _draw(network, inputs, number, spikes)
    else:
        _read(network, inputs, number, spikes)


@bare
def _draw(network: Network, inputs: Inputs, number: int, spikes: Spikes) -> None:
    pixels, bins = inputs.pixels[inputs.samples[number]], network.num_bins
    client, round_index, purpose, key0, key1 = inputs.drawn[number]
    first = inputs.starts[number] * network.inputs * bins
    for i in range(network.inputs):
        chance = inputs.chances[pixels[i]]
        if chance == 0:
            continue
        word = first + i * bins
        t = -(word % 4)
        place = word // 4
        while t < bins:
            drawn = block(np.uint32(place), client, round_index, purpose, key0, key1)
            for one in drawn:
                if 0 <= t < bins and np.uint64(one) < chance:
                    spikes.channels[t, spikes.counts[t]] = i
                    spikes.counts[t] += 1
                t += 1
            place += 1


@bare
def _read(network: Network, inputs: Inputs, number: int, spikes: Spikes) -> None:
    sample = inputs.samples[number]
    start, offsets = inputs.sample_offsets[sample], inputs.bin_offsets[sample]
    for t in range(network.num_bins):
        first, stop = np.int64(offsets[t]), np.int64(offsets[t + 1])
        for event in range(first, stop):
            spikes.channels[t, event - first] = inputs.channels[start + event]
        spikes.counts[t] = stop - first
