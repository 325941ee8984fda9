"""The runs of a search, as they come: the lowest open proposal, and new ones before they run out.

Whoever takes a proposal and leaves fewer than ``ahead`` behind has more of them made meanwhile, by
a process of its own; who makes them holds claims/ask, and is replaced when gone, as for runs. What
a question may see is fixed before the run begins. A process with one slot waits for the answer to
its last question: so one worker makes the same search again, whatever the timing.
"""

from __future__ import annotations

import contextlib
import queue
import threading

from hpcfed.config.search import Search
from hpcfed.errors import InputError
from hpcfed.records.searched import POINT, Item
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.search.folder import SearchFolder, Snapshot
from hpcfed.sweep.slurm import commands as slurm
from hpcfed.sweep.working import claims
from hpcfed.sweep.working.asker import Answer, Asker
from hpcfed.sweep.working.owners import Owner, Presence

ASK = "ask"  # the claim of who makes proposals
_LOOK_AGAIN_S = 0.5
_LOOKS_PER_QUEUE = 60  # so that a lost node is noticed by who waits for its run


class SearchSource:
    """Gives the runs of a search to slots; see ``sources.Source``."""

    def __init__(
        self, search: Search, paths: Paths, owner: Owner, presence: Presence, slots: int
    ) -> None:
        self._search, self._paths, self._slots = search, paths, slots
        self._owner, self._presence = owner, presence
        self._folder = SearchFolder(search, paths)
        self._changed = threading.Condition()
        self._active: set[str] = set()
        self._asks, self._looks = False, 0
        self._in_vain: Snapshot | None = None
        self._unwritable = False
        self.error = ""
        self.num_left = 1
        # a thread of its own, for a process dies with the thread that has started it
        self._questions: queue.SimpleQueue[tuple[Snapshot, int] | None] = queue.SimpleQueue()
        self._asker = Asker(paths.out)
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def next(self, stopping: threading.Event) -> PlannedRun | None:
        """Return the next run; waits for proposals, and for results that others work on."""
        ahead = self._search.config.ahead
        with self._changed:
            while not stopping.is_set() and not self.error:
                self._read()
                ready, is_held = self._ready()
                if ready and not (self._asks and self._slots == 1):
                    item = ready[0]
                    self._active.add(item.digest)
                    if len(ready) <= ahead:
                        self._ask(ahead + 1 - len(ready))
                    return self._folder.run(item.number)
                if not ready and not self._asks and not self._ask(ahead):
                    may_grow = self._search.pauses or self._search.config.confirm is not None
                    if not (is_held and may_grow):
                        self.num_left = 0  # what others hold is in good hands
                        return None
                self._wait()
        if self._unwritable:
            raise OSError(self.error)
        return None

    def ended(self, run: PlannedRun) -> None:
        """Look at what others are to do, now that there is a result more."""
        with self._changed:
            self._active.discard(run.digest)
            self._changed.notify_all()

    def put_back(self, run: PlannedRun, stopping: threading.Event) -> bool:
        """Leave the run to who holds it."""
        self.ended(run)
        return True

    def close(self) -> None:
        """End the process that makes proposals, and remove what the dead have left."""
        self._questions.put(None)
        self._asker.kill()
        self._thread.join()
        with contextlib.suppress(OSError, InputError):
            self._tidy()

    def _tidy(self) -> None:
        """Release the claims of those that died between the end of a run and its release.

        Nobody else would: what has a result is not taken again.
        """
        self._folder.read()
        done = {self._folder.items[number].digest for number in self._folder.results}
        waiting = {item.digest for item in self._folder.open_items()}
        for name, holder in claims.all_holders(self._paths.claims).items():
            is_over = name == ASK or (name in done and name not in waiting)
            if is_over and holder != self._owner and self._presence.is_gone(holder):
                claims.release(self._paths.claims / name, holder)

    def _wait(self) -> None:
        """Wait for something to change; now and then ask the scheduler anew who is there."""
        self._changed.wait(_LOOK_AGAIN_S)
        self._looks += 1
        if self._looks % _LOOKS_PER_QUEUE == 0:
            self._presence = Presence(self._owner, slurm.SlurmQueue())

    def _read(self) -> None:
        try:
            self._folder.read()
        except InputError as error:
            self.error = str(error)

    def _ready(self) -> tuple[list[Item], bool]:
        """Return what can be begun, resumed runs first, and whether others are being run."""
        holders = claims.all_holders(self._paths.claims)
        ready: dict[str, Item] = {}
        is_held = False
        for item in self._folder.open_items():
            holder = holders.get(item.digest, self._owner)
            theirs = holder != self._owner and not self._presence.is_gone(holder)
            if theirs or item.digest in self._active:
                is_held = True
            else:
                ready.setdefault(item.digest, item)
        new = {item.number: not self._is_begun(item) for item in ready.values()}
        return sorted(ready.values(), key=lambda item: (new[item.number], item.number)), is_held

    def _is_begun(self, item: Item) -> bool:
        return item.kind == POINT and self._paths.run_file(item.digest).exists()

    def _ask(self, count: int) -> bool:
        """Ask for ``count`` proposals, unless that was in vain; say whether an answer may come."""
        snapshot = self._folder.snapshot()
        if snapshot == self._in_vain:
            return False
        if not self._asks:
            self._asks = True
            self._questions.put((snapshot, count))
        return True

    def _answer(self) -> None:
        """Ask, one question after the other; the thread of the process that is asked."""
        claim = self._paths.claims / ASK
        while (question := self._questions.get()) is not None:
            snapshot, count = question
            try:
                holder = claims.acquire(claim, self._owner, self._presence.is_gone)
                if holder is not None:
                    self._heard(None, snapshot)
                    continue
                with claims.held(claim, self._owner):
                    answer = self._asker.ask(snapshot, count)
            except OSError as error:
                answer = Answer(0, str(error), unwritable=True)
            self._heard(answer, snapshot)
        self._asker.close()

    def _heard(self, answer: Answer | None, snapshot: Snapshot) -> None:
        """Take an answer; None where somebody else is asking."""
        with self._changed:
            self._asks = False
            if answer is not None:
                self.error, self._unwritable = answer.error, answer.unwritable
                self._read()
                nothing = not answer.placed and len(self._folder.items) == snapshot.number
                self._in_vain = snapshot if nothing else None
            self._changed.notify_all()
