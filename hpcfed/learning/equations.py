"""From an experiment to the constants of its equations.

Apart from the constants themselves: what kernels import must not change with every key.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from hpcfed.config import Experiment
from hpcfed.config.model import LEAK
from hpcfed.learning.constants import SURROGATES, Neuron, Optimiser, Penalty, Readout, RealType


def neuron(experiment: Experiment, dtype: RealType) -> Neuron:
    """Return the constants of the experiment's hidden neurons."""
    model, real = experiment.model, dtype
    with_current = model.neuron in ("lif", "alif")
    drive = experiment.dt / model.tau_mem if with_current else 1.0
    keep = 1.0 - drive if with_current else 1.0
    if model.neuron == "leaky":
        keep = LEAK if model.leak is None else model.leak
    height = 1.0 if model.surrogate_scale is None else model.surrogate_scale
    peak = height**-0.5 if model.surrogate == "superspike" else height
    reset = (model.reset or "subtract") if model.neuron == "leaky" else "zero"
    return Neuron(
        keep=real(keep),
        drive=real(drive),
        decay=real(1.0 - experiment.dt / model.tau_syn if with_current else 0.0),
        threshold=real(model.threshold),
        relax=real(experiment.dt / model.tau_adapt),
        beta=real(model.beta if model.neuron == "alif" else 0.0),
        slope=real(model.surrogate_slope * (1.0 if model.surrogate == "tanh" else peak)),
        peak=real(peak),
        kept=real(reset != "zero"),
        taken=real(model.threshold if reset != "none" else 0.0),
        full=real(1.0 if model.reset_gradient == "full" else 0.0),
        adaptive=model.neuron == "alif",
        surrogate=SURROGATES.index(model.surrogate),
    )


def readout(experiment: Experiment, dtype: RealType) -> Readout:
    """Return the constants of the experiment's readout."""
    model, num_bins, real = experiment.model, experiment.data.num_bins, dtype
    if model.readout == "current":
        factors = np.full(num_bins, 1 / num_bins, dtype)
        return Readout(real(0.0), real(1.0), real(0.0), factors, np.ones(num_bins, dtype))
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
