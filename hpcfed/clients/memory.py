"""What clients keep from round to round.

A client's memory is one float32 vector: what error feedback has not sent yet, (P,), if the uplink
has it, then what the rule asks to be kept (``Exchange.memory``), then its own values of the
network's parts that stay with it. Only clients that have trained have one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Memory:
    """The memories of one rank's clients; Q = ``residual`` + ``own`` + ``local``.

    Attributes:
        residual: P with error feedback, else 0.
        own: what the rule keeps.
        local: parameters that stay with the client.
        rows: client -> (Q,) float32.
    """

    residual: int = 0
    own: int = 0
    local: int = 0
    rows: dict[int, F32] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Q."""
        return self.residual + self.own + self.local

    def unsent(self, client: int) -> F32 | None:
        """Return what the client has not sent yet, (P,); None if it has sent nothing."""
        row = self.rows.get(client)
        return None if row is None or not self.residual else row[: self.residual]

    def of_rule(self, client: int) -> F32 | None:
        """Return what the client's rule has kept, (own,); None in its first round."""
        row = self.rows.get(client)
        if row is None or not self.own:
            return None
        return row[self.residual : self.residual + self.own]

    def of_parts(self, client: int) -> F32 | None:
        """Return the client's parameters that stay with it, (local,); None in its first round."""
        row = self.rows.get(client)
        return None if row is None or not self.local else row[self.residual + self.own :]

    def keep(
        self, client: int, unsent: F32 | None, own: F32 | None, local: F32 | None = None
    ) -> None:
        """Replace a client's memory. Raises InputError if the rule keeps another number."""
        empty = np.empty(0, np.float32)
        parts = [empty if part is None else part for part in (unsent, own, local)]
        if parts[1].shape != (self.own,):
            raise InputError(
                f"rule.kind: a client's memory has the shape {parts[1].shape}, and the rule's "
                f"exchange says {self.own} numbers"
            )
        if parts[2].shape != (self.local,):
            raise InputError(
                f"training gave {parts[2].size} parameters that stay with the client, and the "
                f"network's layout has {self.local}"
            )
        self.rows[client] = np.concatenate(parts, dtype=np.float32)
