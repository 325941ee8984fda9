"""Look again and again until it has ended, and show what was seen: a terminal, or plain lines.

Files are read as they are replaced, whole and without a lock; whoever writes them does not notice.
A path that is not there yet, or cannot be read now, is waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hpcfed.base.terminal import console, terminal
from hpcfed.errors import STOPPED as STOPPED_CODE
from hpcfed.errors import InputError
from hpcfed.records.sweepfolder import Paths
from hpcfed.watch.runs import view_of_runs
from hpcfed.watch.sweeps import ResolveEngine, view_of_sweep
from hpcfed.watch.view import FAILED, FINISHED, STOPPED, WAITING, View

if TYPE_CHECKING:
    from rich.console import RenderableType

# a job that is started again, or continued by hand, takes so long to say that it goes on
PATIENCE_S = 30.0
_LOOKING_SHARE = 0.1  # at most this part of the time is spent on looking
_BAR_WIDTH = 24
_CODES = {FAILED: 1, STOPPED: STOPPED_CODE}


def look_at(path: Path, resolve_engine: ResolveEngine) -> View:
    """Return what is at ``path`` now. Raises InputError where there is nothing to be read."""
    try:
        if Paths(path).manifest.exists():
            return view_of_sweep(path, resolve_engine)
        return view_of_runs(path)
    except OSError as error:  # a file or a folder that goes away meanwhile
        raise InputError(f"{path}: cannot be read now: {error.strerror or error}") from None


def look_patiently(path: Path, resolve_engine: ResolveEngine) -> View:
    """Return what is at ``path`` now; what cannot be read is a view that says so."""
    try:
        return look_at(path, resolve_engine)
    except InputError as error:
        return View(WAITING, f"waiting: {error}", (f"waiting: {error}",))


def code_of(view: View) -> int:
    """Return the exit code that tells how it ended; 0 for what goes on."""
    return _CODES.get(view.status, 0)


def follow(
    look: Callable[[], View],
    show: Callable[[View], None],
    patience_s: float = PATIENCE_S,
    wait: Callable[[float], None] = time.sleep,
) -> View:
    """Show every look until one tells the end; return that one.

    What has stopped has ended when it is still the same after ``patience_s`` seconds.
    """
    known, since = "", time.monotonic()
    while True:
        begin = time.monotonic()
        view = look()
        if view.brief != known:
            known, since = view.brief, begin
        show(view)
        is_over = view.status == STOPPED and begin - since >= patience_s
        if is_over or view.status in (FINISHED, FAILED):
            return view
        wait(max(view.pause_s, (time.monotonic() - begin) / _LOOKING_SHARE))


def print_view(view: View) -> None:
    """Print a look as it is."""
    console().print(_drawn(view))


@contextmanager
def display() -> Iterator[Callable[[View], None]]:
    """Give what shows looks: in place on a terminal, elsewhere a line for each that is new."""
    if terminal() is None:
        yield _lines()
        return
    from rich.live import Live

    with Live(console=console(), auto_refresh=False) as live:
        yield lambda view: live.update(_drawn(view), refresh=True)


def _lines() -> Callable[[View], None]:
    known: set[str] = set()

    def show(view: View) -> None:
        if view.brief not in known:
            known.clear()
            known.add(view.brief)
            print(view.brief, flush=True)

    return show


def _drawn(view: View) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    lines: list[RenderableType] = [Text(line) for line in view.lines]
    if view.total:
        beside = Table.grid(padding=(0, 1))
        bar = ProgressBar(view.total, min(view.done, view.total), width=_BAR_WIDTH)
        beside.add_row(bar, lines[1])
        lines[1] = beside
    return Group(*lines)
