"""From local updates to the root's exact sums, two ways with identical bits.

``gather`` carries each client's surviving values to the root, in waves of bounded memory: the
literal uplink. ``reduce`` adds a rank's clients first and then calls one MPI Reduce. Either way
what counts is decode(encode(M * D)), and a client whose decoded update is not finite or reaches
2**12 is left out. P parameters, s sent entries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import UplinkConfig
from hpcfed.federation.uplink import masking, top, wire
from hpcfed.federation.uplink.averaging import Averaging
from hpcfed.federation.uplink.entries import Entries, norm, on_host
from hpcfed.federation.uplink.exact import Totals, admissible
from hpcfed.federation.uplink.wire import HEADER_BYTES
from hpcfed.learning.trainer import DeviceVector

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Uplink:
    """How one experiment's updates travel; pure functions of (round, client) and the update."""

    config: UplinkConfig
    averaging: Averaging
    seed: int
    size: int

    def totals(self) -> Totals:
        """Return empty totals of the right kind."""
        return Totals.zeros(self.size, self.averaging.mode == "received")

    def message(
        self, update: F32 | DeviceVector, round_index: int, client: int
    ) -> tuple[Bytes, Entries]:
        """Return what the client sends for ``update`` (P,), and which entries that is."""
        if self.config.mask != "top-k":
            entries = self.random_entries(round_index, client)
            return wire.encode(on_host(update, entries), self.config.dtype), entries
        chosen = top.top_entries(update, masking.num_kept(self.config, self.size))
        payload = wire.encode(on_host(update, chosen), self.config.dtype)
        return np.concatenate([payload, top.pack_entries(chosen, self.size)]), chosen

    def received(self, message: Bytes, round_index: int, client: int) -> tuple[Entries, F32]:
        """Return the entries and (s,) float32 values that the root reads from a message."""
        if self.config.mask != "top-k":
            return self.random_entries(round_index, client), self.values(message)
        count = masking.num_kept(self.config, self.size)
        packed = message[self._top_k_bytes() :]
        return top.unpack_entries(packed, self.size, count), self.values(message)

    def values(self, message: Bytes) -> F32:
        """Return the (s,) float32 values of a message, decoded."""
        if self.config.mask == "top-k":
            message = message[: self._top_k_bytes()]
        return wire.decode(message, self.config.dtype)

    def accepts(self, values: F32, client: int) -> bool:
        """Say whether a decoded update counts."""
        return admissible(values, float(self.averaging.factors[client]))

    def add(self, totals: Totals, entries: Entries, values: F32, client: int) -> None:
        """Add one accepted client's decoded values to ``totals``, exactly."""
        weight = int(self.averaging.weights[client])
        factor = float(self.averaging.factors[client])
        totals.add(entries, values, self.averaging.grid.scale(weight, factor), weight)

    @property
    def sends_values_alone(self) -> bool:
        """Whether a message is nothing but the values as they are: no device has to code them."""
        config = self.config
        plain = config.dtype == "float32" and config.mask != "top-k"
        return plain and not config.error_feedback

    def rehearse(self) -> None:
        """Send an update of zeros to nobody: so compiled code is ready before the first round."""
        update = np.zeros(self.size, np.float32)
        message, entries = self.message(update, 0, 0)
        self.add(self.totals(), entries, self.values(message), 0)
        norm(update)

    def likely_message_bytes(self) -> float:
        """Return a size that messages hardly exceed: six standard deviations over the expected."""
        p = self.config.mask_probability if self.config.mask == "bernoulli" else 0.0
        deviation = np.sqrt(self.size * p * (1 - p)) * wire.ITEM_BYTES[self.config.dtype]
        return self.expected_message_bytes() + 6 * float(deviation) + HEADER_BYTES

    def expected_message_bytes(self) -> float:
        """Return the expected size of one message."""
        config = self.config
        kept: float = masking.num_kept(config, self.size)
        if config.mask == "bernoulli":
            kept = self.size * (1 - config.mask_probability)
        size = kept * wire.ITEM_BYTES[config.dtype] + wire.SCALE_BYTES[config.dtype]
        if config.mask == "top-k":
            coordinates = kept * top.COORDINATE_BYTES
            size += min(coordinates, top.bitmask_bytes(self.size))
        return size

    def _top_k_bytes(self) -> int:
        count = masking.num_kept(self.config, self.size)
        values = count * wire.ITEM_BYTES[self.config.dtype]
        return values + wire.SCALE_BYTES[self.config.dtype]

    def random_entries(self, round_index: int, client: int) -> Entries:
        """Return the entries that a client's random mask sends."""
        stream = masking.mask_stream(self.seed, round_index, client)
        return masking.random_entries(self.config, self.size, stream)
