"""What the event kernels are told: where weights and work space lie, and the equations' constants.

T time bins, L hidden layers, C channels, K classes, P parameters, R = plan.rows samples taken at
once. Matrices lie in one flat vector, each stored (in, out), so that a row is what one spike adds,
and padded to whole vector registers: a padding neuron has zero weights, never reaches its positive
threshold and stays zero. What leads back from a layer lies a second time, as (out, in).
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.event.vectors import ROWS
from hpcfed.networks.layout import Layout

Real = np.floating
Reals = NDArray[np.floating]
I64 = NDArray[np.int64]
RealType = type[np.float32] | type[np.float64]

SURROGATES = ("superspike", "triangle", "tanh")
_LINE = 64  # bytes of a cache line
_LARGE_TRACE = 1 << 16  # values; more of them would push the weights out of the second cache
READOUTS = ("mean", "last", "max")
MAXIMUM = READOUTS.index("max")


class Plan(NamedTuple):
    """Sizes and places. The arrays have an entry for each hidden layer and one for the readout.

    Attributes:
        num_bins: T.
        num_channels: C.
        rows: samples at once: ROWS, or one where they share no product and a trace is large.
        recurrent: whether hidden layers have recurrent weights.
        readout: index into READOUTS.
        widths: neurons (of the readout: K).
        padded: the same in whole registers.
        inputs: place of the input weights, (in, padded).
        recurrents: place of the recurrent weights, (widths, padded).
        inputs_back: place of the input weights' copy, (widths, padded of the layer below).
        recurrents_back: place of the recurrent weights' copy, (widths, padded).
        traces: place of a layer's (T, R, padded) values in the trace.
        num_weights, num_back, num_traces: lengths of the three flat vectors.
    """

    num_bins: int
    num_channels: int
    rows: int
    recurrent: bool
    readout: int
    widths: I64
    padded: I64
    inputs: I64
    recurrents: I64
    inputs_back: I64
    recurrents_back: I64
    traces: I64
    num_weights: int
    num_back: int
    num_traces: int


class Neuron(NamedTuple):
    """Constants of the hidden layers in the dtype of the weights, and three switches.

    Attributes:
        keep, drive, decay: u = keep v + drive i, d = decay i.
        threshold, relax, beta: ALIF's b = b + relax (threshold - b), then + beta at a spike.
        slope: of the surrogate.
        full: 1 where gradients pass through the reset, else 0.
        adaptive: ALIF.
        surrogate: index into SURROGATES.
    """

    keep: Real
    drive: Real
    decay: Real
    threshold: Real
    relax: Real
    beta: Real
    slope: Real
    full: Real
    adaptive: bool
    surrogate: int


class Readout(NamedTuple):
    """The leaky integrator at the end.

    Attributes:
        keep, drive, decay: its constants.
        factors: (T,) how much a current in each bin counts in the logits (mean, last).
        response: (T,) voltage so many bins after a unit current (max).
    """

    keep: Real
    drive: Real
    decay: Real
    factors: Reals
    response: Reals


class Penalty(NamedTuple):
    """Of neurons that spike in a fraction of bins below or above the bounds; strength 0: none."""

    strength: float
    lower: float
    upper: float


class Optimiser(NamedTuple):
    """The client's settings in the dtype of the weights, with the round's learning rate."""

    adam: bool
    rate: Real
    momentum: Real
    weight_decay: Real
    proximal: Real
    clip_norm: Real


def plan(experiment: Experiment, num_channels: int, num_classes: int) -> Plan:
    """Return where all lies for the experiment's network between C channels and K classes."""
    model, num_bins = experiment.model, experiment.data.num_bins
    widths = (*model.hidden, num_classes)
    padded = tuple(-(-width // LANES) * LANES for width in widths)
    fan_in = (num_channels, *model.hidden)
    loop = [n * m if model.recurrent else 0 for n, m in zip(model.hidden, padded, strict=False)]
    loop.append(0)
    below = (0, *padded[:-1])
    front = [size for n, m, v in zip(fan_in, padded, loop, strict=True) for size in (n * m, v)]
    back = [size for n, m, v in zip(widths, below, loop, strict=True) for size in (n * m, v)]
    together = model.recurrent or len(model.hidden) > 1 or model.readout == "max"
    rows = ROWS if together or ROWS * num_bins * padded[0] <= _LARGE_TRACE else 1
    traces = [rows * num_bins * m for m in padded[:-1]]
    return Plan(
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


def neuron(experiment: Experiment, dtype: RealType) -> Neuron:
    """Return the constants of the experiment's hidden neurons."""
    model, real = experiment.model, dtype
    leaky = model.neuron != "if"
    drive = experiment.dt / model.tau_mem if leaky else 1.0
    return Neuron(
        keep=real(1.0 - drive if leaky else 1.0),
        drive=real(drive),
        decay=real(1.0 - experiment.dt / model.tau_syn if leaky else 0.0),
        threshold=real(model.threshold),
        relax=real(experiment.dt / model.tau_adapt),
        beta=real(model.beta if model.neuron == "alif" else 0.0),
        slope=real(model.surrogate_slope),
        full=real(1.0 if model.reset_gradient == "full" else 0.0),
        adaptive=model.neuron == "alif",
        surrogate=SURROGATES.index(model.surrogate),
    )


def readout(experiment: Experiment, dtype: RealType) -> Readout:
    """Return the constants of the experiment's readout."""
    model, num_bins, real = experiment.model, experiment.data.num_bins, dtype
    drive, decay = experiment.dt / model.tau_mem, 1.0 - experiment.dt / model.tau_syn
    response, voltage = [], 0.0
    for bins_after in range(num_bins):
        voltage += drive * (decay**bins_after - voltage)
        response.append(voltage)
    last = model.readout == "last"
    factors = np.array(response if last else list(accumulate(response)))[::-1]
    return Readout(
        keep=real(1.0 - drive),
        drive=real(drive),
        decay=real(decay),
        factors=(factors if last else factors / num_bins).astype(dtype),
        response=np.array(response, dtype),
    )


def penalty(experiment: Experiment) -> Penalty:
    """Return the experiment's rate penalty; its strength is 0 where no rate can be punished."""
    client = experiment.client
    idle = client.rate_lower == 0 and client.rate_upper == 1
    return Penalty(0.0 if idle else client.rate_strength, client.rate_lower, client.rate_upper)


def optimiser(experiment: Experiment, rate: float, dtype: RealType) -> Optimiser:
    """Return the client's optimiser at learning rate ``rate``."""
    client, real = experiment.client, dtype
    return Optimiser(
        adam=client.optimizer == "adam",
        rate=real(rate),
        momentum=real(client.momentum),
        weight_decay=real(client.weight_decay),
        proximal=real(client.proximal),
        clip_norm=real(client.clip_norm),
    )


def pack(places: Plan, layout: Layout, params: Reals) -> Reals:
    """Return the flat parameters (P,), matrices (out, in), as the kernels' vector."""
    packed = aligned(places.num_weights, params.dtype.type)
    per_layer = 2 if places.recurrent else 1
    for number, (_, part, (rows, columns)) in enumerate(layout.parts()):
        layer, second = divmod(number, per_layer)
        start = (places.recurrents if second else places.inputs)[layer]
        width = int(places.padded[layer])
        view = packed[start : start + columns * width].reshape(columns, width)
        view[:, :rows] = params[part].reshape(rows, columns).T
    return packed


def _places(lengths: list[int]) -> I64:
    return np.array([0, *accumulate(lengths)][: len(lengths)], np.int64)


def aligned(size: int, dtype: RealType) -> Reals:
    """Return (size,) zeros that begin with a cache line: a row's registers then load in one go."""
    whole = np.zeros(size + _LINE, dtype)
    start = -whole.ctypes.data % _LINE // whole.itemsize
    return whole[start : start + size]
