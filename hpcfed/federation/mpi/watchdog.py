"""Names the ranks that make the others wait too long.

A rank that hangs cannot speak, and the ranks that wait for it sit inside MPI. So each rank has a
thread that sends its phase (a small UDP datagram, a side channel outside MPI) to the root and to a
deputy, rank 1, which speaks when the root is the one that is silent. Nothing here can change a
result; where datagrams do not arrive, the watchdog only knows less.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any  # Any: the broadcast function of a communicator

_BEATS_PER_LIMIT = 6
_LONGEST = 200


@dataclass(frozen=True)
class Beat:
    """What is known of a rank: its phase, since when, when it was last heard of, its process."""

    phase: str
    waiting: bool
    since: float
    heard: float
    process: str = ""


class Watchdog:
    """A thread per rank; ``enter`` is all the main thread does."""

    def __init__(
        self, rank: int, hosts: Sequence[str], limit_min: float, broadcast: Callable[..., Any]
    ) -> None:
        self._rank, size = rank, len(hosts)
        self._limit = limit_min * 60
        self._phase, self._waiting, self._since = "starting", False, time.monotonic()
        self._process = f"process {os.getpid()} on {hosts[rank]}"
        self._closed = threading.Event()
        self._socket: socket.socket | None = None
        if size == 1:
            return
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        local = len(set(hosts)) == 1
        self._socket.bind(("127.0.0.1" if local else "", 0))
        port = self._socket.getsockname()[1]
        # the listeners: the root, and its deputy in case the root is the one that hangs
        self._addresses = [
            (("127.0.0.1" if local else hosts[r]), broadcast(port, root=r)) for r in (0, 1)
        ]
        self._token = broadcast(secrets.randbits(62), root=0)
        # a rank may hang before its first beat
        self._beats = {r: Beat("starting", False, self._since, self._since) for r in range(size)}
        self._reported: str = ""
        threading.Thread(target=self._send_beats, args=(self._socket,), daemon=True).start()
        if rank < 2:
            threading.Thread(target=self._listen, args=(self._socket,), daemon=True).start()

    def enter(self, phase: str, waiting: bool) -> None:
        """Note what this rank does from now on, and whether it waits for others."""
        self._phase, self._waiting, self._since = phase, waiting, time.monotonic()

    def close(self) -> None:
        """Stop the threads."""
        self._closed.set()
        if self._socket is not None:
            self._socket.close()

    def _send_beats(self, channel: socket.socket) -> None:
        pause = min(self._limit / _BEATS_PER_LIMIT, 10.0)
        while not self._closed.wait(pause):
            age = time.monotonic() - self._since
            words = [self._token, self._rank, self._phase, self._waiting, age, self._process]
            beat = json.dumps(words).encode()
            for address in self._addresses:
                try:
                    channel.sendto(beat, address)
                except OSError:
                    continue  # an address that cannot be reached: the watchdog knows less

    def _listen(self, channel: socket.socket) -> None:
        while not self._closed.is_set():
            try:
                datagram = channel.recv(1024)
            except OSError:
                return
            now = time.monotonic()
            found = read_beat(datagram, self._token, now)
            if found is None or found[0] not in self._beats:
                continue  # not from one of us
            self._beats[found[0]] = found[1]
            if self._speaks(now) and (text := late_ranks(self._beats, now, self._limit)):
                if text != self._reported:
                    print(f"hpcfed watchdog: {text}", file=sys.stderr, flush=True)
                self._reported = text

    def _speaks(self, now: float) -> bool:
        if self._rank == 0:
            return True
        root = self._beats[0]
        return now - root.heard > self._limit


def read_beat(datagram: bytes, token: int, now: float) -> tuple[int, Beat] | None:
    """Return the rank and the beat of a datagram; None for one that is not of this job."""
    try:
        words = json.loads(datagram)
    except (ValueError, RecursionError):
        return None
    kinds = (int, int, str, bool, float, str)
    if not isinstance(words, list) or [type(word) for word in words] != list(kinds):
        return None
    sent, rank, phase, waiting, age, process = words
    if sent != token or not 0 <= age < math.inf:
        return None
    return rank, Beat(_plain(phase), waiting, now - age, now, _plain(process))


def _plain(text: str) -> str:
    """Return what of a text may be printed on a terminal."""
    return "".join(c for c in text[:_LONGEST] if c.isprintable())


def late_ranks(beats: dict[int, Beat], now: float, limit: float) -> str:
    """Say which ranks others have waited for longer than ``limit`` seconds; "" if none."""
    waiting = {r: b for r, b in beats.items() if b.waiting and now - b.heard <= limit}
    longest = max((now - b.since for b in waiting.values()), default=0.0)
    late = [r for r in sorted(beats) if r not in waiting]
    if longest <= limit or not late:
        return ""
    minutes = f"{limit / 60:g} min"
    place = ", ".join(sorted({b.phase for b in waiting.values()}))
    names = "; ".join(f"rank {r} ({_state(beats[r], now, limit)})" for r in late)
    return f"{len(waiting)} ranks wait in {place} for more than {minutes}; late: {names}"


def _state(beat: Beat, now: float, limit: float) -> str:
    where = beat.phase if not beat.process else f"{beat.phase}, {beat.process}"
    if now - beat.heard > limit / 2:
        return f"last heard of in {where}, now silent: stopped or dead"
    return f"in {where}"
