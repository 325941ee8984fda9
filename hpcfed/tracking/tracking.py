"""Trackers beside a run: each in a thread of its own, which neither ends nor delays the run.

What a tracker raises is told once and ends its tracking; one that hangs is left behind at the end.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any  # Any: a round's values are of any scalar type

from hpcfed.tracking.tracker import TrackedRun, Tracker, tracker

END_S = 60.0  # seconds after the last round in which trackers may still send

Say = Callable[[str], None]


class Tracking:
    """While entered, tells trackers of every round; set ``status`` before it is left."""

    def __init__(
        self,
        names: Sequence[str],
        run: TrackedRun,
        say: Say,
        make: Callable[[str], Tracker] = tracker,
        end_s: float = END_S,
    ) -> None:
        self._lines = [_Line(name, run, make) for name in dict.fromkeys(names)]
        self._say, self._end_s = say, end_s
        self._told: dict[str, str] = {}
        self.status = "failed"

    def __enter__(self) -> Tracking:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        limit = time.monotonic() + self._end_s
        for line in self._lines:
            line.put(self.status)
        for line in self._lines:
            line.join(limit - time.monotonic())
        self._tell()

    def log(self, round_number: int, values: Mapping[str, Any]) -> str:
        """Give a round's numbers to the trackers; return what has failed so far, "" for nothing."""
        known = finite(values)
        for line in self._lines:
            line.put((round_number, known))
        self._tell()
        return "; ".join(self._told.values())

    def _tell(self) -> None:
        for line in self._lines:
            if line.failure and line.name not in self._told:
                self._told[line.name] = f"{line.name}: {line.failure}"
                self._say(f"warning: tracking by {self._told[line.name]}; the run goes on without")


class _Line:
    """One tracker in its thread, and what waits for it."""

    def __init__(self, name: str, run: TrackedRun, make: Callable[[str], Tracker]) -> None:
        self.name, self.failure = name, ""
        self._run, self._make = run, make
        self._waiting: queue.SimpleQueue[tuple[int, dict[str, float]] | str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=f"track {name}", daemon=True)
        self._thread.start()

    def put(self, item: tuple[int, dict[str, float]] | str) -> None:
        """Leave a round, or last of all the status, for the tracker."""
        if not self.failure:
            self._waiting.put(item)

    def join(self, seconds: float) -> None:
        """Wait for the tracker to send what there is; one that is late has failed."""
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive() and not self.failure:
            self.failure = "has not sent everything in time"

    def _work(self) -> None:
        try:
            tracked = self._make(self.name)
            tracked.open(self._run)
            while not isinstance(item := self._waiting.get(), str):
                tracked.log(*item)
            tracked.close(item)
        except (Exception, SystemExit) as error:  # of libraries that are not ours
            text = " ".join(str(error).split())
            self.failure = f"{type(error).__name__}: {text}" if text else type(error).__name__


def finite(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the values that are finite numbers."""
    numbers = {k: float(v) for k, v in values.items() if not isinstance(v, str | bytes)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
