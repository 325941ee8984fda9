"""Where a round's seconds and bytes go, measured on each rank and added at the root."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.federation.mpi.transport import Transport

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Spent:
    """Means over ranks in seconds, and all ranks' payload in bytes."""

    train: float
    communicate: float
    wait: float
    evaluate: float
    mpi_bytes: float


class Meter:
    """Laps of one round; everything between two calls of ``lap`` belongs to the second's name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._laps: dict[str, F64] = {}
        self._last = self._now()

    def lap(self, name: str) -> None:
        """End the lap ``name``."""
        now = self._now()
        self._laps[name] = now - self._last
        self._last = now

    def collect(self) -> Spent:
        """Add all ranks' laps; the result counts at the root. Every rank calls this."""
        update, model = self._laps["update"], self._laps["model"]
        evaluation = self._laps["evaluation"]
        mine = np.array(
            [
                update[0] - update[1] - update[2],
                update[2] + model[2],
                update[1] + model[1] + evaluation[1],
                evaluation[0] - evaluation[1],
                update[3] + model[3],
            ]
        )
        total = self._transport.sum_at_root(mine)
        train, communicate, wait, evaluate = (total[:4] / self._transport.size).tolist()
        return Spent(train, communicate, wait, evaluate, mpi_bytes=float(total[4]))

    def _now(self) -> F64:
        t = self._transport
        return np.array(
            [time.perf_counter(), t.seconds_wait, t.seconds_communicate, t.bytes_sent], np.float64
        )
