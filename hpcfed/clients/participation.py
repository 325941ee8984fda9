"""Who takes part in a round, and which rank trains whom.

Every rank computes the same answers from (seed, round): nothing has to be sent. Participation is
Bernoulli: client k is dropped with probability q_k, decided by one raw word.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.seeds import Purpose, Stream, threshold
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
    limits = np.array([threshold(q) for q in drop_probability], np.uint64)
    return np.flatnonzero(words >= limits)


def assign(work: I64, num_ranks: int) -> I64:
    """Return the rank of each of n items, (n,) int64, balanced by ``work`` (n,).

    Longest processing time first (Graham 1969): the largest item goes to the least loaded rank;
    ties go to the lower item and the lower rank.
    """
    ranks = np.empty(len(work), np.int64)
    loads = [(0, rank) for rank in range(num_ranks)]
    for item in np.argsort(-work, kind="stable"):
        load, rank = heapq.heappop(loads)
        ranks[item] = rank
        heapq.heappush(loads, (load + int(work[item]), rank))
    return ranks
