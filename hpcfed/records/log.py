"""What grows while a run goes on: a row of numbers for each round and for each participation.

R rounds, N clients, n participants of a round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any  # Any: columns are of any scalar type

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.records.schema import PARTICIPATION_FIELDS, ROUND_FIELDS, Field

Array = NDArray[Any]
WAYS = ("seed", "bitmask", "coordinates")  # of saying which entries of an update are sent
MOST_CELLS = 10**8  # of a table by round and client
NOTHING: Array = np.zeros((0, 3), np.int64)  # of a network without spikes, and of older files
NO_GROUPS: Array = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Log:
    """What grows while a run goes on.

    Attributes:
        figures: what the run's rule measures, by name; each is a column of rounds and of
            participations.
        rounds: name -> one value a round.
        participations: name -> one array (n,) a round, whose clients are the column "client",
            ascending.
        late: one array a round: clients that were selected, and fell out.
        activity: (L, 3) a round: samples trained on, silent and saturated ones, by hidden layer.
        groups: (G,) a round: clients that sent each group, where groups are chosen from.
    """

    figures: Mapping[str, Field] = field(default_factory=dict)
    rounds: dict[str, list[Any]] = field(default_factory=dict)
    participations: dict[str, list[Array]] = field(default_factory=dict)
    late: list[Array] = field(default_factory=list)
    activity: list[Array] = field(default_factory=list)
    groups: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in (*ROUND_FIELDS, *self.figures):
            self.rounds.setdefault(name, [])
        for name in (*PARTICIPATION_FIELDS, *self.figures):
            if name != "round":
                self.participations.setdefault(name, [])

    @property
    def num_rounds(self) -> int:
        """Rounds recorded."""
        return len(self.rounds["params_digest"])

    def append(
        self,
        values: Mapping[str, Any],
        rows: Mapping[str, Array],
        late: Sequence[int] | Array = (),
        activity: Array = NOTHING,
        groups: Array = NO_GROUPS,
    ) -> None:
        """Add one round."""
        self.activity.append(activity)
        self.groups.append(groups)
        self.late.append(np.asarray(late, np.int64))
        for name, column in self.rounds.items():
            column.append(values[name])
        for name, parts in self.participations.items():
            parts.append(rows[name])

    def truncated(self, num_rounds: int) -> Log:
        """Return the first ``num_rounds`` rounds."""
        return Log(
            self.figures,
            {name: column[:num_rounds] for name, column in self.rounds.items()},
            {name: parts[:num_rounds] for name, parts in self.participations.items()},
            self.late[:num_rounds],
            self.activity[:num_rounds],
            self.groups[:num_rounds],
        )

    def rows(self) -> dict[str, Array]:
        """Return all participations, column by column, in the order of rounds and clients."""
        fields = {**PARTICIPATION_FIELDS, **self.figures}
        found = {"round": _rounds(self.participations["client"])}
        for name, parts in self.participations.items():
            found[name] = np.concatenate([np.empty(0), *parts]).astype(fields[name][0])
        return found

    def late_rows(self) -> dict[str, Array]:
        """Return round and client of all that were late."""
        clients = np.concatenate([np.empty(0, np.int64), *self.late])
        return {"round": _rounds(self.late), "client": clients}

    def participated(self, num_clients: int) -> NDArray[np.bool_]:
        """Return (R, N): whether a client trained in a round."""
        rows = self.rows()
        found = np.zeros(_shape(self.num_rounds, num_clients), np.bool_)
        found[rows["round"] - 1, rows["client"]] = True
        return found

    def table(self, name: str, num_clients: int) -> NDArray[np.float64]:
        """Return a column of participations as (R, N), NaN where a client did not train.

        Raises InputError where that would be too much.
        """
        rows = self.rows()
        found = np.full(_shape(self.num_rounds, num_clients), np.nan)
        found[rows["round"] - 1, rows["client"]] = rows[name]
        return found


def _rounds(parts: Sequence[Array]) -> Array:
    """Return the round, from 1, of each row of arrays that follow each other round by round."""
    return np.repeat(np.arange(1, len(parts) + 1), [len(part) for part in parts])


def _shape(num_rounds: int, num_clients: int) -> tuple[int, int]:
    if num_rounds * num_clients > MOST_CELLS:
        raise InputError(
            f"{num_rounds} rounds of {num_clients} clients are too many for a table by round and "
            "client; read /participations of the run file"
        )
    return num_rounds, num_clients


def uplink_bytes(rounds: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the bytes sent up in each round (R,), each in the way that takes fewest.

    ``rounds`` has the columns ``uplink_bytes_*`` of a log; a single round may be given as numbers.
    """
    ways = [np.asarray(rounds[f"uplink_bytes_{way}"], np.float64) for way in WAYS]
    return np.asarray(np.fmin.reduce(ways))
