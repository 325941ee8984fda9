"""What clients keep from round to round.

A client's memory is one float32 vector: what error feedback has not sent yet, (P,), if the uplink
has it, and then what the rule asks to be kept (``Exchange.memory``). Only clients that have trained
have one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Memory:
    """The memories of one rank's clients; Q = ``residual`` + ``own``.

    Attributes:
        residual: P with error feedback, else 0.
        own: what the rule keeps.
        rows: client -> (Q,) float32.
    """

    residual: int = 0
    own: int = 0
    rows: dict[int, F32] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Q."""
        return self.residual + self.own

    def unsent(self, client: int) -> F32 | None:
        """Return what the client has not sent yet, (P,); None if it has sent nothing."""
        row = self.rows.get(client)
        return None if row is None or not self.residual else row[: self.residual]

    def of_rule(self, client: int) -> F32 | None:
        """Return what the client's rule has kept, (own,); None in its first round."""
        row = self.rows.get(client)
        return None if row is None or not self.own else row[self.residual :]

    def keep(self, client: int, unsent: F32 | None, own: F32 | None) -> None:
        """Replace a client's memory. Raises InputError if the rule keeps another number."""
        parts = [np.empty(0, np.float32) if part is None else part for part in (unsent, own)]
        if parts[1].shape != (self.own,):
            raise InputError(
                f"rule.kind: a client's memory has the shape {parts[1].shape}, and the rule's "
                f"exchange says {self.own} numbers"
            )
        self.rows[client] = np.concatenate(parts, dtype=np.float32)
