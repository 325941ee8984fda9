"""What grows while a run goes on: a row of numbers for each round and client, and what they sum to.

R rounds, N clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any  # Any: columns are of any scalar type

import numpy as np
from numpy.typing import NDArray

from hpcfed.records.schema import CLIENT_FIELDS, ROUND_FIELDS

Array = NDArray[Any]
WAYS = ("seed", "bitmask", "coordinates")  # of saying which entries of an update are sent


@dataclass
class Log:
    """What grows while a run goes on: one value, or one (N,) row, per round."""

    rounds: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in ROUND_FIELDS}
    )
    clients: dict[str, list[Array]] = field(
        default_factory=lambda: {name: [] for name in CLIENT_FIELDS}
    )

    @property
    def num_rounds(self) -> int:
        """Rounds recorded."""
        return len(self.rounds["params_digest"])

    def append(self, values: Mapping[str, Any], per_client: Mapping[str, Array]) -> None:
        """Add one round."""
        for name, column in self.rounds.items():
            column.append(values[name])
        for name, rows in self.clients.items():
            rows.append(per_client[name])

    def truncated(self, num_rounds: int) -> Log:
        """Return the first ``num_rounds`` rounds."""
        return Log(
            {name: column[:num_rounds] for name, column in self.rounds.items()},
            {name: rows[:num_rounds] for name, rows in self.clients.items()},
        )


def uplink_bytes(rounds: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the bytes sent up in each round (R,), each in the way that takes fewest.

    ``rounds`` has the columns ``uplink_bytes_*`` of a log; a single round may be given as numbers.
    """
    ways = [np.asarray(rounds[f"uplink_bytes_{way}"], np.float64) for way in WAYS]
    return np.asarray(np.fmin.reduce(ways))
