"""The commands; nothing else parses arguments. Each imports the libraries it needs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcfed.base.signals import StopRequest
from hpcfed.base.terminal import never_fail_to_encode
from hpcfed.cli.data import data_app
from hpcfed.cli.plot import plot_app
from hpcfed.cli.rank import RunOptions, complain, train
from hpcfed.cli.show import show
from hpcfed.cli.sweep import sweep_app
from hpcfed.errors import BAD_INPUT, FAILED, STOPPED, InputError, StoppedRunError

if TYPE_CHECKING:
    from hpcfed.config import Experiment

app = typer.Typer(
    help="Federated learning of spiking neural networks on MPI.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


app.add_typer(data_app, name="data")
app.add_typer(plot_app, name="plot")
app.add_typer(sweep_app, name="sweep")

Job = Annotated[Path, typer.Argument(help="job file (TOML), or the name of a packaged job")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="override a key of the job file; repeatable"),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, by default the process's own; bad input is one message and exit code 2."""
    never_fail_to_encode()
    try:
        app(arguments)
    except InputError as error:
        complain(error)
        sys.exit(BAD_INPUT)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Federated learning of spiking neural networks on MPI."""
    if version:
        from hpcfed import __version__

        print(f"hpcfed {__version__}")
        raise typer.Exit


@app.command()
def run(
    job: Job,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="output folder; default results/NAME")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="continue the run in the folder")
    ] = False,
    ranks: Annotated[int | None, typer.Option(min=1, help="start mpirun with this many")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="print errors only")] = False,
) -> None:
    """Train: alone, under mpirun or srun, or starting mpirun itself with --ranks."""

    def experiment() -> Experiment:
        from hpcfed.config.file import read_experiment
        from hpcfed.config.jobs import find_job

        return read_experiment(find_job(job), overrides or ())

    options = RunOptions(experiment, out, resume, quiet)
    if ranks is None:
        with StopRequest() as stop:  # before any slow import: a launcher may signal at once
            code = train(options, stop)
    else:
        code = _launch(options, ranks)
    sys.exit(code)


app.command()(show)


@app.command()
def report(
    path: Annotated[
        Path, typer.Argument(help="run file, its folder, a folder of runs, a sweep or its sweep.nc")
    ],
    out: Annotated[
        Path | None, typer.Option(help="page to write; default: report.html in that folder")
    ] = None,
) -> None:
    """Write one HTML page about a run or a sweep, finished or not; it needs no network."""
    from hpcfed.report.page import write_page

    print(write_page(path, out))


@app.command()
def convert(
    run: Annotated[Path, typer.Argument(help="run file of an ANN on images, or its folder")],
    out: Annotated[Path, typer.Argument(help="folder of the spiking network's run file")],
    percentile: Annotated[
        float, typer.Option(min=50, max=100, help="of activations, that a rate of 1 stands for")
    ] = 99.9,
    steps: Annotated[int, typer.Option(min=1, help="most time steps, and those of the file")] = 64,
    trust: Annotated[
        bool, typer.Option("--trust", help="import code of your own that the run file names")
    ] = False,
) -> None:
    """Turn a trained ANN into a spiking network of its weights, without training."""
    from hpcfed.federation.conversion import Conversion
    from hpcfed.federation.conversion import convert as convert_run
    from hpcfed.report.summary import print_summary

    try:
        print_summary(convert_run(Conversion(run, out, percentile, steps, trust)))
    except StoppedRunError as error:
        complain(error)
        sys.exit(FAILED)


@app.command()
def doctor(
    out: Annotated[Path, typer.Option(help="output folder to check")] = Path("results"),
) -> None:
    """Check MPI, ranks, threads, GPUs, the output folder and versions; also under mpirun."""
    from hpcfed.cli.doctor import doctor as examine

    sys.exit(examine(out))


def _launch(options: RunOptions, num_ranks: int) -> int:
    """Start mpirun with this command, again if the job dies; return its exit code."""
    from hpcfed.federation.decision import decide
    from hpcfed.launch import interpreter, reachable, run_job
    from hpcfed.launch.requeued import run_in_vain
    from hpcfed.launch.restart import JobEnd, Ranks, policy, see_through
    from hpcfed.records.state import glance

    experiment = options.experiment()
    # bad input fails here, before mpirun starts
    folder = decide(experiment, options.out, options.resume).folder
    command = [*interpreter(), "-m", "hpcfed", *_without_ranks(sys.argv[1:])]

    def start(place: Ranks, variables: Mapping[str, str]) -> JobEnd:
        again = ["--resume"] if variables and not options.resume else []
        return run_job([*command, *again], place, variables)

    aim = policy(experiment, Path(folder), num_ranks)
    before = glance(aim.run_file)
    code = see_through(start, aim, reachable)
    if code == STOPPED and (reason := run_in_vain(aim.run_file, before, os.environ)):
        print(f"error: {reason}", file=sys.stderr, flush=True)
        return FAILED
    return code


def _without_ranks(arguments: list[str]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        if skip or argument.startswith("--ranks="):
            skip = False
        elif argument == "--ranks":
            skip = True
        else:
            kept.append(argument)
    return kept
