"""The constants of the equations, for every engine; it knows no configuration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Real = np.floating
Reals = NDArray[np.floating]
RealType = type[np.float32] | type[np.float64]
SURROGATES = ("superspike", "triangle", "tanh")
READOUTS = ("mean", "last", "max", "current")
MAXIMUM = READOUTS.index("max")


class Neuron(NamedTuple):
    """Constants of the hidden layers in the dtype of the weights, and three switches.

    Attributes:
        keep, drive, decay: u = keep v + drive i, d = decay i.
        threshold, relax, beta: ALIF's b = b + relax (threshold - b), then + beta at a spike.
        slope, peak: of the surrogate; both are scaled so that its height is peak for a triangle and
            a tanh, 1 / peak^2 for a superspike.
        kept, taken: after a spike v = kept u - taken, both measured from the threshold at rest.
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
    peak: Real
    kept: Real
    taken: Real
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


class Teaching(NamedTuple):
    """How much of the loss is a teacher's, a, and the temperature tau of both networks' logits."""

    weight: float
    temperature: float


class Optimiser(NamedTuple):
    """The client's settings in the dtype of the weights, with the round's learning rate."""

    adam: bool
    rate: Real
    momentum: Real
    weight_decay: Real
    proximal: Real
    clip_norm: Real
