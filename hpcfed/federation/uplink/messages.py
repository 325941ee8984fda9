"""What a client sends for its update, and what the root reads from it.

A message holds the values of the entries that the selection chose from the head that masks may thin
out, coded; then what names these entries; then the parts that are sent whole, as float32. What
counts is what can be read from it, and a client whose decoded update is not finite or reaches 2**12
is left out. P parameters, h of them in the head, s sent entries of these.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import UplinkConfig
from hpcfed.federation.uplink import selection
from hpcfed.federation.uplink.averaging import Averaging
from hpcfed.federation.uplink.entries import Entries, norm, on_host
from hpcfed.federation.uplink.exact import Totals, admissible
from hpcfed.federation.uplink.groups import Groups
from hpcfed.federation.uplink.reception import disturbed
from hpcfed.federation.uplink.rows import add_by_rows
from hpcfed.federation.uplink.wire import CODES, HEADER_BYTES, WHOLE, WHOLE_ITEM_BYTES, Code
from hpcfed.learning.trainer import DeviceVector
from hpcfed.networks.layout import MOST_COUNT, Layout

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Uplink:
    """How one experiment's updates travel; pure functions of (round, client) and the update."""

    config: UplinkConfig
    averaging: Averaging
    seed: int
    layout: Layout

    @property
    def size(self) -> int:
        """P, all that is sent."""
        return self.layout.num_shared

    @property
    def num_masked(self) -> int:
        """Length h of the head that the selection acts on."""
        return self.layout.num_masked

    @property
    def num_whole(self) -> int:
        """Number of parameters that are always sent."""
        return self.size - self.num_masked

    @cached_property
    def selection(self) -> selection.Selection:
        """Which entries of the head are sent."""
        return selection.selection(self.config, self.layout, self.seed)

    @property
    def num_groups(self) -> int:
        """Number G of groups that are chosen from; 0 where no groups are."""
        return self.selection.num_groups if isinstance(self.selection, Groups) else 0

    def sent_groups(self, entries: Entries) -> I64:
        """Return (G,) 1 for each group of which a client sends ``entries``, else 0."""
        chosen = self.selection
        return chosen.sent(entries) if isinstance(chosen, Groups) else np.empty(0, np.int64)

    @property
    def code(self) -> Code:
        """How values of the head travel."""
        return CODES[self.config.dtype]

    def totals(self) -> Totals:
        """Return empty totals of the right kind."""
        return Totals.zeros(self.size, self.averaging.mode == "received")

    def message(
        self,
        update: F32 | DeviceVector,
        round_index: int,
        client: int,
        importance: F64 | None = None,
    ) -> tuple[Bytes, Entries]:
        """Return what the client sends for ``update`` (P,), and which entries of the head.

        ``importance`` (G,) is what the rule says of the layout's groups.
        """
        head, whole = update, np.empty(0, np.float32)
        if self.num_whole:
            update = np.asarray(update)
            head, whole = update[: self.num_masked], update[self.num_masked :]
        entries = self.selection.choose(head, round_index, client, importance)
        values = self.code.encode(on_host(head, entries))
        parts = [values, self.selection.name(entries), WHOLE.encode(whole)]
        filled = [part for part in parts if part.size]
        return filled[0] if len(filled) == 1 else np.concatenate(parts), entries

    def received(self, message: Bytes, round_index: int, client: int) -> tuple[Entries, F32]:
        """Return the entries of the head and the values that the root reads from a message."""
        end = len(message) - self.whole_bytes(1)
        named = message[end - self.selection.named_bytes : end]
        return self.selection.read(named, round_index, client), self.values(message)

    def values(self, message: Bytes) -> F32:
        """Return the float32 values of a message, decoded: (s,), and those sent whole."""
        end = len(message) - self.whole_bytes(1)
        values = self.code.decode(message[: end - self.selection.named_bytes])
        return np.concatenate([values, WHOLE.decode(message[end:])]) if self.num_whole else values

    def heard(self, values: F32, entries: Entries, round_index: int, client: int) -> F32:
        """Return the values (s,) of a message as the root receives them: with noise, if any."""
        if not self.config.noise:
            return values
        address = (self.seed, round_index, client)
        return disturbed(values, entries, self.layout, self.config.noise, address)

    def accepts(self, values: F32, client: int) -> bool:
        """Say whether a decoded update counts."""
        values, counts = self._counts_apart(values)
        if counts.size and not (counts.min() >= 0 and counts.max() < MOST_COUNT):
            return False
        return admissible(values, float(self.averaging.factors[client]))

    def add(self, totals: Totals, entries: Entries, values: F32, client: int) -> None:
        """Add one accepted client's decoded values to ``totals``, exactly."""
        values, counts = self._counts_apart(values)
        if counts.size:
            totals.sums[self.layout.num_averaged :] += counts.astype(np.int64)
        if self.averaging.by_spikes:
            sent = entries, values, counts
            add_by_rows(totals, self.layout, self.averaging.grid, sent)
            return
        weight = int(self.averaging.weights[client])
        scale = self.averaging.grid.scale(weight, float(self.averaging.factors[client]))
        if not self.num_whole:
            totals.add(entries, values, scale, weight)
            return
        cut = len(values) - (self.layout.num_averaged - self.num_masked)
        totals.part(slice(self.num_masked)).add(entries, values[:cut], scale, weight)
        whole = totals.part(slice(self.num_masked, self.layout.num_averaged))
        whole.add(slice(None), values[cut:], scale, weight)

    def _counts_apart(self, values: F32) -> tuple[F32, F32]:
        """Return the values of a message that are averaged, and the counts (q,) behind them."""
        end = len(values) - (self.size - self.layout.num_averaged)
        return values[:end], values[end:]

    def left(self, update: F32 | DeviceVector, entries: Entries, values: F32) -> F32:
        """Return what a message does not say of ``update`` (P,): itself minus what was decoded."""
        left = np.array(update)
        cut = len(values) - self.num_whole
        left[: self.num_masked][entries] -= values[:cut]
        left[self.num_masked :] -= values[cut:]
        return left

    @property
    def sends_values_alone(self) -> bool:
        """Whether a message is nothing but the values as they are: no device has to code them."""
        plain = self.code is WHOLE and self.selection.redrawn and not self.num_whole
        return plain and not self.config.error_feedback and not self.config.noise

    def rehearse(self) -> None:
        """Send an update of zeros to nobody: so compiled code is ready before the first round."""
        update = np.zeros(self.size, np.float32)
        message, entries = self.message(update, 0, 0)
        self.add(self.totals(), entries, self.values(message), 0)
        norm(update)

    def likely_message_bytes(self) -> float:
        """Return a size that messages hardly exceed: six standard deviations over the expected."""
        deviation = self.selection.deviation * self.code.item_bytes
        return self.expected_message_bytes() + 6 * deviation + HEADER_BYTES

    def expected_message_bytes(self) -> float:
        """Return the expected size of one message."""
        values = self.code.size_bytes(self.selection.expected)
        return values + self.selection.named_bytes + self.whole_bytes(1)

    def whole_bytes(self, num_messages: int) -> int:
        """Return the bytes of all that ``num_messages`` send whole."""
        return num_messages * self.num_whole * WHOLE_ITEM_BYTES
