"""From local updates to the root's exact sums, two ways with identical bits.

``gather`` carries each client's surviving values to the root, in waves of bounded memory: the
literal uplink. ``reduce`` adds a rank's clients first and then calls one MPI Reduce. Either way
what counts is decode(encode(M * D)), and a client whose decoded update is not finite or reaches
2**12 is left out. P parameters, s sent entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any  # Any: a buffer on a device

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import UplinkConfig
from hpcfed.federation.mpi.transport import Transport
from hpcfed.federation.uplink import masking
from hpcfed.federation.uplink.averaging import Averaging
from hpcfed.federation.uplink.entries import Entries, taken, taken_there
from hpcfed.federation.uplink.exact import Totals, admissible, within_limit
from hpcfed.learning.trainer import DeviceVector, LocalUpdate

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]

WAVE_BYTES = 16 << 20
MOST_WAVE_BYTES = 1 << 30  # half of what MPI 3.1 can count in one message
HEADER_BYTES = 8  # gather says the size of each message

STATISTICS = ("loss", "norm", "hidden_rate", "values", "rejected")


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
            return masking.encode(_on_host(update, entries), self.config.dtype), entries
        chosen = masking.top_entries(update, masking.num_kept(self.config, self.size))
        payload = masking.encode(_on_host(update, chosen), self.config.dtype)
        return np.concatenate([payload, masking.pack_entries(chosen, self.size)]), chosen

    def received(self, message: Bytes, round_index: int, client: int) -> tuple[Entries, F32]:
        """Return the entries and (s,) float32 values that the root reads from a message."""
        if self.config.mask != "top-k":
            return self.random_entries(round_index, client), self.values(message)
        count = masking.num_kept(self.config, self.size)
        packed = message[self._top_k_bytes() :]
        return masking.unpack_entries(packed, self.size, count), self.values(message)

    def values(self, message: Bytes) -> F32:
        """Return the (s,) float32 values of a message, decoded."""
        if self.config.mask == "top-k":
            message = message[: self._top_k_bytes()]
        return masking.decode(message, self.config.dtype)

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
        deviation = np.sqrt(self.size * p * (1 - p)) * masking.ITEM_BYTES[self.config.dtype]
        return self.expected_message_bytes() + 6 * float(deviation) + HEADER_BYTES

    def expected_message_bytes(self) -> float:
        """Return the expected size of one message."""
        config = self.config
        kept: float = masking.num_kept(config, self.size)
        if config.mask == "bernoulli":
            kept = self.size * (1 - config.mask_probability)
        size = kept * masking.ITEM_BYTES[config.dtype] + masking.SCALE_BYTES[config.dtype]
        if config.mask == "top-k":
            coordinates = kept * masking.COORDINATE_BYTES
            size += min(coordinates, masking.bitmask_bytes(self.size))
        return size

    def _top_k_bytes(self) -> int:
        count = masking.num_kept(self.config, self.size)
        values = count * masking.ITEM_BYTES[self.config.dtype]
        return values + masking.SCALE_BYTES[self.config.dtype]

    def random_entries(self, round_index: int, client: int) -> Entries:
        """Return the entries that a client's random mask sends."""
        stream = masking.mask_stream(self.seed, round_index, client)
        return masking.random_entries(self.config, self.size, stream)


@dataclass(frozen=True)
class Cohort:
    """The participants of one round and the rank of each, both (n,) int64 in client order."""

    round: int
    clients: I64
    ranks: I64

    def of(self, rank: int) -> I64:
        """Return the clients that ``rank`` trains, ascending."""
        return np.asarray(self.clients[self.ranks == rank])


def predicted_bytes(uplink: Uplink, cohort: Cohort, num_ranks: int) -> dict[str, float]:
    """Return the bytes each transport is expected to move through MPI this round."""
    vectors = 2 if uplink.averaging.mode == "received" else 1
    message = uplink.expected_message_bytes() + HEADER_BYTES
    return {
        "gather": int((cohort.ranks != 0).sum()) * message,
        "reduce": (num_ranks - 1) * vectors * uplink.size * 8.0,
    }


def chosen_transport(uplink: Uplink, cohort: Cohort, num_ranks: int) -> str:
    """Return ``gather`` or ``reduce``: the setting, or for ``auto`` what moves fewer bytes."""
    if uplink.config.transport != "auto":
        return uplink.config.transport
    costs = predicted_bytes(uplink, cohort, num_ranks)
    return "gather" if costs["gather"] < costs["reduce"] else "reduce"


@dataclass(frozen=True)
class Sent:
    """A client's message, the entries and the decoded values in it, and whether these count."""

    message: Bytes
    entries: Entries
    values: F32
    accepted: bool


@dataclass
class Sender:
    """One rank's side of a round: trains its clients one after the other and codes their updates.

    ``statistics`` (n, 5) float64 has a row per participant; a rank fills its own, zeros elsewhere.
    ``residuals`` maps this rank's clients to what error feedback kept, (P,) float32 each, and is
    updated in place; None without error feedback.
    """

    uplink: Uplink
    cohort: Cohort
    updates: Iterator[LocalUpdate]
    statistics: NDArray[np.float64]
    residuals: dict[int, F32] | None

    def message(self, client: int, direct: bool) -> Bytes | DeviceVector:
        """Train the next client, which is ``client``; return its message.

        With ``direct`` the message of an update on a device stays there, if it is values alone.
        """
        local = next(self.updates)
        if not direct or isinstance(local.delta, np.ndarray) or not self.uplink.sends_values_alone:
            return self._send(local, client).message
        entries = self.uplink.random_entries(self.cohort.round, client)
        values = taken_there(local.delta, entries)
        accepted = within_limit(values.reach(), float(self.uplink.averaging.factors[client]))
        self._note(local, client, values.size, accepted)
        return values

    def send(self, client: int) -> Sent:
        """Train the next client, which is ``client``, and code its update."""
        return self._send(next(self.updates), client)

    def _send(self, local: LocalUpdate, client: int) -> Sent:
        update = local.delta
        if self.residuals is not None:
            update = np.asarray(update)
            kept = self.residuals.get(client)
            update = update if kept is None else update + kept
        message, entries = self.uplink.message(update, self.cohort.round, client)
        values = self.uplink.values(message)
        accepted = self.uplink.accepts(values, client)
        if self.residuals is not None and accepted and np.isfinite(update).all():
            left = np.array(update)
            left[entries] -= values
            self.residuals[client] = left
        self._note(local, client, values.size, accepted)
        return Sent(message, entries, values, accepted)

    def _note(self, local: LocalUpdate, client: int, num_values: int, accepted: bool) -> None:
        row = int(np.searchsorted(self.cohort.clients, client))
        figures = (local.loss, norm(local.delta), local.hidden_rate, num_values, not accepted)
        self.statistics[row] = figures


def norm(update: F32 | DeviceVector) -> float:
    """Return the Euclidean norm of ``update`` (P,), added in float64 where it lies."""
    if not isinstance(update, np.ndarray):
        return update.norm()
    from hpcfed.federation.uplink import fused

    return fused.norm(update)


def aggregate(transport: Transport, sender: Sender, how: str) -> Totals:
    """Train this rank's clients and add all ranks' updates; the totals count at the root."""
    if how == "gather":
        return _gather(transport, sender)
    totals = transport.together("training", lambda: _local_totals(transport.rank, sender))
    transport.sum_at_root(totals.sums)
    if totals.arrived is not None:
        transport.sum_at_root(totals.arrived)
    return totals


def _local_totals(rank: int, sender: Sender) -> Totals:
    totals = sender.uplink.totals()
    for client in sender.cohort.of(rank).tolist():
        sent = sender.send(client)
        if sent.accepted:
            sender.uplink.add(totals, sent.entries, sent.values, client)
    return totals


def _gather(transport: Transport, sender: Sender) -> Totals:
    uplink, totals = sender.uplink, sender.uplink.totals()
    direct = transport.rank != 0 and transport.takes_gpu_memory
    for wave in waves(sender.cohort, transport.size, uplink.likely_message_bytes()):
        mine = [client for client, rank in wave if rank == transport.rank]
        messages = transport.together("training", partial(_messages, sender, mine, direct))
        sizes = np.array([_size_bytes(message) for message in messages], np.int64)
        arrived = transport.gather(_payload(sizes.view(np.uint8), messages))
        for rank, buffer in enumerate(arrived):
            clients = [client for client, owner in wave if owner == rank]
            _add_messages(sender, totals, clients, buffer)
    return totals


def _messages(sender: Sender, clients: Sequence[int], direct: bool) -> list[Bytes | DeviceVector]:
    return [sender.message(client, direct) for client in clients]


def _size_bytes(message: Bytes | DeviceVector) -> int:
    return message.size * (1 if isinstance(message, np.ndarray) else masking.ITEM_BYTES["float32"])


def _payload(head: Bytes, messages: Sequence[Bytes | DeviceVector]) -> Any:
    """Return all bytes a rank sends: an array, or a buffer on the device where messages lie."""
    there = [message for message in messages if not isinstance(message, np.ndarray)]
    if there:  # then all of them do
        return there[0].joined(head, there[1:])
    return np.concatenate([head, *(np.asarray(message) for message in messages)])


def _on_host(update: F32 | DeviceVector, entries: Entries) -> F32:
    """Return the ``entries`` of ``update`` (P,): (s,) float32, taken where it lies."""
    if isinstance(update, np.ndarray):
        return taken(update, entries)
    return np.asarray(taken_there(update, entries))


def _add_messages(sender: Sender, totals: Totals, clients: Sequence[int], buffer: Bytes) -> None:
    header = HEADER_BYTES * len(clients)
    sizes = buffer[:header].copy().view(np.int64)
    bounds = np.cumsum(sizes)[:-1] + header
    for client, message in zip(clients, np.split(buffer, [header, *bounds])[1:], strict=False):
        entries, values = sender.uplink.received(message, sender.cohort.round, client)
        if sender.uplink.accepts(values, client):
            sender.uplink.add(totals, entries, values, client)


def waves(cohort: Cohort, num_ranks: int, message_bytes: float) -> list[list[tuple[int, int]]]:
    """Cut the round's messages into waves of bounded memory: lists of (client, rank).

    Ranks take turns, so that all train at once; within a rank clients stay in ascending order. A
    wave holds a message of each rank even where that takes more memory than WAVE_BYTES, up to
    MOST_WAVE_BYTES: else ranks would wait for each other.
    """
    turns = np.zeros(len(cohort.clients), np.int64)
    for rank in np.unique(cohort.ranks):
        mine = cohort.ranks == rank
        turns[mine] = np.arange(mine.sum())
    order = np.lexsort((cohort.ranks, turns))
    pairs = [(int(cohort.clients[i]), int(cohort.ranks[i])) for i in order]
    fair = min(num_ranks, int(MOST_WAVE_BYTES / message_bytes))
    length = max(1, fair, int(WAVE_BYTES / message_bytes))
    return [pairs[start : start + length] for start in range(0, len(pairs), length)]
