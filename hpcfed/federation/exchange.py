"""What the root makes of values that clients send in the place of the parameters.

With ``Exchange.sends = "update"`` the mean of what arrived is what the server steps along. With
"value" clients send what training arrived at; the rule turns the mean of what arrived into new
parameters, and the server steps along the difference, so that its learning rate and its momentum
work for values too. An entry that nobody sent keeps its value. Parts that are sent whole are always
updates. P parameters, h of them in the head that masks may thin out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import Experiment
from hpcfed.config.fitting import value_faults
from hpcfed.errors import InputError
from hpcfed.federation.uplink.exact import Totals
from hpcfed.learning.rule import Exchange

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def check(exchange: Exchange, experiment: Experiment) -> None:
    """Raise InputError where values have no meaning with what else the experiment says."""
    if exchange.sends == "update":
        return
    for fault in value_faults(experiment.uplink, experiment.server):
        raise InputError(fault)


@dataclass(frozen=True)
class Arrived:
    """What arrived in a round: its mean (P,) float64, from how many clients, and its totals."""

    mean: F64
    num_clients: int
    totals: Totals


def direction(exchange: Exchange, found: Arrived, params: F32, head: int) -> F64:
    """Return what the server steps along from ``params`` (P,): (P,) float64; ``head`` is h."""
    mean, arrived = found.mean, found.totals.arrived
    if exchange.sends == "update":
        return mean
    values = mean[:head]
    if exchange.value is not None:
        values = exchange.value(values, found.num_clients, params[:head])
    change = values - params[:head]
    if arrived is not None:
        change = np.where(arrived[:head] > 0, change, 0.0)
    return np.concatenate([change, mean[head:]])
