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
from hpcfed.errors import InputError
from hpcfed.federation.uplink.exact import Totals
from hpcfed.learning.rule import Exchange

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


def check(exchange: Exchange, experiment: Experiment) -> None:
    """Raise InputError where values have no meaning with what else the experiment says."""
    if exchange.sends == "update":
        return
    uplink, average = experiment.uplink, experiment.server.average
    if average == "all":
        raise InputError(
            'server.average = "all" divides by clients that send nothing, and the rule sends '
            'values, not changes of them; set it to "participants" or "received"'
        )
    if uplink.mask != "none" and average != "received":
        raise InputError(
            f'uplink.mask = "{uplink.mask}" with server.average = "{average}" takes a value that '
            'was not sent for 0, and the rule sends values; set server.average = "received"'
        )
    if uplink.error_feedback:
        raise InputError(
            "uplink.error_feedback adds what was not sent to the next update, and the rule sends "
            "values, not updates; set it to false"
        )
    if experiment.server.rescale:
        raise InputError(
            "server.rescale divides by the probability of arrival, and the rule sends values, "
            "whose mean needs no such thing; set it to false"
        )


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
    values = (
        mean[:head] if exchange.value is None else exchange.value(mean[:head], found.num_clients)
    )
    change = values - params[:head]
    if arrived is not None:
        change = np.where(arrived[:head] > 0, change, 0.0)
    return np.concatenate([change, mean[head:]])
