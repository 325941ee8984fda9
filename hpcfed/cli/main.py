"""The commands; nothing else parses arguments. Each imports the libraries it needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcfed.base.garbage import seldom_collected
from hpcfed.base.terminal import never_fail_to_encode
from hpcfed.cli.completing import ListsJobs, complete_job
from hpcfed.cli.data import data_app
from hpcfed.cli.export import export
from hpcfed.cli.new import new
from hpcfed.cli.options import Overrides, Quiet, RanksToStart
from hpcfed.cli.plot import plot_app
from hpcfed.cli.rank import RunOptions, complain
from hpcfed.cli.rerun import rerun
from hpcfed.cli.schema import schema
from hpcfed.cli.show import show
from hpcfed.cli.source import asked, continued, folder_of
from hpcfed.cli.start import start
from hpcfed.cli.sweep import sweep_app
from hpcfed.cli.watch import watch
from hpcfed.errors import BAD_INPUT, FAILED, InputError, StoppedRunError

if TYPE_CHECKING:
    from hpcfed.config import Experiment

app = typer.Typer(
    help="Federated learning of spiking neural networks on MPI.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


app.add_typer(data_app, name="data")
app.add_typer(plot_app, name="plot")
app.add_typer(sweep_app, name="sweep")

Job = Annotated[
    Path,
    typer.Argument(
        help="job file (TOML), or the name of a packaged job; with --resume also the folder of a "
        "run, whose file says what it is",
        autocompletion=complete_job,
    ),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command, by default the process's own; bad input is one message and exit code 2."""
    never_fail_to_encode()
    try:
        with seldom_collected():
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


@app.command(cls=ListsJobs)
def run(
    job: Job,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="output folder; default results/NAME")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="continue the run in the folder")
    ] = False,
    ranks: RanksToStart = None,
    quiet: Quiet = False,
) -> None:
    """Train: alone, under mpirun or srun, or starting mpirun itself with --ranks."""
    changes = tuple(overrides or ())
    folder = folder_of(job) if resume and out is None else None

    def experiment() -> Experiment:
        return asked(job, changes) if folder is None else continued(folder, changes)

    sys.exit(start(RunOptions(experiment, out or folder, resume, quiet), ranks))


app.command()(rerun)
app.command()(new)
app.command()(schema)
app.command()(watch)
app.command()(export)


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
