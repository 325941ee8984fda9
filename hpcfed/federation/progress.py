"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from hpcfed.base.terminal import console, terminal_size
from hpcfed.report.summary import size_text

if TYPE_CHECKING:
    from hpcfed.federation.recorder import RoundReport


class Reporter:
    """Is called after each round and closed after the last; this one says nothing."""

    def __call__(self, report: RoundReport) -> None:
        """Take note of a finished round."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def reporter(quiet: bool) -> Reporter:
    """Return the reporter that suits the output."""
    if quiet:
        return Reporter()
    return _Lines() if terminal_size() is None else _Bar()


def describe(report: RoundReport) -> str:
    """Return accuracy and uplink so far in words."""
    parts = [f"train loss {report.values['train_loss']:.3f}"]
    for name in ("validation", "test"):
        accuracy = report.values[f"{name}_accuracy"]
        if not math.isnan(accuracy):
            parts.append(f"{name} {100 * accuracy:.1f} %")
    return ", ".join([*parts, f"uplink {size_text(report.uplink_bytes)}"])


def time_text(seconds: float) -> str:
    """Return a duration as [hours:]minutes:seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class _Clock:
    """Time left, from the rounds since this start."""

    def __init__(self) -> None:
        self._begin, self._first_round = time.monotonic(), -1

    def left(self, report: RoundReport) -> str:
        if self._first_round < 0:
            self._first_round = report.round - 1
        done = report.round - self._first_round
        elapsed = time.monotonic() - self._begin
        return time_text(elapsed / done * (report.num_rounds - report.round))


class _Lines(Reporter):
    def __init__(self) -> None:
        self._clock = _Clock()

    def __call__(self, report: RoundReport) -> None:
        left = self._clock.left(report)
        place = f"round {report.round}/{report.num_rounds}"
        print(f"{place}: {describe(report)}, {left} left", flush=True)


class _Bar(Reporter):
    """Appears with the first report, which only the root gets; drawn anew once a round."""

    def __init__(self) -> None:
        self._clock = _Clock()
        self._progress: Progress | None = None

    def __call__(self, report: RoundReport) -> None:
        if self._progress is None:
            self._progress = _progress_bar()
            self._progress.start()
            self._progress.add_task("", total=report.num_rounds)
        left = self._clock.left(report)
        text = f"{report.round}/{report.num_rounds}, {left} left, {describe(report)}"
        self._progress.update(TaskID(0), completed=report.round, description=text, refresh=True)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def _progress_bar() -> Progress:
    columns = BarColumn(bar_width=16), TextColumn("{task.description}")
    return Progress(*columns, console=console(), auto_refresh=False)
