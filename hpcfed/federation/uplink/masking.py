"""Random masks: which entries of an update are sent follows from words, so no index travels.

p is the probability (for random-k the fraction) of entries NOT sent. A mask follows from (seed,
round, client) alone, and the root draws it again. P parameters, s sent entries. All classes
implement ``selection.Selection``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream, threshold
from hpcfed.federation.uplink.entries import Drawn, Entries
from hpcfed.federation.uplink.top import smallest

Bytes = NDArray[np.uint8]


def num_kept(probability: float, size: int) -> int:
    """Return how many of P entries random-k and top-k send."""
    return size - round(probability * size)


def mask_stream(seed: int, round_index: int, client: int) -> Stream:
    """Return the words that decide the mask of one client in one round."""
    return Stream(seed, Purpose.MASK, round_index, client)


class _Redrawn:
    """A selection that follows from words alone: nothing names its entries."""

    redrawn, named_bytes = True, 0

    def _entries(self, round_index: int, client: int) -> Entries:
        raise NotImplementedError

    def choose(
        self, update: object, round_index: int, client: int, importance: object = None
    ) -> Entries:
        """Return the entries, whatever the update."""
        return self._entries(round_index, client)

    def name(self, entries: Entries) -> Bytes:
        """Return no bytes."""
        return np.empty(0, np.uint8)

    def read(self, named: Bytes, round_index: int, client: int) -> Entries:
        """Return the entries, drawn again."""
        return self._entries(round_index, client)


@dataclass(frozen=True)
class Everything(_Redrawn):
    """No mask: all P = ``size`` entries are sent."""

    size: int
    deviation, arrival = 0.0, 1.0

    @property
    def expected(self) -> float:
        """P."""
        return self.size

    def _entries(self, round_index: int, client: int) -> Entries:
        return slice(None)


@dataclass(frozen=True)
class Bernoulli(_Redrawn):
    """Each of P = ``size`` entries is sent with probability 1 - p, by one word of its own."""

    size: int
    seed: int
    probability: float

    @property
    def expected(self) -> float:
        """P (1 - p)."""
        return self.size * (1 - self.probability)

    @property
    def deviation(self) -> float:
        """Of the binomial distribution."""
        return sqrt(self.size * self.probability * (1 - self.probability))

    @property
    def arrival(self) -> float:
        """1 - p."""
        return 1 - self.probability

    def _entries(self, round_index: int, client: int) -> Entries:
        stream = mask_stream(self.seed, round_index, client)
        return Drawn(stream, threshold(self.probability), self.size)


@dataclass(frozen=True)
class RandomK(_Redrawn):
    """The ``count`` of P = ``size`` entries with the smallest words are sent."""

    size: int
    seed: int
    count: int
    deviation = 0.0

    @property
    def expected(self) -> float:
        """The count."""
        return self.count

    @property
    def arrival(self) -> float:
        """The fraction sent."""
        return self.count / self.size

    def _entries(self, round_index: int, client: int) -> Entries:
        from hpcfed.base.philox import words

        stream = mask_stream(self.seed, round_index, client)
        return smallest(words(stream.address, 0, self.size), self.count)
