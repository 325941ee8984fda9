"""Small federations in one process: uplinks without data, and transports of a single rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpcfed.clients.participation import drop_probabilities
from hpcfed.config.file import parse_experiment
from hpcfed.federation.uplink.averaging import averaging
from hpcfed.federation.uplink.messages import Uplink
from hpcfed.networks.layout import Layout

Result = TypeVar("Result")


def uplink(
    size: int,
    num_samples: Sequence[int],
    *overrides: str,
    drop: float | Sequence[float] = 0.0,
    layout: Layout | None = None,
) -> Uplink:
    """Return the uplink of P = ``size`` parameters and clients with so many samples."""
    experiment = parse_experiment("", overrides)
    samples = np.array(num_samples, np.int64)
    q = drop_probabilities(drop, len(samples))
    parts = Layout.of({"all": (size,)}) if layout is None else layout
    weighting = averaging(experiment, samples, q, parts)
    return Uplink(experiment.uplink, weighting, experiment.seed, parts)


class LoneTransport:
    """What Transport offers, as rank ``rank`` of ``size`` that nobody answers.

    ``sums`` keeps what the rank gave to a reduction, so that a test can add ranks by hand.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.sums: list[NDArray[Any]] = []

    def together(self, phase: str, action: Callable[[], Result]) -> Result:
        """Run the action."""
        return action()

    def sum_at_root(self, array: NDArray[Any]) -> NDArray[Any]:
        """Keep a copy of what would be added."""
        self.sums.append(array.copy())
        return array

    def broadcast(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array."""
        return array

    def gather(self, payload: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """Return the only payload."""
        return [payload.copy()]
