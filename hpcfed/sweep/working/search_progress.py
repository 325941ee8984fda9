"""How far a search on this machine is: a bar on a terminal, a line for each result elsewhere."""

from __future__ import annotations

import contextlib
import threading
import time

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from hpcfed.base.terminal import clock, console, terminal
from hpcfed.config.search import Search
from hpcfed.errors import InputError
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.grid import describe
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.search.folder import SearchFolder
from hpcfed.sweep.search.summary import Summary, line, num_points, summary
from hpcfed.sweep.working.progress import SweepProgress


class SearchProgress(SweepProgress):
    """Shows the best feasible point, what was stopped, proposals ahead and the time left."""

    def __init__(self, search: Search, paths: Paths) -> None:
        self._search, self._folder = search, SearchFolder(search, paths)
        self._lock, self._begin = threading.Lock(), time.monotonic()
        self._first = self._look().num_seen
        self._progress: Progress | None = None
        if terminal() is not None:
            columns = BarColumn(bar_width=24), TextColumn("{task.description}")
            self._progress = Progress(*columns, console=console(), auto_refresh=False)
            self._progress.start()
            self._progress.add_task(self._text(), total=num_points(search))

    def on_round(self, run: PlannedRun, num_rounds: int) -> None:
        """Do nothing: points count, not their rounds."""

    def on_end(self, run: PlannedRun, status: str, error: str) -> None:
        """A run has ended."""
        with self._lock:
            if self._progress is None or status == "failed":
                self._line(f"{describe(run.point)}: {status}{error and ': '}{error}")
            if self._progress is not None:
                self._progress.update(
                    TaskID(0), completed=self._look().num_seen, description=escape(self._text()),
                    refresh=True,
                )  # fmt: skip

    def _look(self) -> Summary:
        with contextlib.suppress(InputError):  # whoever works on the search says it
            self._folder.read()
        return summary(self._folder)

    def _text(self) -> str:
        found = self._look()
        ahead = f"{found.num_open} ahead"
        total, since = num_points(self._search), found.num_seen - self._first
        if total is None or not since:
            return f"{line(self._search, found)}, {ahead}"
        left = (time.monotonic() - self._begin) / since * max(total - found.num_seen, 0)
        return f"{line(self._search, found)}, {ahead}, {clock(left)} left"
