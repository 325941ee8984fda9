"""One process that sees to a list of runs: claims them, gives them to packed processes, retries.

It is an array task, or ``hpcfed sweep run``. Each of its slots has a thread and a packed process. A
run that fails for a reason of its own, or whose process dies, is tried again singly, in a process
of its own, and after ``max_retries`` further tries it is marked failed. A folder that cannot be
written is no run's fault: the whole list ends, and nothing is marked.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType

from hpcfed.records.state import glance
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import Manifest, replace_text
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.working import claims
from hpcfed.sweep.working.owners import VARIABLE, Owner, Presence
from hpcfed.sweep.working.packed import PackedProcess, Reply
from hpcfed.sweep.working.sources import Source

_LOG_LINES = 20
_LOOK_AGAIN_S = 1.0
_STOP_SIGNALS = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Assignment:
    """What to do, for whom: ``slots`` runs at once."""

    manifest: Manifest
    paths: Paths
    owner: Owner
    presence: Presence
    slots: int


@dataclass
class Endings:
    """What became of the list: digests by how each run ended, and what ended the whole list."""

    ended: dict[str, str] = field(default_factory=dict)
    holders: dict[str, Owner] = field(default_factory=dict)
    error: str = ""
    stop_signal: int | None = None

    def count(self, status: str) -> int:
        """Return how many runs ended so."""
        return sum(ended == status for ended in self.ended.values())


class Watcher:
    """Hears of rounds and ends, from any thread; this one says nothing."""

    def on_round(self, run: PlannedRun, num_rounds: int) -> None:
        """A run has so many rounds now."""

    def on_end(self, run: PlannedRun, status: str, error: str) -> None:
        """A run has ended: finished, stopped, failed or held."""


class Supervisor:
    """Works on runs until all are done or a signal asks to stop; enter it in the main thread."""

    def __init__(self, work: Assignment, watcher: Watcher, source: Source) -> None:
        self._work, self._watcher, self._source = work, watcher, source
        self._outcome = Endings()
        self._processes: dict[int, PackedProcess] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def see_to(self) -> Endings:
        """Work on the runs of the source; return what became of them."""
        with self._handling_signals():
            slots = [
                threading.Thread(target=self._fill, args=(slot,), daemon=True)
                for slot in range(self._work.slots)
            ]
            for slot in slots:
                slot.start()
            for slot in slots:
                while slot.is_alive():  # a join without end would not let signals in
                    slot.join(_LOOK_AGAIN_S)
            self._source.close()
        if self._source.error:
            self._outcome.error = self._outcome.error or self._source.error
        return self._outcome

    def _fill(self, slot: int) -> None:
        """Take one run after the other; the thread of a slot."""
        packed = self._process(slot)
        try:
            while not self._stopping.is_set():
                run = self._source.next(self._stopping)
                if run is None:
                    break
                self._claim_and_run(run, slot, packed)
                self._source.ended(run)
        except OSError as error:
            self._give_up(str(error))
        finally:
            packed.close()
            self._forget(packed)

    def _claim_and_run(self, run: PlannedRun, slot: int, packed: PackedProcess) -> None:
        work, path = self._work, self._work.paths.claim(run.digest)
        if self._is_finished(run):
            self._end(run, "finished")
            return
        holder = claims.acquire(path, work.owner, work.presence.is_gone)
        if holder is not None:
            self._leave_to(holder, run)
            return
        with claims.held(path, work.owner):
            if self._is_finished(run):  # somebody has finished it since we looked
                self._end(run, "finished")
                return
            self._try(run, slot, packed)

    def _leave_to(self, holder: Owner, run: PlannedRun) -> None:
        """Leave a run to who works on it; where that can be seen from here, wait for its end."""
        here = not holder.in_slurm and holder.host == self._work.owner.host
        if here and self._source.put_back(run, self._stopping):
            return
        with self._lock:
            self._outcome.holders[run.digest] = holder
        self._end(run, "held", f"{holder} works on it")

    def _try(self, run: PlannedRun, slot: int, packed: PackedProcess) -> None:
        """Run; after a failure again, singly, as often as allowed; then mark it failed."""
        reply, tries = self._once(run, packed), 1
        further = self._work.manifest.resources.max_retries
        while reply.ended in {"failed", "died"} and tries <= further:
            if self._stopping.is_set():
                reply = Reply("stopped")
                break
            alone = self._process(slot)
            reply, tries = self._once(run, alone), tries + 1
            alone.close()
            self._forget(alone)
        if reply.ended == "unwritable":
            raise OSError(reply.error)
        if reply.ended in {"failed", "died"}:
            mark_failed(self._work.paths, run.digest, reply.error, tries, self._work.owner)
            self._end(run, "failed", reply.error)
        else:
            self._end(run, reply.ended)

    def _once(self, run: PlannedRun, process: PackedProcess) -> Reply:
        return process.run(run.digest, lambda done: self._watcher.on_round(run, done))

    def _is_finished(self, run: PlannedRun) -> bool:
        state = glance(self._work.paths.run_file(run.digest))
        return state is not None and state.is_done(run.num_rounds)

    def _end(self, run: PlannedRun, status: str, error: str = "") -> None:
        with self._lock:
            self._outcome.ended[run.digest] = status
        self._watcher.on_end(run, status, error)

    def _give_up(self, error: str) -> None:
        with self._lock:
            self._outcome.error = self._outcome.error or error
        self._stop()

    def _process(self, slot: int) -> PackedProcess:
        environment = slot_environment(self._work, slot, os.environ)
        process = PackedProcess(self._work.paths.out, environment)
        with self._lock:
            self._processes[id(process)] = process
        if self._stopping.is_set():
            process.stop()
        return process

    def _forget(self, process: PackedProcess) -> None:
        with self._lock:
            self._processes.pop(id(process), None)

    def _stop(self) -> None:
        self._stopping.set()
        for process in list(self._processes.values()):
            process.stop()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """First signal: stop at the end of the rounds. A second TERM or INT: kill."""
        if self._outcome.stop_signal is None or number == signal.SIGTERM:
            again = self._outcome.stop_signal == number
            self._outcome.stop_signal = number
        else:
            again = number == signal.SIGINT
        if again:
            for process in list(self._processes.values()):
                process.kill()
        self._stop()

    @contextlib.contextmanager
    def _handling_signals(self) -> Iterator[None]:
        previous = {number: signal.signal(number, self._on_signal) for number in _STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def slot_environment(work: Assignment, slot: int, given: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the processes of a slot.

    One thread for each library; the GPUs that are the slot's own, of those this process may use.
    """
    manifest, site = work.manifest, work.manifest.site
    environment = {**given, "OMP_NUM_THREADS": "1", **site.environment, VARIABLE: work.owner.name}
    if site.scratch is not None and work.owner.in_slurm:
        environment["HPCFED_CACHE"] = os.path.expandvars(site.scratch)
    per_run = manifest.resources.gpus
    visible = [gpu for gpu in given.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    visible = visible or [str(index) for index in range(per_run * work.slots)]
    environment["CUDA_VISIBLE_DEVICES"] = ",".join(visible[slot * per_run : (slot + 1) * per_run])
    return environment


def mark_failed(paths: Paths, digest: str, error: str, tries: int, by: Owner) -> None:
    """Leave a mark beside a run that is given up. Raises OSError where none can be left."""
    mark = {
        "error": error,
        "tries": tries,
        "by": str(by),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "log": last_lines(paths, digest),
    }
    path = paths.failure(digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(mark, indent=1) + "\n")


def last_lines(paths: Paths, digest: str) -> list[str]:
    """Return the last lines of a run's log."""
    try:
        text = paths.log(digest).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rstrip().splitlines()[-_LOG_LINES:]
