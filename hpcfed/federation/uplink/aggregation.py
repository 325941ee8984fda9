"""How the updates of a round reach the root: gathered one by one, or added on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any  # Any: a buffer on a device

import numpy as np
from numpy.typing import NDArray

from hpcfed.clients.memory import Memory
from hpcfed.errors import InputError
from hpcfed.federation.mpi.transport import Transport
from hpcfed.federation.uplink.cohort import Cohort
from hpcfed.federation.uplink.entries import Entries, norm, taken_there
from hpcfed.federation.uplink.exact import Totals, within_limit
from hpcfed.federation.uplink.messages import Uplink
from hpcfed.federation.uplink.wire import HEADER_BYTES, WHOLE_ITEM_BYTES
from hpcfed.learning.trainer import DeviceVector, LocalUpdate

F32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]

WAVE_BYTES = 16 << 20


MOST_WAVE_BYTES = 1 << 30  # half of what MPI 3.1 can count in one message


STATISTICS = ("loss", "norm", "hidden_rate", "values", "rejected")


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
    """A client's message, its entries and values as the root hears them, and whether they count."""

    message: Bytes
    entries: Entries
    values: F32
    accepted: bool


@dataclass
class Sender:
    """One rank's side of a round: trains its clients one after the other and codes their updates.

    ``statistics`` (n, 5 + F + 3 L + G) float64 has a row per participant; a rank fills its own,
    zeros elsewhere. ``memory`` is that of this rank's clients, updated in place. ``figures`` are
    the F names of what the rule measures; what follows are counts of silence by hidden layer, and
    which of G groups a client has sent.
    """

    uplink: Uplink
    cohort: Cohort
    updates: Iterator[LocalUpdate]
    statistics: NDArray[np.float64]
    memory: Memory
    figures: tuple[str, ...]

    def message(self, client: int, direct: bool) -> Bytes | DeviceVector:
        """Train the next client, which is ``client``; return its message.

        With ``direct`` the message of an update on a device stays there, if it is values alone.
        """
        local = next(self.updates)
        if not direct or isinstance(local.delta, np.ndarray) or not self.uplink.sends_values_alone:
            return self._send(local, client).message
        entries = self.uplink.selection.choose(local.delta, self.cohort.round, client)
        values = taken_there(local.delta, entries)
        accepted = within_limit(values.reach(), float(self.uplink.averaging.factors[client]))
        if accepted and self.memory.size:
            self.memory.keep(client, None, local.memory, local.local)
        self._note(local, client, values.size, accepted)
        return values

    def send(self, client: int) -> Sent:
        """Train the next client, which is ``client``, and code its update."""
        return self._send(next(self.updates), client)

    def _send(self, local: LocalUpdate, client: int) -> Sent:
        update = local.delta
        if self.memory.residual:
            update = np.asarray(update)
            kept = self.memory.unsent(client)
            update = update if kept is None else update + kept
        message, entries = self.uplink.message(update, self.cohort.round, client, local.importance)
        values = self.uplink.values(message)
        heard = self.uplink.heard(values, entries, self.cohort.round, client)
        accepted = self.uplink.accepts(heard, client)
        if accepted and self.memory.size and np.isfinite(np.asarray(update)).all():
            unsent = self.uplink.left(update, entries, values) if self.memory.residual else None
            self.memory.keep(client, unsent, local.memory, local.local)
        self._note(local, client, values.size, accepted)
        if self.uplink.num_groups:
            row = int(np.searchsorted(self.cohort.clients, client))
            self.statistics[row, -self.uplink.num_groups :] = self.uplink.sent_groups(entries)
        return Sent(message, entries, heard, accepted)

    def _note(self, local: LocalUpdate, client: int, num_values: int, accepted: bool) -> None:
        row = int(np.searchsorted(self.cohort.clients, client))
        if local.figures.keys() != set(self.figures):
            raise InputError(
                f"rule.kind: training gave the figures {sorted(local.figures)}, and the rule says "
                f"{sorted(self.figures)}"
            )
        own = (local.figures[name] for name in self.figures)
        known = (local.loss, self._norm(local), local.hidden_rate, num_values, not accepted)
        counts = () if local.activity is None else local.activity.ravel()
        told = (*known, *own, *counts)
        self.statistics[row, : len(told)] = told

    def _norm(self, local: LocalUpdate) -> float:
        """Return how far training went; counts are no way."""
        averaged = self.uplink.layout.num_averaged
        if averaged == self.uplink.size:
            return norm(local.delta)
        return norm(np.asarray(local.delta)[:averaged])


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
    return message.size * (1 if isinstance(message, np.ndarray) else WHOLE_ITEM_BYTES)


def _payload(head: Bytes, messages: Sequence[Bytes | DeviceVector]) -> Any:
    """Return all bytes a rank sends: an array, or a buffer on the device where messages lie."""
    there = [message for message in messages if not isinstance(message, np.ndarray)]
    if there:  # then all of them do
        return there[0].joined(head, there[1:])
    return np.concatenate([head, *(np.asarray(message) for message in messages)])


def _add_messages(sender: Sender, totals: Totals, clients: Sequence[int], buffer: Bytes) -> None:
    header = HEADER_BYTES * len(clients)
    sizes = buffer[:header].copy().view(np.int64)
    bounds = np.cumsum(sizes)[:-1] + header
    for client, message in zip(clients, np.split(buffer, [header, *bounds])[1:], strict=False):
        entries, values = sender.uplink.received(message, sender.cohort.round, client)
        values = sender.uplink.heard(values, entries, sender.cohort.round, client)
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
