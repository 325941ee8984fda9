"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from hpcfed.base.amounts import size_text
from hpcfed.base.terminal import clock, live_console

if TYPE_CHECKING:
    from hpcfed.federation.recorder import RoundReport


class Reporter:
    """Is called after each round and closed after the last; this one says nothing."""

    def __call__(self, report: RoundReport) -> None:
        """Take note of a finished round."""

    def say(self, text: str) -> None:
        """Print a line, above what moves."""
        print(text, flush=True)

    def close(self) -> None:
        """Leave the terminal as it was."""


class _Silent(Reporter):
    def say(self, text: str) -> None:
        return None


def reporter(quiet: bool) -> Reporter:
    """Return the reporter that suits the output."""
    if quiet:
        return _Silent()
    live = live_console()
    return _Lines() if live is None else _Bar(live)


def describe(report: RoundReport) -> str:
    """Return accuracy and uplink so far in words."""
    return ", ".join(_parts(report))


def _parts(report: RoundReport) -> list[str]:
    parts = [f"train loss {report.values['train_loss']:.3f}"] if report.has_loss else []
    for name in ("validation", "test"):
        accuracy = report.values[f"{name}_accuracy"]
        if not math.isnan(accuracy):
            parts.append(f"{name} {100 * accuracy:.1f} %")
    return [*parts, f"uplink {size_text(report.uplink_bytes)}"]


class _Clock:
    """Time left, from the rounds since this start."""

    def __init__(self) -> None:
        self._begin, self._first_round = time.monotonic(), -1

    def left(self, report: RoundReport) -> str:
        if self._first_round < 0:
            self._first_round = report.round - 1
        done = report.round - self._first_round
        elapsed = time.monotonic() - self._begin
        return clock(elapsed / done * (report.num_rounds - report.round))


class _Lines(Reporter):
    def __init__(self) -> None:
        self._clock = _Clock()

    def __call__(self, report: RoundReport) -> None:
        left = self._clock.left(report)
        place = f"round {report.round}/{report.num_rounds}"
        print(f"{place}: {describe(report)}, {left} left", flush=True)


class _Bar(Reporter):
    """Appears with the first report, which only the root gets; drawn anew once a round."""

    def __init__(self, live: Console) -> None:
        self._clock = _Clock()
        self._live = live
        self._progress: Progress | None = None

    def __call__(self, report: RoundReport) -> None:
        if self._progress is None:
            self._progress = _progress_bar(self._live)
            self._progress.start()
            self._progress.add_task("", total=report.num_rounds)
        text = _fitting(report, self._clock.left(report), self._live.width - _bar_width(self._live))
        self._progress.update(TaskID(0), completed=report.round, description=text, refresh=True)

    def say(self, text: str) -> None:
        if self._progress is None:
            super().say(text)
        else:
            self._live.print(escape(text), highlight=False)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        if self._live.file not in (sys.stdout, sys.__stdout__):
            self._live.file.close()


def _fitting(report: RoundReport, left: str, width: int) -> str:
    """Return as much of a report as a line of ``width`` columns holds, the most telling first."""
    place = f"{report.round}/{report.num_rounds}, {left} left"
    known, most = _parts(report), 1 + report.has_loss
    while True:
        text = ", ".join([place, *known])
        if len(text) < width or len(known) <= most + 1:
            return text
        del known[-2]


def _bar_width(live: Console) -> int:
    return 16 if live.width >= 100 else 6


def _progress_bar(live: Console) -> Progress:
    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
    return Progress(BarColumn(bar_width=_bar_width(live)), text, console=live, auto_refresh=False)
