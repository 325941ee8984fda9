"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from hpcfed.report.summary import size_text

if TYPE_CHECKING:
    from hpcfed.federation.recorder import RoundReport

TERMINAL_VARIABLE = "HPCFED_TERMINAL"  # set by the launcher: the root's output is piped through it


def reporter(quiet: bool) -> Callable[[RoundReport], None]:
    """Return what to call after each round."""
    if quiet:
        return lambda report: None
    if sys.stdout.isatty() or TERMINAL_VARIABLE in os.environ:
        return _Bar()
    return _Lines()


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


class _Lines:
    def __init__(self) -> None:
        self._clock = _Clock()

    def __call__(self, report: RoundReport) -> None:
        left = self._clock.left(report)
        place = f"round {report.round}/{report.num_rounds}"
        print(f"{place}: {describe(report)}, {left} left", flush=True)


class _Bar:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        width, height = (os.environ.get(TERMINAL_VARIABLE) or "x").split("x")
        console = Console(
            force_terminal=True,
            width=int(width) if width else None,
            height=int(height) if height else None,
        )
        columns = TextColumn("round {task.completed}/{task.total}"), BarColumn(bar_width=20)
        self._progress = Progress(*columns, TextColumn("{task.description}"), console=console)
        self._clock, self._task = _Clock(), self._progress.add_task("", total=None)
        self._progress.start()

    def __call__(self, report: RoundReport) -> None:
        text = f"{describe(report)}, {self._clock.left(report)} left"
        self._progress.update(
            self._task, total=report.num_rounds, completed=report.round, description=text
        )
        if report.round == report.num_rounds:
            self._progress.stop()
