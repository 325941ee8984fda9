"""The commands of a sweep."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from hpcfed.cli.completing import ListsSweeps
from hpcfed.cli.options import Overrides, Quiet
from hpcfed.cli.planned import File, Out, find_file, paths_of
from hpcfed.cli.planned import planned as planned_sweep
from hpcfed.cli.search import add_commands, need_libraries, say_search, submit_search
from hpcfed.errors import InputError

if TYPE_CHECKING:
    from hpcfed.records.sweepfolder import Paths
    from hpcfed.sweep.planning.manifest import Manifest
    from hpcfed.sweep.planning.planned_run import PlannedRun
    from hpcfed.sweep.states import SweepState

sweep_app = typer.Typer(
    help="Plan, run, submit, watch, finish and collect a sweep.", no_args_is_help=True
)

DryRun = Annotated[bool, typer.Option("--dry-run", help="write and start nothing")]
Workers = Annotated[int | None, typer.Option(min=1, help="runs at once; default: what fits")]


@sweep_app.command(cls=ListsSweeps)
def plan(
    sweep: File,
    overrides: Overrides = None,
    out: Out = None,
    dry_run: DryRun = False,
    time: Annotated[bool, typer.Option("--time", help="time a few points, predict all")] = False,
) -> None:
    """Expand and validate every point; write the manifest; print counts and array shape."""
    planned = _plan(_Asked(sweep, out, overrides, dry_run))
    _say_engines(planned, sys.stdout)
    if planned.manifest.search is not None:
        say_search(planned.manifest, planned.checked, time)
        return
    resources, todo = planned.manifest.resources, planned.open_runs()
    tasks = -(-len(todo) // resources.runs_per_task)
    cores = resources.ranks_per_run * resources.threads * resources.concurrent_runs
    print(
        f"array: {tasks} tasks of {resources.runs_per_task} runs, {resources.concurrent_runs} at "
        f"once on {cores} cores, {resources.time_min} min each"
    )
    if time and todo:
        from hpcfed.sweep.planning.proposal import lines
        from hpcfed.sweep.planning.timing import predict

        for line in lines(predict(planned.manifest, todo), planned.manifest, len(todo)):
            print(line)


@sweep_app.command(cls=ListsSweeps)
def submit(
    sweep: File, overrides: Overrides = None, out: Out = None, dry_run: DryRun = False
) -> None:
    """Submit Slurm arrays for what is not finished; --dry-run prints the scripts."""
    planned = _plan(_Asked(sweep, out, overrides, dry_run), quiet=dry_run)
    _say_engines(planned, sys.stderr if dry_run else sys.stdout)
    if dry_run:
        _print_scripts(planned.manifest, planned.paths, planned.open_runs())
        return
    _submit(planned.manifest, planned.paths, ("stopped", "missing"))


@sweep_app.command(cls=ListsSweeps)
def run(
    sweep: File,
    overrides: Overrides = None,
    out: Out = None,
    workers: Workers = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Run the sweep here, without Slurm: the same files, a progress bar."""
    from hpcfed.sweep.working.local import run_here

    planned = _plan(_Asked(sweep, out, overrides, dry_run), quiet, need_data=True)
    if not dry_run:
        count = workers or default_workers(planned.manifest)
        todo = planned.open_runs(include_held=True)
        sys.exit(run_here(planned.manifest, planned.paths, todo, count, quiet))


@sweep_app.command()
def status(sweep: File, out: Out = None) -> None:
    """Show finished, running, stopped, failed and missing runs, and the time left."""
    from hpcfed.sweep.states import look
    from hpcfed.sweep.status import lines

    manifest, paths = planned_sweep(sweep, out)
    for line in lines(manifest, paths, look(manifest, paths)):
        print(line)


@sweep_app.command()
def retry(
    sweep: File,
    out: Out = None,
    workers: Workers = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Run again what failed, stopped or is missing; through Slurm if it came from there."""
    from hpcfed.sweep.states import look
    from hpcfed.sweep.working.local import run_here

    manifest, paths = planned_sweep(sweep, out)
    state = look(manifest, paths)
    _need_answer(state)
    todo = state.of("failed", "stopped", "missing")
    if dry_run:
        for item in todo:
            print(item.digest)
        return
    for item in state.of("failed"):
        if paths.failure(item.digest).exists():
            paths.failure(item.digest).unlink(missing_ok=True)
    if state.arrays:
        _submit(manifest, paths, ("stopped", "missing"))
    else:
        sys.exit(run_here(manifest, paths, todo, workers or default_workers(manifest), quiet))


@sweep_app.command()
def cancel(sweep: File, out: Out = None) -> None:
    """Cancel the sweep's jobs, and stop its processes on this machine."""
    from hpcfed.sweep.states import look
    from hpcfed.sweep.submission import cancel as cancel_all

    manifest, paths = planned_sweep(sweep, out)
    jobs, processes = cancel_all(paths, look(manifest, paths))
    print(f"cancelled {len(jobs)} jobs, stopped {len(processes)} processes")


@sweep_app.command()
def collect(sweep: File, out: Out = None) -> None:
    """Collect all run files into sweep.nc, and final values into sweep.csv and sweep.parquet."""
    from hpcfed.sweep.collecting.collect import collect as collect_all

    manifest, paths = planned_sweep(sweep, out)
    for line in collect_all(manifest, paths):
        print(line)


add_commands(sweep_app)


@sweep_app.command(hidden=True)
def task(
    out: Annotated[Path, typer.Option()],
    array: Annotated[str, typer.Option()],
    index: Annotated[int, typer.Option(envvar="SLURM_ARRAY_TASK_ID")],
) -> None:
    """Work on one array task; called by the script that ``submit`` writes."""
    from hpcfed.sweep.working.local import run_task

    sys.exit(run_task(out, array, index))


@sweep_app.command(hidden=True)
def worker(out: Annotated[Path, typer.Option()]) -> None:
    """Work on the runs that stdin names; started by ``task`` and ``run``."""
    from hpcfed.sweep.working.worker import serve

    serve(out)


@sweep_app.command(hidden=True)
def one(
    out: Annotated[Path, typer.Option()], digest: Annotated[str, typer.Option("--run")]
) -> None:
    """Be one rank of one run; started by a launcher."""
    from hpcfed.base.signals import StopRequest
    from hpcfed.cli.rank import RunOptions, train
    from hpcfed.records.sweepfolder import Paths
    from hpcfed.sweep.planning.manifest import read_manifest

    paths = Paths(out)
    with StopRequest() as stop:
        options = RunOptions(
            lambda: read_manifest(paths).experiment(digest), paths.run(digest), True, False
        )
        sys.exit(train(options, stop))


@dataclass(frozen=True)
class _Planned:
    manifest: Manifest
    paths: Paths
    checked: tuple[PlannedRun, ...]  # all runs, or of a search those at the ends of its ranges

    def open_runs(self, include_held: bool = False) -> list[PlannedRun]:
        """Return what is neither finished nor given up, nor worked on."""
        from hpcfed.sweep.states import look

        wanted = ("stopped", "missing", *(("running",) if include_held else ()))
        return look(self.manifest, self.paths).of(*wanted)


def default_workers(manifest: Manifest) -> int:
    """Return how many runs fit on this machine's cores and GPUs at once, at least one."""
    import os

    resources = manifest.resources
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    fitting = (cores or 1) // (resources.ranks_per_run * resources.threads)
    listed = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    gpus = len([gpu for gpu in listed if gpu] or list(Path("/dev").glob("nvidia[0-9]*")))
    if resources.gpus and gpus:  # a worker more would see no GPU, and norse would take the CPU
        fitting = min(fitting, gpus // resources.gpus)
    return max(fitting, 1)


@dataclass(frozen=True)
class _Asked:
    """What a user asks to be planned."""

    file: Path
    out: Path | None
    overrides: list[str] | None
    dry_run: bool


def _plan(asked: _Asked, quiet: bool = False, need_data: bool = False) -> _Planned:
    """Expand, validate and, unless dry, write the plan; say what it is."""
    from hpcfed.learning.engines import resolve_engine
    from hpcfed.sweep.planning.checks import check_against_data
    from hpcfed.sweep.planning.manifest import plan as make_plan
    from hpcfed.sweep.planning.manifest import write_manifest
    from hpcfed.sweep.planning.searches import plan_search
    from hpcfed.sweep.planning.sweepfile import read_sweep

    sweep = read_sweep(find_file(asked.file), asked.overrides or ())
    paths = paths_of(sweep.name, asked.out)
    if sweep.search is None:
        planned = make_plan(sweep, paths, resolve_engine)
    else:
        planned = plan_search(sweep, sweep.search, paths, resolve_engine)
    search = planned.manifest.search
    if search is not None:
        need_libraries(search.method)
    unusable = check_against_data(planned.checked)
    if unusable and need_data:
        raise InputError("\n".join(unusable))
    for text in unusable:
        print(f"note: not on this machine: {text}", file=sys.stderr)
    if not asked.dry_run:
        write_manifest(paths, planned.manifest, sweep.text)
    if not quiet:
        gone = f", {planned.num_gone} no longer in the file" if planned.num_gone else ""
        what = "" if search is None else f"search by {search.method}, "
        print(f"{sweep.name}: {what}{len(planned.manifest.current)} runs ({planned.num_new} new, "
              f"{planned.num_known} known{gone}) in {paths.out}", flush=True)  # fmt: skip
    return _Planned(planned.manifest, paths, planned.checked)


def _say_engines(planned: _Planned, stream: TextIO) -> None:
    """Say which engine each run takes, and warn of GPUs that will be idle."""
    from hpcfed.sweep.planning import engines

    for line in engines.lines(planned.checked):
        print(line, file=stream, flush=True)
    for line in engines.warnings(planned.checked, planned.manifest.resources):
        print(f"warning: {line}", file=sys.stderr)


def _submit(manifest: Manifest, paths: Paths, statuses: tuple[str, ...]) -> None:
    from hpcfed.sweep.states import look
    from hpcfed.sweep.submission import room
    from hpcfed.sweep.submission import submit as submit_runs

    state = look(manifest, paths)
    _need_answer(state)
    todo = state.of(*statuses)
    if manifest.search is not None:
        submit_search(manifest, paths, state)
        return
    if not todo:
        print("nothing to submit")
        return
    try:
        left = submit_runs(manifest, paths, todo, room(manifest, state), print)
    except OSError as error:
        raise InputError(f"{paths.out}: cannot be written: {error.strerror}") from None
    if left:
        print(f"{left} runs do not fit into the queue; submit again when it has drained")


def _need_answer(state: SweepState) -> None:
    """Raise InputError where it is not known what waits in the queue."""
    if not state.asked:
        raise InputError("the scheduler does not answer, so it is not known what is in the queue; "
                         "try again where squeue works")  # fmt: skip


def _print_scripts(manifest: Manifest, paths: Paths, runs: list[PlannedRun]) -> None:
    from hpcfed.sweep.submission import room, scripts

    for text in scripts(manifest, paths, runs, room(manifest, None)):
        print(text, end="")
