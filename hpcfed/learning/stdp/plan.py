"""What the kernels of spike-timing-dependent plasticity are told, from experiment and data.

C inputs, N excitatory neurons in G blocks, K classes, P parameters, n samples.

Parameters are the weights (N, C) onto the neurons, whose blocks may be exchanged one by one, and
what their thresholds have adapted to, theta (N,). Two tables of integers follow, which clients
count and the root adds up: the neurons' spikes in samples of each class, responses (N, K), and how
many samples of each class a block has been shown, shown (G, K). A class is read from the two.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import MOST_WORDS, Stream, threshold
from hpcfed.config import Experiment
from hpcfed.config.stdp import ExcitatoryConfig, InhibitoryConfig, StdpConfig
from hpcfed.errors import InputError
from hpcfed.learning.schedule import learning_rate
from hpcfed.learning.silence import limits
from hpcfed.learning.stdp.tables import Inputs, Learning, Network, Neuron
from hpcfed.networks.contract import Layer
from hpcfed.networks.layout import Layout, Part
from hpcfed.samples.events import EventSet
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import Samples, Shape, as_given, side_by_side

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]

_NO_PIXELS = np.empty((0, 0), np.uint8)
_NO_CHANNELS, _NO_BINS = np.empty(0, np.uint16), np.empty((0, 0), np.uint32)
_NOTHING = np.empty(0, np.int64)

WEIGHTS, THETA, RESPONSES, SHOWN = "weights", "theta", "responses", "shown"


def settings_of(experiment: Experiment) -> StdpConfig:
    """Return what holds of the network."""
    return experiment.learning_rule.stdp_settings


def layout(experiment: Experiment, shape: Shape) -> Layout:
    """Return where the parameters lie."""
    settings = settings_of(experiment)
    neurons, blocks = settings.neurons, settings.num_blocks
    counts = Part("", (1,), "zeros", trained=False, masked=False, summed=True)
    return Layout(
        (
            Part(WEIGHTS, (neurons, shape.num_inputs), groups=blocks, counted_by=RESPONSES),
            Part(THETA, (neurons,), "zeros", masked=False, counted_by=RESPONSES),
            replace(counts, name=RESPONSES, shape=(neurons, shape.classes)),
            replace(counts, name=SHOWN, shape=(blocks, shape.classes)),
        )
    )


def layers(experiment: Experiment, shape: Shape) -> tuple[Layer, ...]:
    """Return the two populations."""
    neurons = settings_of(experiment).neurons
    return (
        Layer("excitatory", neurons, neurons * (shape.num_inputs + neurons - 1)),
        Layer("inhibitory", neurons, neurons),
    )


def initial(experiment: Experiment, parts: Layout) -> F32:
    """Return the first parameters (P,): uniform weights, a word each, and zeros."""
    params = np.zeros(parts.size, np.float32)
    weights = parts.split(params)[WEIGHTS]
    uniforms = Stream(experiment.seed, Purpose.INITIAL_WEIGHTS).uniforms(weights.size)
    weights[:] = settings_of(experiment).start * uniforms.reshape(weights.shape)
    return params


def network(experiment: Experiment, shape: Shape) -> Network:
    """Return the constants of the network for input of ``shape``."""
    settings, dt = settings_of(experiment), experiment.dt
    ages = np.arange(experiment.data.num_bins + 1)
    return Network(
        num_bins=experiment.data.num_bins,
        inputs=shape.num_inputs,
        excitatory=_neuron(settings.excitatory, dt),
        inhibitory=_neuron(settings.inhibitory, dt),
        excitation=np.float32(settings.excitation),
        inhibition=np.float32(settings.inhibition),
        norm=np.float32(settings.norm or shape.num_inputs / 10),
        theta_plus=settings.excitatory.theta_plus,
        theta_keep=math.exp(-dt / settings.excitatory.tau_theta),
        trace=np.exp(-dt * ages / settings.tau_trace).astype(np.float32),
        limits=limits(experiment, layers(experiment, shape)),
    )


def learning(experiment: Experiment, round_index: int) -> Learning:
    """Return how a client learns in a round."""
    rate = learning_rate(experiment.client, round_index)
    return Learning(np.float32(rate * settings_of(experiment).depression), np.float32(rate))


def block_of(experiment: Experiment, client: int) -> slice:
    """Return the neurons that a client trains."""
    settings = settings_of(experiment)
    length = settings.neurons // settings.num_blocks
    first = client % settings.num_blocks * length
    return slice(first, first + length)


def level(theta: F64, blocks: int) -> F64:
    """Return theta (N,) with the same mean in all blocks: each has risen by its own competition.

    Without it a union is ruled by the blocks that have seen the fewest samples.
    """
    by_block = theta.reshape(blocks, -1)
    found: F64 = by_block + (by_block.mean() - by_block.mean(axis=1, keepdims=True))
    return found.ravel() if blocks > 1 else theta


def training_inputs(
    experiment: Experiment, samples: Samples, ids: I64, round_index: int, client: int
) -> Inputs:
    """Return ``samples`` ids (n,) in the order of a client's round, whose words follow from it."""
    streams = [
        Stream(experiment.seed, purpose, round_index, client).address[None].repeat(len(ids), 0)
        for purpose in (Purpose.ENCODING, Purpose.WINNER)
    ]
    return _inputs(experiment, samples, ids, (streams[0], streams[1]), np.arange(len(ids)))


def evaluated_inputs(experiment: Experiment, samples: Samples, ids: I64) -> Inputs:
    """Return ``samples`` ids (n,), each with words of its own."""
    streams = [
        np.array(
            [Stream(experiment.seed, purpose, one).address for one in ids.tolist()], np.uint32
        ).reshape(-1, 5)
        for purpose in (Purpose.ENCODING, Purpose.WINNER)
    ]
    starts = np.zeros(len(ids), np.int64)
    return _inputs(experiment, samples, ids, (streams[0], streams[1]), starts)


def _inputs(
    experiment: Experiment, samples: Samples, ids: I64, streams: tuple[U32, U32], starts: I64
) -> Inputs:
    if not isinstance(samples, EventSet | ImageSet):
        raise InputError(
            f'rule.kind = "stdp": data of type {type(samples).__name__}; expected an EventSet or '
            "an ImageSet (hpcfed.EventSet, hpcfed.ImageSet)"
        )
    words = math.prod(samples.shape) * experiment.data.num_bins
    if len(ids) and (int(starts.max()) + 1) * words > MOST_WORDS:
        raise InputError(
            f"{len(ids)} images of {words} pixels and bins are more than 2^34 random words a "
            "round; take fewer client.epochs or client.steps"
        )
    events = samples if isinstance(samples, EventSet) else None
    pixels = _NO_PIXELS
    if isinstance(samples, ImageSet):
        pixels = samples.pixels.reshape(len(samples.pixels), -1)
    return Inputs(
        pixels=as_given(pixels),
        chances=_chances(experiment),
        channels=as_given(_NO_CHANNELS if events is None else events.channels),
        bin_offsets=as_given(_NO_BINS if events is None else events.bin_offsets),
        sample_offsets=as_given(_NOTHING if events is None else events.sample_offsets),
        samples=side_by_side(ids),
        labels=samples.labels[ids],
        drawn=streams[0],
        winners=streams[1],
        starts=starts,
    )


def _chances(experiment: Experiment) -> NDArray[np.uint64]:
    """Return (256,) how many of the 2^32 words make a pixel spike in a bin."""
    most = settings_of(experiment).white * experiment.dt
    return np.array([threshold(most * value / 255) for value in range(256)], np.uint64)


def _neuron(config: ExcitatoryConfig | InhibitoryConfig, dt: float) -> Neuron:
    return Neuron(
        keep=np.float32(math.exp(-dt / config.tau)),
        rest=np.float32(config.rest),
        reset=np.float32(config.reset),
        threshold=np.float32(config.threshold),
        refractory=round(config.refractory / dt),
    )
