"""The command that shows a run, a sweep or a search while it goes on."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from hpcfed.errors import FINISHED, InputError

if TYPE_CHECKING:
    from hpcfed.config import Experiment

_INTERRUPTED = 128 + signal.SIGINT  # as shells say it


def watch(
    path: Annotated[
        Path, typer.Argument(help="run file, its folder, a folder of runs, a sweep or a search")
    ],
    once: Annotated[bool, typer.Option("--once", help="print one state and leave")] = False,
    page: Annotated[
        bool, typer.Option("--page", help="serve the report page to this machine until Ctrl-C")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="of the page; default: a free one")
    ] = None,
) -> None:
    """Show it until it has ended: exit code 0 finished, 1 failed, 75 stopped; harms nothing."""
    if page and once:
        raise InputError("--once prints one state, --page serves until Ctrl-C; choose one of them")
    if port is not None and not page:
        raise InputError("--port is of the page; add --page")
    if path.suffix == ".toml":
        raise InputError(f"{path}: is a job or sweep file; name its output folder, as results/NAME")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if page:
            _serve(path, port or 0)
        code = _follow(path, once)
    except KeyboardInterrupt:
        code = FINISHED if page else _INTERRUPTED  # there is no other end of a page
    sys.exit(code)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _follow(path: Path, once: bool) -> int:
    from hpcfed.watch.following import (
        code_of,
        display,
        follow,
        look_at,
        look_patiently,
        print_view,
    )

    if once:
        view = look_at(path, _engine)
        print_view(view)
    else:
        with display() as show:
            view = follow(lambda: look_patiently(path, _engine), show)
    return code_of(view)


def _serve(path: Path, port: int) -> NoReturn:
    from hpcfed.watch.page import serving

    with serving(path, port) as address:
        print(address, flush=True)
        while True:
            signal.pause()


def _engine(experiment: Experiment) -> str:
    from hpcfed.learning.engines import resolve_engine

    return resolve_engine(experiment)
