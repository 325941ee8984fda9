"""Where a supervisor's slots get their runs from: a list, or a search that goes on meanwhile."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Sequence
from typing import Protocol

from hpcfed.sweep.planning.planned_run import PlannedRun


class Source(Protocol):
    """Gives runs to slots; called from their threads."""

    @property
    def error(self) -> str:
        """Why there are no more runs, "" where that is no error."""
        ...

    @property
    def num_left(self) -> int:
        """Runs that were not begun; of a search 1 where it may go on."""
        ...

    def next(self, stopping: threading.Event) -> PlannedRun | None:
        """Return a run to work on, None if there is none left or ``stopping`` is set."""
        ...

    def ended(self, run: PlannedRun) -> None:
        """Hear that a run that was given is not worked on any more."""
        ...

    def put_back(self, run: PlannedRun, stopping: threading.Event) -> bool:
        """Take back a run that somebody else holds, to give it out later; False if not wanted."""
        ...

    def close(self) -> None:
        """Hear that nothing more is asked for."""
        ...


class Listed:
    """A list of runs; those that others here hold are tried again where ``wait`` says so."""

    error = ""

    def __init__(self, runs: Sequence[PlannedRun], wait: bool, look_again_s: float) -> None:
        self._waiting: queue.SimpleQueue[PlannedRun] = queue.SimpleQueue()
        for run in runs:
            self._waiting.put(run)
        self._wait, self._look_again_s = wait, look_again_s
        self._left: set[str] = set()

    @property
    def num_left(self) -> int:
        """Runs that were not given out."""
        return self._waiting.qsize()

    def next(self, stopping: threading.Event) -> PlannedRun | None:
        """Return the next run."""
        with contextlib.suppress(queue.Empty):
            return self._waiting.get_nowait()
        return None

    def ended(self, run: PlannedRun) -> None:
        """Do nothing."""

    def put_back(self, run: PlannedRun, stopping: threading.Event) -> bool:
        """Put a run behind the others."""
        if not self._wait:
            return False
        if run.digest in self._left:  # the second look: first what nobody holds
            stopping.wait(self._look_again_s)
        self._left.add(run.digest)
        self._waiting.put(run)
        return True

    def close(self) -> None:
        """Do nothing."""
