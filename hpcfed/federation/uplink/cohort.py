"""Who sends in a round, and from which rank."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Cohort:
    """The participants of one round and the rank of each, both (n,) int64 in client order.

    The ``late`` clients, int64, were selected as well, and fell out.
    """

    round: int
    clients: I64
    ranks: I64
    late: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    def of(self, rank: int) -> I64:
        """Return the clients that ``rank`` trains, ascending."""
        return np.asarray(self.clients[self.ranks == rank])


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
