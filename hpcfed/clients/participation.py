"""Who takes part in a round, and which rank trains whom.

Every rank computes the same answers from (seed, round): nothing has to be sent. Participation is
Bernoulli: client k is dropped with probability q_k, decided by one raw word.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.errors import InputError

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]


def drop_probabilities(value: float | Sequence[float], num_clients: int) -> F64:
    """Return q of each client, (N,) float64, from one value or one per client.

    Raises InputError for another number of values.
    """
    if isinstance(value, Sequence) and len(value) != num_clients:
        raise InputError(
            f"participation.drop_probability has {len(value)} values, but there are {num_clients} "
            "clients; give one value, or one per client"
        )
    return np.broadcast_to(np.asarray(value, np.float64), (num_clients,))


def participants(drop_probability: F64, seed: int, round_index: int) -> I64:
    """Return the clients that take part, in ascending order, from q (N,) of each client."""
    words = Stream(seed, Purpose.PARTICIPATION, round_index).words(len(drop_probability))
    limits = np.rint(drop_probability * 2.0**32).astype(np.uint64)  # seeds.threshold of each
    return np.flatnonzero(words >= limits)
