"""How far a local sweep is: a bar on a terminal, a line for each run that ends elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from hpcfed.base.terminal import clock, console, terminal
from hpcfed.sweep.planning.grid import describe
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.working.supervisor import Watcher


class Bar:
    """A bar below lines on a terminal; elsewhere lines, each behind what the bar would say."""

    def __init__(self, text: str, total: float | None) -> None:
        self._text, self._progress = text, None
        if terminal() is not None:
            columns = BarColumn(bar_width=24), TextColumn("{task.description}", markup=False)
            self._progress = Progress(*columns, console=console(), auto_refresh=False)
            self._progress.start()
            self._progress.add_task(text, total=total)

    @property
    def moves(self) -> bool:
        """Whether there is a bar."""
        return self._progress is not None

    def line(self, text: str) -> None:
        """Write a line that stays."""
        if self._progress is not None:
            self._progress.console.print(escape(text))
        else:
            print(f"{self._text} | {text}", flush=True)

    def draw(self, text: str, done: float, total: float | None) -> None:
        """Say how far it is."""
        self._text = text
        if self._progress is not None:
            self._progress.update(
                TaskID(0), completed=done, total=total, description=text, refresh=True
            )

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()


class SweepProgress(Watcher):
    """Counts rounds and ends; called from several threads."""

    def __init__(self, runs: Sequence[PlannedRun], done: dict[str, int]) -> None:
        self._total = sum(run.num_rounds for run in runs)
        self._num_runs, self._ended, self._failed = len(runs), 0, 0
        self._rounds = dict(done)
        self._first, self._begin = sum(done.values()), time.monotonic()
        self._lock = threading.Lock()
        self.bar = Bar(self._text(), max(self._total, 1))

    def on_round(self, run: PlannedRun, num_rounds: int) -> None:
        """A run has so many rounds now."""
        with self._lock:
            self._rounds[run.digest] = num_rounds
            self._draw()

    def on_end(self, run: PlannedRun, status: str, error: str) -> None:
        """A run has ended."""
        with self._lock:
            if status == "finished":
                self._rounds[run.digest] = run.num_rounds
            if status == "failed":
                self._failed += 1
                self._total -= run.num_rounds - self._rounds.get(run.digest, 0)
            self._ended += status in {"finished", "failed"}
            self._draw()
            if status == "failed" or not self.bar.moves:
                self.bar.line(f"{describe(run.point)}: {status}{error and ': '}{error}")

    def _draw(self) -> None:
        self.bar.draw(self._text(), sum(self._rounds.values()), max(self._total, 1))

    def _text(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        done = sum(self._rounds.values())
        since = done - self._first
        left = (time.monotonic() - self._begin) / since * (self._total - done) if since else None
        rest = f", {clock(left)} left" if left is not None else ""
        return f"{self._ended}/{self._num_runs} runs{failed}{rest}"
