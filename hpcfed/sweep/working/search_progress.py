"""How far a search on this machine is: a bar on a terminal, a line for each result elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time

from hpcfed.base.terminal import clock
from hpcfed.config.search import Search
from hpcfed.errors import InputError
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.grid import describe
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.search.folder import SearchFolder
from hpcfed.sweep.search.summary import Summary, line, num_points, summary
from hpcfed.sweep.working.progress import Bar
from hpcfed.sweep.working.supervisor import Watcher


class SearchProgress(Watcher):
    """Shows the best feasible point, what was stopped, proposals ahead and the time left."""

    def __init__(self, search: Search, paths: Paths) -> None:
        self._search, self._folder = search, SearchFolder(search, paths)
        self._lock, self._begin = threading.Lock(), time.monotonic()
        found = self._look()
        self._first = found.num_seen
        self.bar = Bar(self._text(found), num_points(search))

    def on_end(self, run: PlannedRun, status: str, error: str) -> None:
        """A run has ended."""
        with self._lock:
            found = self._look()
            self.bar.draw(self._text(found), found.num_seen, num_points(self._search))
            if status == "failed" or not self.bar.moves:
                self.bar.line(f"{describe(run.point)}: {status}{error and ': '}{error}")

    def _look(self) -> Summary:
        with contextlib.suppress(InputError):  # whoever works on the search says it
            self._folder.read()
        return summary(self._folder)

    def _text(self, found: Summary) -> str:
        ahead = f"{found.num_open} ahead"
        total, since = num_points(self._search), found.num_seen - self._first
        if total is None or not since:
            return f"{line(self._search, found)}, {ahead}"
        left = (time.monotonic() - self._begin) / since * max(total - found.num_seen, 0)
        return f"{line(self._search, found)}, {ahead}, {clock(left)} left"
