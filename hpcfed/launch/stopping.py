"""From signals at the launcher to an orderly stop of all ranks, and to a kill when asked twice.

Both Open MPI's and MPICH's mpirun hand USR1 on to every rank, on all hosts. A process that has not
yet set a handler would die of it, so the stop waits until mpirun and the ranks of this host catch
the signal. It is read from Linux's /proc; without one the signal is sent at once.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from hpcfed.base import processes
from hpcfed.launch import signs

Action = Callable[[], None]
Requests = queue.SimpleQueue[int]

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_LOOK_AGAIN_S = 0.05
_LEAVE_TOGETHER_S = 2.0  # ranks that end without MPI do so at about the same time
_TERM_GRACE_S = 2.0  # Open MPI needs half a second to end its ranks and clean up


@contextlib.contextmanager
def requests_from_signals() -> Iterator[Requests]:
    """Collect the stop signals of this process in a queue; what is ignored (nohup) stays so."""
    requests: Requests = queue.SimpleQueue()

    def note(signum: int, frame: FrameType | None) -> None:
        requests.put(signum)

    wanted = [s for s in _STOP_SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
    previous = {s: signal.signal(s, note) for s in wanted}
    try:
        yield requests
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def escalate(
    process: subprocess.Popen[bytes],
    command: Sequence[str],
    requests: Requests,
    asked: threading.Event,
) -> None:
    """Serve the requests for one job: the first stops it in order, the second kills it."""
    requests.get()
    asked.set()
    _say("stopping after this round; a second signal kills")
    if _wait_until_caught(process.pid, command, requests):
        process.send_signal(signal.SIGUSR1)
        requests.get()
    _say("killing all ranks")
    process.terminate()
    try:
        process.wait(_TERM_GRACE_S)
    except subprocess.TimeoutExpired:
        kill_job(process.pid)


def end_unless_started(
    process: subprocess.Popen[bytes], command: Sequence[str], folder: Path
) -> None:
    """Kill a job of which a rank has ended before MPI has started: the others would wait for it.

    ``folder`` is where ranks give their signs. From the start on MPI itself notices a death.
    """
    seen: set[int] = set()
    deadline = float("inf")
    while process.poll() is None and not signs.given(folder, signs.STARTED):
        ranks = set(_ranks(process.pid, command))
        seen |= ranks
        if seen - ranks:
            deadline = min(deadline, time.monotonic() + _LEAVE_TOGETHER_S)
        if time.monotonic() > deadline:
            _say("a rank has died before MPI has started; ending the others")
            kill_job(process.pid)
            return
        time.sleep(_LOOK_AGAIN_S)


def kill_job(mpirun: int) -> None:
    """Kill the process ``mpirun`` and what it has started on this host."""
    for pid in [*_members(mpirun), mpirun]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # after a hang-up there is no terminal to write to
        print(f"hpcfed: {text}", file=sys.stderr, flush=True)


def _wait_until_caught(mpirun: int, command: Sequence[str], requests: Requests) -> bool:
    """Wait until the job can be signalled; False if the next request comes first."""
    while not _can_be_signalled(mpirun, command):
        with contextlib.suppress(queue.Empty):
            requests.get(timeout=_LOOK_AGAIN_S)
            return False
    return True


def _can_be_signalled(mpirun: int, command: Sequence[str]) -> bool:
    if not processes.is_told():
        return True
    ranks = _ranks(mpirun, command)
    return bool(ranks) and all(_catches_usr1(pid) for pid in (mpirun, *ranks))


def _ranks(mpirun: int, command: Sequence[str]) -> list[int]:
    """Return the ranks; what a rank forks has its command for a moment, and is none."""
    wanted = b"".join(os.fsencode(word) + b"\0" for word in command)
    found = [pid for pid in _members(mpirun) if processes.read(pid, "cmdline") == wanted]
    parents = {pid: process.parent for pid in found if (process := processes.find(pid))}
    return [pid for pid in found if parents.get(pid) not in found]


def _catches_usr1(pid: int) -> bool:
    caught = re.search(rb"^SigCgt:\s*([0-9a-f]+)", processes.read(pid, "status"), re.MULTILINE)
    return caught is None or bool(int(caught.group(1), 16) >> (signal.SIGUSR1 - 1) & 1)


def _members(mpirun: int) -> list[int]:
    """Return the processes below ``mpirun`` or in its session, without itself."""
    parents: dict[int, int] = {}
    members: set[int] = set()
    for number in processes.numbers():
        if (found := processes.find(number)) is not None:
            parents[number] = found.parent
            if found.session == mpirun:
                members.add(number)
    grown = True
    while grown:
        below = {pid for pid, parent in parents.items() if parent in members | {mpirun}}
        grown = not below <= members
        members |= below
    return sorted(members - {mpirun})
