"""What the events of a sample are to probabilistic units: lines, each a value of an input.

C values; line j C + c - 1 is value c of input j. T bins, E events of a sample.
"""

from __future__ import annotations

import numpy as np

from hpcfed.base.bare import bare
from hpcfed.learning.circuit.tables import COUNTS, I64, PLANE, Circuit, Events, Inputs


@bare
def decode(circuit: Circuit, inputs: Inputs, sample: int, events: Events) -> None:
    """Write the lines (E,) that a sample's events enter, and where each bin begins (T + 1,)."""
    number, lines = inputs.samples[sample], events.lines
    start, offsets, found = inputs.sample_offsets[number], inputs.bin_offsets[number], 0
    for t in range(circuit.num_bins):
        first, stop = start + np.int64(offsets[t]), start + np.int64(offsets[t + 1])
        if circuit.reading == PLANE:
            found += _see(circuit, inputs, (first, stop), lines[found:], events.places)
        else:
            for event in range(first, stop):
                line = np.int64(inputs.channels[event]) * circuit.values
                if circuit.reading == COUNTS:
                    line += min(_count(inputs, event), circuit.values) - 1
                lines[found] = line
                found += 1
        events.bounds[t + 1] = found


@bare
def _see(circuit: Circuit, inputs: Inputs, events: tuple[int, int], lines: I64, places: I64) -> int:
    """Write the lines of a bin of a sensor's events, the lower polarity's first; return how many.

    A pixel has one value in a bin: of its polarities the one that has more spikes, of equal ones
    the higher.
    """
    first, stop = events
    found = 0
    for event in range(first, stop):
        channel = np.int64(inputs.channels[event])
        polarity, pixel = channel // circuit.inputs, channel % circuit.inputs
        place, rival = places[0, pixel], places[1, pixel]
        if place < 0:
            place = found
            found += 1
        elif _count(inputs, event) < _count(inputs, rival):
            continue
        lines[place] = pixel * circuit.values + polarity
        places[0, pixel], places[1, pixel] = place, event
    for place in range(found):
        places[0, lines[place] // circuit.values] = -1
    return found


@bare
def _count(inputs: Inputs, event: int) -> int:
    return int(inputs.counts[event]) if len(inputs.counts) > 0 else 1
