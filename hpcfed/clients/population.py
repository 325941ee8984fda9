"""The clients of a run: who they are, which samples each owns, and what each brings to a round.

N clients, n samples of all. A population is asked for one client at a time, so that a million of
them need no million objects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpcfed.samples.samples import Samples

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Client:
    """A client as a trainer sees it in a round.

    Attributes:
        index: its number among all N.
        samples: (n,) int64 ids of its training samples.
        depth: iterations of a network's repeated block; 0: as the network has them.
        memory: (Q,) float32 that the client's rule kept from its last round; None without.
        local: its own values of the parameters that stay with it; None without.
    """

    index: int
    samples: I64
    depth: int = 0
    memory: F32 | None = None
    local: F32 | None = None


class Population(Protocol):
    """All N clients."""

    @property
    def num_clients(self) -> int:
        """N."""
        ...

    @property
    def num_samples(self) -> I64:
        """(N,) int64 training samples of each client."""
        ...

    def client(self, index: int) -> Client:
        """Return client number ``index``."""
        ...

    def all_samples(self) -> Iterator[I64]:
        """Yield the samples' ids of all clients, in some fixed order of arrays."""
        ...

    def group_names(self, samples: Samples) -> list[str]:
        """Return the largest group among each client's samples."""
        ...


@dataclass(frozen=True)
class Listed:
    """A population whose samples are listed: client k owns ``ids[offsets[k] : offsets[k + 1]]``.

    Attributes:
        ids: (n,) int64 sample ids, ascending within each client.
        offsets: (N+1,) int64.
    """

    ids: I64
    offsets: I64

    @classmethod
    def of(cls, parts: Sequence[I64]) -> Listed:
        """Return the population of clients that own ``parts``, N arrays of sample ids."""
        lengths = [len(part) for part in parts]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(np.concatenate([np.empty(0, np.int64), *parts]), offsets)

    @property
    def num_clients(self) -> int:
        """N."""
        return len(self.offsets) - 1

    @property
    def num_samples(self) -> I64:
        """(N,) int64."""
        return np.diff(self.offsets)

    def client(self, index: int) -> Client:
        """Return client number ``index``; its samples are a view."""
        return Client(index, self.ids[self.offsets[index] : self.offsets[index + 1]])

    def all_samples(self) -> Iterator[I64]:
        """Yield all ids, client by client."""
        yield self.ids

    def group_names(self, samples: Samples) -> list[str]:
        """Return the largest group among each client's samples, of equals the first."""
        num_groups = len(samples.group_names)
        owners = np.repeat(np.arange(self.num_clients), self.num_samples)
        pairs, counts = np.unique(
            owners * num_groups + samples.groups[self.ids], return_counts=True
        )
        order = np.lexsort((pairs % num_groups, -counts, pairs // num_groups))
        _, first = np.unique(pairs[order] // num_groups, return_index=True)
        return [samples.group_names[group] for group in (pairs[order] % num_groups)[first]]
