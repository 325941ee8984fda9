"""What the kernels of local learning are told: the network's constants, and the samples.

C channels, K classes, L layers, P parameters, n samples of a call.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.learning.constants import Reals, RealType
from hpcfed.learning.latents import REAL, Binary
from hpcfed.learning.local.tables import Constants, Inputs
from hpcfed.learning.silence import limits
from hpcfed.networks.contract import Layer
from hpcfed.networks.layout import Layout
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import Shape, as_given, side_by_side

I64 = NDArray[np.int64]


def real_weights(layout: Layout) -> Binary:
    """Return what says that all weights are real."""
    return Binary(REAL, 1.0, 0.0, 0.0, 0.0, np.array([0, layout.size]), np.zeros(1))


def constants(
    experiment: Experiment, shape: Shape, layers: Sequence[Layer], dtype: RealType
) -> Constants:
    """Return the constants of the experiment's network between C channels and K classes.

    Raises InputError if no bin is left to learn in.
    """
    model, bins = experiment.model, experiment.data.num_bins
    local = experiment.learning_rule.local_settings
    if local.burn_in >= bins:
        raise InputError(
            f"rule.local.burn_in = {local.burn_in} leaves none of data.num_bins = {bins} to learn "
            "in; lower it"
        )
    widths, fan_in = np.array(model.widths), np.array([shape.num_inputs, *model.widths[:-1]])
    membrane, synapse, refractory = (
        dtype(np.exp(-experiment.dt / tau)) for tau in (model.tau_mem, model.tau_syn, local.tau_ref)
    )
    return Constants(
        num_bins=bins,
        burn_in=local.burn_in,
        inputs=_places(fan_in),
        outputs=_places(widths),
        weights=_places(widths * fan_in),
        keep_membrane=membrane,
        keep_synapse=synapse,
        keep_refractory=refractory,
        readouts=_readouts(experiment.seed, widths, shape.classes).astype(dtype),
        limits=limits(experiment, layers),
    )


def inputs_of(events: EventSet, samples: I64) -> Inputs:
    """Return ``samples`` (n,) for a kernel."""
    labels = events.labels[samples]
    targets = labels if events.targets is None else events.targets[samples]
    return Inputs(
        channels=as_given(events.channels),
        counts=as_given(np.empty(0, np.uint16) if events.counts is None else events.counts),
        bin_offsets=as_given(events.bin_offsets),
        sample_offsets=as_given(events.sample_offsets),
        samples=side_by_side(samples),
        labels=labels,
        targets=targets.astype(np.float64),
    )


def _readouts(seed: int, widths: I64, classes: int) -> Reals:
    """Return M of all layers side by side; a word each, layer by layer, row-major."""
    outputs = 1 if classes == 2 else classes
    words = Stream(seed, Purpose.NETWORK).words(outputs * int(widths.sum()))
    signs = np.where(words < 1 << 31, 1.0, -1.0)
    parts = np.split(signs, outputs * np.cumsum(widths)[:-1])
    return np.concatenate([part.reshape(outputs, -1) for part in parts], axis=1)


def _places(lengths: I64) -> I64:
    return np.concatenate([[0], np.cumsum(lengths)])
