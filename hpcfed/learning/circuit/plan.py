"""What the kernels of probabilistic units are told, from the experiment and the shape of its data.

H hidden units, K outputs, U = H + K units, C values of a spike, L lines (each value of each unit
that others see), W bins of the past, B bases, P parameters, n samples.

Parameters are the kernels (B, U C, L), whose bases may be exchanged one by one, the weights of
feedback (U C,), if there is any, and the biases (U C,). Some kernels cannot be: no unit sees itself
but through feedback, and hidden circuits of ``wta`` do not see outputs; they are 0 and stay 0, and
what a coarse or noisy uplink puts there is not used and taken back.
"""

from __future__ import annotations

import math
from math import prod

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import MOST_WORDS, Stream
from hpcfed.config import Experiment
from hpcfed.config.rule import GLM, CircuitConfig
from hpcfed.errors import InputError
from hpcfed.learning.circuit.rows import padded
from hpcfed.learning.circuit.tables import (
    COUNTS,
    ONES,
    PLANE,
    Circuit,
    Inputs,
    Learning,
)
from hpcfed.learning.constants import Reals, RealType
from hpcfed.learning.schedule import learning_rate
from hpcfed.learning.silence import limits
from hpcfed.networks.contract import Layer
from hpcfed.networks.layout import Layout, Part
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import Shape, as_given, side_by_side

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]

KERNEL, FEEDBACK, BIAS = "kernel", "feedback", "bias"
MOST_BINS = 512  # of foreseen samples: work grows with their square, and is no less with more
MOST_PAIRS = 1 << 19  # of bins of the past, in all bins: the same

_SLACK = 4  # bits below the last of a number, where nothing that is added changes it


def raised_cosines(window: int, bases: int, width: float) -> F64:
    """Return B cosines over the last W bins, (B, W), the newest first, as published.

    (1 + cos(min(|x - c_k| mu pi / d, pi))) / 2 with x = log(lag - 1 + W / 10), centres c_k from the
    first x to the last, d apart; a single basis is at the first, and d is the whole way.
    """
    places = np.log(np.arange(window) + window / 10)
    centres = np.linspace(places[0], places[-1], bases)
    apart = (places[-1] - places[0]) / max(bases - 1, 1)
    angles = np.abs(places - centres[:, None]) * (width * np.pi / apart)
    return np.where(angles < np.pi, (1 + np.cos(np.minimum(angles, np.pi))) / 2, 0.0)


def settings_of(experiment: Experiment) -> CircuitConfig:
    """Return what holds of the units."""
    return experiment.learning_rule.circuit_settings


def num_values(experiment: Experiment) -> int:
    """Return C."""
    if experiment.learning_rule.kind == GLM:
        return 1
    return settings_of(experiment).values or 2


def smooths_signal(experiment: Experiment) -> bool:
    """Return whether kappa smooths the learning signal, not updates."""
    smoothing = settings_of(experiment).smoothing
    return experiment.learning_rule.kind == GLM if smoothing is None else smoothing == "signal"


def is_foreseen(experiment: Experiment) -> bool:
    """Return whether all spikes of what a client learns from are known beforehand.

    So they are of whole samples, without units that are drawn or see what units do.
    """
    settings = settings_of(experiment)
    sees_units = settings.hidden or settings.feedback or settings.lateral
    bins = experiment.data.num_bins
    is_short = bins <= MOST_BINS and bins * settings.window**2 <= MOST_PAIRS
    return not sees_units and settings.bins is None and is_short


def circuit(experiment: Experiment, shape: Shape, dtype: RealType) -> Circuit:
    """Return the constants of the experiment's units for input and classes of ``shape``.

    Raises InputError for a sensor of more polarities than spikes have values.
    """
    settings, values, is_glm = settings_of(experiment), num_values(experiment), _is_glm(experiment)
    inputs = _num_inputs(experiment, shape)
    seen = inputs + settings.hidden + (shape.classes if settings.lateral else 0)
    table = raised_cosines(settings.window, settings.bases, settings.width)
    units = np.repeat(np.arange(seen) - inputs, values * settings.bases)
    layers, middle = hidden_layers(experiment, shape), padded(settings.hidden * values)
    found: Reals = table.T.astype(dtype)
    return Circuit(
        num_bins=experiment.data.num_bins,
        inputs=inputs,
        hidden=settings.hidden,
        outputs=shape.classes,
        values=values,
        rows=middle + padded(shape.classes * values),
        first_output=middle,
        entering=inputs * values * settings.bases,
        feedback=settings.feedback,
        lateral=settings.lateral,
        to_hidden=settings.lateral and is_glm,
        reading=_reading(experiment, shape),
        table=np.ascontiguousarray(found),
        bounds=_bounds(found > 0),
        own=raised_cosines(settings.window, 1, settings.width)[0].astype(dtype),
        bases=np.tile(np.arange(settings.bases), seen * values),
        sources=np.maximum(units, -1),
        limits=limits(experiment, layers)[0] if layers else np.zeros(2, np.int64),
    )


def learning(experiment: Experiment, round_index: int, dtype: RealType) -> Learning:
    """Return how a client learns in a round."""
    settings, values = settings_of(experiment), num_values(experiment)
    until = np.arange(settings.every)[::-1]  # bins to the next step
    due = settings.kappa**until / (1 - settings.kappa**settings.every)
    kept = settings.kappa ** np.arange(_hold(settings.kappa, dtype) + 1)
    return Learning(
        rate=dtype(learning_rate(experiment.client, round_index)),
        kappa=dtype(settings.kappa),
        kappa_takes=dtype(1 - settings.kappa),
        beta=dtype(settings.beta),
        beta_takes=dtype(1 - settings.beta),
        gamma=settings.gamma,
        silence=math.log(settings.silence),
        spike=math.log((1 - settings.silence) / values),
        smooths_signal=smooths_signal(experiment),
        every=settings.every,
        due=due.astype(dtype),
        powers=kept.astype(dtype),
        fading=kept[:: settings.every][::-1].repeat(settings.every).astype(dtype),
        hold=_hold(max(settings.kappa, settings.beta), dtype),
    )


def layout(circuit: Circuit) -> Layout:
    """Return where the parameters lie."""
    rows, bases = circuit.units * circuit.values, circuit.table.shape[1]
    parts = [Part(KERNEL, (bases, rows, len(circuit.bases) // bases), "zeros", groups=bases)]
    if circuit.feedback:
        parts.append(Part(FEEDBACK, (rows,), "zeros", masked=False))
    return Layout((*parts, Part(BIAS, (rows,), "zeros", masked=False)))


def hidden_layers(experiment: Experiment, shape: Shape) -> tuple[Layer, ...]:
    """Return the layer of hidden units, if there are any."""
    settings, values = settings_of(experiment), num_values(experiment)
    if not settings.hidden:
        return ()
    outputs = shape.classes if settings.lateral and _is_glm(experiment) else 0
    seen = _num_inputs(experiment, shape) + settings.hidden - 1 + outputs
    operations = settings.hidden * values * seen * values * settings.bases
    return (Layer("hidden0", settings.hidden, operations),)


def initial(experiment: Experiment, layout: Layout) -> F32:
    """Return the first parameters (P,): uniform within +-start, 0 where there is no synapse.

    Each place has a word of its own.
    """
    uniforms = Stream(experiment.seed, Purpose.INITIAL_WEIGHTS).uniforms(layout.size)
    params = (settings_of(experiment).start * (2 * uniforms - 1)).astype(np.float32)
    return np.where(exist(experiment, layout), params, np.float32(0))


def exist(experiment: Experiment, layout: Layout) -> NDArray[np.bool_]:
    """Return which parameters are those of a synapse, of feedback or a bias: (P,)."""
    found = np.ones(layout.size, np.float32)
    kernel = layout.split(found)[KERNEL]
    kernel *= _synapses(experiment, kernel.shape[1], kernel.shape[2])
    return found > 0


def inputs_of(events: EventSet, samples: I64, addresses: U32, starts: I64) -> Inputs:
    """Return ``samples`` (n,) for a kernel, with each one's stream (n, 5) and first word (n,)."""
    return Inputs(
        channels=as_given(events.channels),
        counts=as_given(np.empty(0, np.uint16) if events.counts is None else events.counts),
        bin_offsets=as_given(events.bin_offsets),
        sample_offsets=as_given(events.sample_offsets),
        samples=side_by_side(samples),
        labels=events.labels[samples],
        addresses=addresses,
        starts=starts,
    )


def check_words(circuit: Circuit, num_samples: int) -> None:
    """Raise InputError for more units and bins than a stream has words."""
    if num_samples * circuit.num_bins * circuit.units > MOST_WORDS:
        raise InputError(
            f"{num_samples} samples of {circuit.num_bins} bins and {circuit.units} units are more "
            "than 2^34 random words a round; take fewer client.epochs, client.steps or "
            "rule.circuit.hidden"
        )


def _num_inputs(experiment: Experiment, shape: Shape) -> int:
    if _is_glm(experiment) or not shape.in_bins:
        return shape.num_inputs
    polarities, values = shape.input[0], num_values(experiment)
    if polarities > values:
        raise InputError(
            f"rule.circuit.values = {values}: the sensor has {polarities} polarities, and each is "
            f"a value; set it to {polarities}"
        )
    return prod(shape.input[1:])


def _reading(experiment: Experiment, shape: Shape) -> int:
    if _is_glm(experiment):
        return ONES
    if shape.in_bins:
        return PLANE
    return COUNTS if experiment.data.counts else ONES


def _synapses(experiment: Experiment, rows: int, lines: int) -> NDArray[np.bool_]:
    """Return (U C, L), where there is a synapse."""
    settings, values = settings_of(experiment), num_values(experiment)
    to = np.repeat(np.arange(rows // values), values)
    seen = settings.hidden + (rows // values - settings.hidden if settings.lateral else 0)
    source = np.repeat(np.arange(-(lines // values - seen), seen), values)
    allowed = to[:, None] != source
    if not _is_glm(experiment):
        allowed &= (to[:, None] >= settings.hidden) | (source < settings.hidden)
    return np.asarray(allowed)


def _bounds(given: NDArray[np.bool_]) -> I64:
    """Return where something is given in rows (n, m): from the first to after the last (n, 2)."""
    first, last = given.argmax(axis=1), given.shape[1] - given[:, ::-1].argmax(axis=1)
    found = given.any(axis=1)
    return np.stack([np.where(found, first, 0), np.where(found, last, 0)], axis=1)


def _hold(kept: float, dtype: RealType) -> int:
    """Return after how many bins what is ``kept`` of a number is below what others resolve."""
    if kept == 0:
        return 0
    bits = np.finfo(dtype).nmant + 1 + _SLACK
    return math.ceil(bits * math.log(2) / -math.log(kept))


def _is_glm(experiment: Experiment) -> bool:
    return experiment.learning_rule.kind == GLM
