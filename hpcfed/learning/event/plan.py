"""What the event kernels are told: where weights and work space lie, and the equations' constants.

T time bins, L hidden layers, C channels, K classes, P parameters, R = plan.rows samples taken at
once. Matrices lie in one flat vector, each stored (in, out), so that a row is what one spike adds,
and padded to whole vector registers: a padding neuron has zero weights, never reaches its positive
threshold and stays zero. What leads back from a layer lies a second time, as (out, in).
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.learning.constants import READOUTS, Reals
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.event.tables import Sizes, aligned
from hpcfed.learning.event.vectors import ROWS
from hpcfed.networks.layout import Layout

I64 = NDArray[np.int64]


_LARGE_TRACE = 1 << 16  # values; more of them would push the weights out of the second cache


def plan(experiment: Experiment, num_channels: int, num_classes: int) -> Sizes:
    """Return where all lies for the experiment's network between C channels and K classes."""
    model, num_bins = experiment.model, experiment.data.num_bins
    widths = (*model.widths, num_classes)
    padded = tuple(-(-width // LANES) * LANES for width in widths)
    fan_in = (num_channels, *model.widths)
    loop = [n * m if model.recurrent else 0 for n, m in zip(model.widths, padded, strict=False)]
    loop.append(0)
    below = (0, *padded[:-1])
    front = [size for n, m, v in zip(fan_in, padded, loop, strict=True) for size in (n * m, v)]
    back = [size for n, m, v in zip(widths, below, loop, strict=True) for size in (n * m, v)]
    together = model.recurrent or len(model.widths) > 1 or model.readout == "max"
    rows = ROWS if together or ROWS * num_bins * padded[0] <= _LARGE_TRACE else 1
    traces = [rows * num_bins * m for m in padded[:-1]]
    return Sizes(
        num_bins=num_bins,
        num_channels=num_channels,
        rows=rows,
        recurrent=model.recurrent,
        readout=READOUTS.index(model.readout),
        widths=np.array(widths),
        padded=np.array(padded),
        inputs=_places(front)[0::2],
        recurrents=_places(front)[1::2],
        inputs_back=_places(back)[0::2],
        recurrents_back=_places(back)[1::2],
        traces=_places([*traces, 0]),
        num_weights=sum(front),
        num_back=sum(back),
        num_traces=sum(traces),
    )


def pack(places: Sizes, layout: Layout, params: Reals) -> Reals:
    """Return the flat parameters (P,), matrices (out, in), as the kernels' vector."""
    packed = aligned(places.num_weights, params.dtype.type)
    per_layer = 2 if places.recurrent else 1
    for number, (_, part, (rows, columns)) in enumerate(layout.slices()):
        layer, second = divmod(number, per_layer)
        start = (places.recurrents if second else places.inputs)[layer]
        width = int(places.padded[layer])
        view = packed[start : start + columns * width].reshape(columns, width)
        view[:, :rows] = params[part].reshape(rows, columns).T
    return packed


def _places(lengths: list[int]) -> I64:
    return np.array([0, *accumulate(lengths)][: len(lengths)], np.int64)
