"""Who takes part in a round, and who of them is late.

Every rank computes the same answers from (seed, round): nothing has to be sent. Participation is
Bernoulli: client k is dropped with probability q_k, decided by one raw word; or so many clients are
drawn. Of those that take part each may be late, by a word of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream, threshold
from hpcfed.config import ParticipationConfig
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


def sampled(count: int, num_clients: int, seed: int, round_index: int) -> I64:
    """Return ``count`` of N clients, drawn uniformly without replacement, in ascending order."""
    words = Stream(seed, Purpose.PARTICIPATION, round_index)
    return np.sort(words.permutation(num_clients)[:count])


def on_time(
    chosen: I64, config: ParticipationConfig, num_clients: int, seed: int, round_index: int
) -> I64:
    """Return those of ``chosen`` (n,) that are no stragglers, in ascending order."""
    chance = config.straggler_probability or 0.0
    if not chance or not len(chosen):
        return chosen
    words = Stream(seed, Purpose.STRAGGLERS, round_index).words(num_clients)[chosen]
    kept = words >= threshold(chance)
    kept[0] |= bool(config.first_is_on_time)
    return chosen[kept]


def arrival_losses(config: ParticipationConfig, drop: F64) -> F64:
    """Return the probability (N,) that a client sends nothing in a round, all reasons together."""
    if config.clients_per_round is not None:
        drop = np.full(len(drop), 1 - config.clients_per_round / len(drop))
    if not config.straggler_probability:
        return drop
    return 1 - (1 - drop) * (1 - config.straggler_probability)
