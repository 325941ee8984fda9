"""The most important groups of entries are sent, each named by a byte.

A group is one slice of axis 0 of every part that masks may thin out (``Part.groups``): of synaptic
kernels a basis (Skatchkovsky, Jang, Simeone 2020, arXiv 1910.09594). How important one is the rule
says (``LocalUpdate.importance``), else how much it has changed. A Bernoulli mask may thin out the
groups that are sent. What nobody sends stays as it is. P parameters, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.seeds import threshold
from hpcfed.errors import InputError
from hpcfed.federation.uplink.entries import Entries
from hpcfed.federation.uplink.masking import mask_stream
from hpcfed.learning.trainer import DeviceVector
from hpcfed.networks.layout import Layout

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]

_MOST = 255  # named by a byte; the last stands for none
_NONE = 255


@dataclass(frozen=True)
class Groups:
    """The ``count`` most important groups; a ``selection.Selection``.

    Attributes:
        members: (P,) int64, the group of each entry.
        probability: p, of each entry in them not to be sent.
    """

    members: I64
    count: int
    seed: int
    probability: float
    redrawn, arrival = False, None

    @property
    def expected(self) -> float:
        """Entries of so many groups, less those that the mask leaves out."""
        return self._most * (1 - self.probability)

    @property
    def deviation(self) -> float:
        """Of the binomial distribution."""
        return sqrt(self._most * self.probability * (1 - self.probability))

    @property
    def named_bytes(self) -> int:
        """A byte a group."""
        return self.count

    @property
    def _most(self) -> int:
        return self.count * (len(self.members) // self.num_groups)

    @property
    def num_groups(self) -> int:
        """G."""
        return int(self.members.max()) + 1

    def choose(
        self,
        update: F32 | DeviceVector,
        round_index: int,
        client: int,
        importance: F64 | None = None,
    ) -> Entries:
        """Return the entries of the most important groups, ties to the lower number."""
        weights = importance
        if weights is None:
            sizes = np.abs(np.asarray(update), dtype=np.float64)
            weights = np.bincount(self.members, sizes, self.num_groups).astype(np.float64)
        ranked = np.argsort(-np.nan_to_num(weights, nan=np.inf), kind="stable")
        return self._entries(np.sort(ranked[: self.count]), round_index, client)

    def name(self, entries: Entries) -> Bytes:
        """Return the numbers of the groups; one of which the mask left nothing has none."""
        found = np.unique(self.members[np.asarray(entries)]).astype(np.uint8)
        return np.concatenate([found, np.full(self.count - len(found), _NONE, np.uint8)])

    def sent(self, entries: Entries) -> I64:
        """Return (G,) 1 for each group of ``entries``, else 0."""
        found = np.zeros(self.num_groups, np.int64)
        found[self.members[np.asarray(entries)]] = 1
        return found

    def read(self, named: Bytes, round_index: int, client: int) -> Entries:
        """Return the entries of the groups that are named."""
        return self._entries(named[named != _NONE].astype(np.int64), round_index, client)

    def _entries(self, groups: I64, round_index: int, client: int) -> I64:
        chosen = np.isin(self.members, groups)
        if self.probability:
            from hpcfed.base.philox import words

            stream = mask_stream(self.seed, round_index, client)
            drawn = words(stream.address, 0, len(chosen))
            chosen &= drawn >= np.uint64(threshold(self.probability))
        return np.flatnonzero(chosen)


def groups(layout: Layout, count: int, seed: int, probability: float) -> Groups:
    """Return the selection of ``count`` groups of ``layout``. Raises InputError without groups."""
    parts = [part for part in layout.parts if part.masked]
    numbers = {part.groups for part in parts}
    if len(numbers) != 1 or numbers == {1}:
        raise InputError(
            'uplink.mask = "groups": the network has no groups, or parts have other numbers of '
            'them; it is for rule.kind = "glm" and "wta"'
        )
    num_groups = numbers.pop()
    if not count <= num_groups <= _MOST:
        raise InputError(
            f"uplink.groups = {count}: the network has {num_groups} groups, of which at most "
            f"{_MOST} can be named; send at most as many as there are"
        )
    members = [np.repeat(np.arange(num_groups), part.size // num_groups) for part in parts]
    return Groups(np.concatenate(members), count, seed, probability)
