"""The commands of a search."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcfed.cli.planned import File, Out, planned
from hpcfed.errors import FAILED, InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpcfed.records.sweepfolder import Paths
    from hpcfed.sweep.planning.manifest import Manifest
    from hpcfed.sweep.planning.planned_run import PlannedRun
    from hpcfed.sweep.search.folder import SearchFolder
    from hpcfed.sweep.states import SweepState


def add_commands(app: typer.Typer) -> None:
    """Add the commands to those of sweeps."""
    for command in (best, follow, replay):
        app.command()(command)
    app.command(hidden=True)(asker)


def best(
    sweep: File,
    out: Out = None,
    number: Annotated[int, typer.Option(min=1, help="points to report")] = 5,
    write: Annotated[
        Path | None, typer.Option("--write", help="file (TOML) of the first one's experiment")
    ] = None,
) -> None:
    """Report what a search has found; --write the winner's experiment."""
    from hpcfed.config.file import to_toml
    from hpcfed.records.searched import MEMBER
    from hpcfed.report.search_best import best as best_points
    from hpcfed.report.search_best import lines
    from hpcfed.sweep.search.lineage import schedule_text

    manifest, folder = _search_folder(sweep, out)
    found = best_points(folder)
    for line in lines(found, number):
        print(line)
    if write is not None:
        item = found[0].item
        if item.kind == MEMBER:
            text = schedule_text(folder, item)
        else:
            text = to_toml(manifest.experiment(item.digest))
        try:
            write.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"{write}: cannot be written: {error.strerror}") from None
        print(f"written: {write}")


def follow(
    schedule: Annotated[Path, typer.Argument(help="schedule (TOML) that best --write has written")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
) -> None:
    """Run a schedule of hyper-parameters from round 0, or go on with it."""
    from hpcfed.config.stages import read_stages
    from hpcfed.federation.stages import run_stages

    print(f"finished: {run_stages(read_stages(schedule), out).path}")


def replay(sweep: File, out: Out = None) -> None:
    """Compute every proposal of a search again from the records; exit code 1 if one differs."""
    from hpcfed.learning.engines import resolve_engine
    from hpcfed.sweep.planning.planned_run import run_of
    from hpcfed.sweep.search.propose import Proposer
    from hpcfed.sweep.search.replay import DiffersError
    from hpcfed.sweep.search.replay import replay as replay_all

    _, folder = _search_folder(sweep, out)
    search = folder.search
    proposer = Proposer(search, lambda point: run_of(search, point, resolve_engine))
    try:
        for line in replay_all(folder, proposer):
            print(line)
    except DiffersError as error:
        print(error, file=sys.stderr)
        sys.exit(FAILED)


def asker(out: Annotated[Path, typer.Option()]) -> None:
    """Make the proposals that stdin asks for; started by ``task`` and ``run``."""
    from hpcfed.learning.engines import resolve_engine
    from hpcfed.records.sweepfolder import Paths
    from hpcfed.sweep.search.asking import serve

    serve(Paths(out), resolve_engine)


def need_libraries(method: str) -> None:
    """Raise InputError where a method's libraries are not installed."""
    from importlib.util import find_spec

    needed = {"tpe": ("optuna",), "gp": ("optuna", "torch"), "scbo": ("botorch",)}.get(method, ())
    if missing := [name for name in needed if find_spec(name) is None]:
        raise InputError(
            f'[search] method = "{method}" needs {" and ".join(missing)}, not installed here; '
            "install with: pip install 'hpcfed[search]'"
        )


def say_search(manifest: Manifest, ends: Sequence[PlannedRun], time: bool) -> None:
    """Say what a search varies, what it may spend, and with ``time`` what it is likely to."""
    from hpcfed.sweep.search.summary import plan_lines

    assert manifest.search is not None
    for line in plan_lines(manifest.search):
        print(line)
    if time:
        from hpcfed.sweep.planning.proposal import lines_of_search
        from hpcfed.sweep.planning.timing import predict

        for line in lines_of_search(predict(manifest, ends), manifest, len(ends)):
            print(line)


def submit_search(manifest: Manifest, paths: Paths, state: SweepState) -> None:
    """Submit as many workers as the search is to have and has not in the queue."""
    from hpcfed.sweep.submission import room, submit_workers

    assert manifest.search is not None
    names = {array.name for array in state.arrays}
    there = sum(job.name in names for job in state.jobs)
    wanted = manifest.search.config.workers - there
    if wanted <= 0:
        print(f"nothing to submit: {there} workers are in the queue")
        return
    try:
        submit_workers(manifest, paths, wanted, room(manifest, state), print)
    except OSError as error:
        raise InputError(f"{paths.out}: cannot be written: {error.strerror}") from None


def _search_folder(sweep: Path, out: Path | None) -> tuple[Manifest, SearchFolder]:
    """Return a search as it lies on disk, read. Raises InputError for any other sweep."""
    from hpcfed.sweep.search.folder import SearchFolder

    manifest, paths = planned(sweep, out)
    if manifest.search is None:
        raise InputError(f"{paths.out}: is no search: its sweep file has no [search]")
    folder = SearchFolder(manifest.search, paths)
    folder.read()
    return manifest, folder
