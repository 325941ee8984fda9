"""Which entries of an update a client sends, and how the root learns which they are.

A selection acts on the head of the update that the layout lets masks thin out. It knows nothing of
how values travel (wire) nor of what is divided by (averaging): the three are chosen one by one.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import UplinkConfig
from hpcfed.federation.uplink.entries import Entries
from hpcfed.federation.uplink.groups import groups
from hpcfed.federation.uplink.masking import Bernoulli, Everything, RandomK, num_kept
from hpcfed.federation.uplink.top import TopK
from hpcfed.learning.trainer import DeviceVector
from hpcfed.networks.layout import Layout

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Bytes = NDArray[np.uint8]


class Selection(Protocol):
    """A rule that picks entries of a vector of P = ``size``; a pure function of its arguments."""

    @property
    def redrawn(self) -> bool:
        """Whether the root can draw the entries again: then no message names them."""
        ...

    @property
    def expected(self) -> float:
        """Expected number of entries sent."""
        ...

    @property
    def deviation(self) -> float:
        """Standard deviation of that number."""
        ...

    @property
    def named_bytes(self) -> int:
        """Bytes that name the entries in each message."""
        ...

    @property
    def arrival(self) -> float | None:
        """Probability that an entry is sent, or None where that depends on its value."""
        ...

    def choose(
        self,
        update: F32 | DeviceVector,
        round_index: int,
        client: int,
        importance: F64 | None = None,
    ) -> Entries:
        """Return the entries of ``update`` (P,) that ``client`` sends.

        ``importance`` (G,) is what the rule says of the layout's groups.
        """
        ...

    def name(self, entries: Entries) -> Bytes:
        """Return the bytes that say which ``entries`` a message holds."""
        ...

    def read(self, named: Bytes, round_index: int, client: int) -> Entries:
        """Return the entries of a client's message, which ``named`` names."""
        ...


def selection(uplink: UplinkConfig, layout: Layout, seed: int) -> Selection:
    """Return the selection that ``uplink.mask`` names, for what masks may thin out of ``layout``.

    Raises InputError where it asks for groups that there are not.
    """
    size = layout.num_masked
    if uplink.mask == "groups":
        return groups(layout, uplink.groups or 1, seed, uplink.mask_probability)
    if uplink.mask == "bernoulli":
        return Bernoulli(size, seed, uplink.mask_probability)
    if uplink.mask == "random-k":
        return RandomK(size, seed, num_kept(uplink.mask_probability, size))
    if uplink.mask == "top-k":
        return TopK(size, num_kept(uplink.mask_probability, size))
    return Everything(size)
