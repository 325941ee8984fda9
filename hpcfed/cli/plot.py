"""The commands that draw: a picture, and the numbers behind it as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcfed.cli.plotting import One, OneRun, Only, Out, Plot, Several, Where, asked, say

plot_app = typer.Typer(
    help="Draw figures, each with its numbers as CSV beside it.", no_args_is_help=True
)


@plot_app.command(cls=Plot)
def tradeoff(
    path: One,
    out: Out = None,
    where: Where = None,
    metric: Annotated[
        str | None, typer.Option(help="test_accuracy, default where there is one, or validation_")
    ] = None,
) -> None:
    """Accuracy over mask p x drop q, and against uplink bytes."""
    from hpcfed.report.plots.tradeoff import write

    say(write(asked([path], out, where), metric))


@plot_app.command(cls=Plot)
def curve(
    path: Several,
    out: Out = None,
    where: Where = None,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="keys that tell groups apart; default: all that vary"),
    ] = None,
    split: Annotated[
        str, typer.Option(help="validation or test, drawn for several groups")
    ] = "test",
    target: Annotated[
        list[float] | None,
        typer.Option(help="accuracy on validation to reach, repeatable; default: 0.5 to 0.9"),
    ] = None,
) -> None:
    """Accuracy and loss over rounds and over uplink bytes, and what a target costs."""
    from hpcfed.report.plots.curve import Shown, write

    say(write(asked(path, out, where), Shown(by, split, target or Shown.targets)))


@plot_app.command(cls=Plot)
def compare(
    path: Several,
    out: Out = None,
    where: Where = None,
    first: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="runs of the first of two sides; repeatable"),
    ] = None,
    second: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="runs of the second side; repeatable"),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="the setting that all others are compared with; default: the best on validation",
        ),
    ] = None,
    quantity: Annotated[
        str | None,
        typer.Option(help="test_accuracy, default where there is one, or validation_, or a _loss"),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            "--bytes",
            help="uplink of a run at which settings are compared as well; default: in each pair "
            "all that the cheaper run has sent",
        ),
    ] = None,
) -> None:
    """Settings paired by seeds, also at equal bytes: a table and a forest plot.

    Of one path, or three and more, each setting is compared with one of them. Two paths, or one
    with --first and --second, are two sides, and settings within them give a row each.
    """
    from hpcfed.report.plots.compare import Sides, write

    sides = Sides(first or (), second or (), reference or (), quantity, budget)
    say(write(asked(path, out, where), sides))


@plot_app.command(cls=Plot)
def clients(run: OneRun, out: Out = None) -> None:
    """Participation, loss, update norm and samples by client; accuracy by speaker and class."""
    from hpcfed.report.plots.clients import write

    say(write(asked([run], out)))


@plot_app.command(cls=Plot)
def timing(path: Several, out: Out = None, where: Where = None) -> None:
    """Seconds of a round by phase, scaling over ranks, bytes predicted and moved.

    Strong scaling is one experiment on several numbers of ranks, weak scaling equally many clients
    a rank.
    """
    from hpcfed.report.plots.timing import write

    say(write(asked(path, out, where)))


@plot_app.command(cls=Plot)
def spikes(
    run: OneRun,
    out: Out = None,
    accumulate_pj: Annotated[
        float | None,
        typer.Option(
            metavar="PJ",
            help="energy of an accumulate, pJ; default: 0.9, a 32-bit floating point addition in "
            "45 nm (Horowitz, ISSCC 2014)",
        ),
    ] = None,
    multiply_accumulate_pj: Annotated[
        float | None,
        typer.Option(metavar="PJ", help="of a multiply-accumulate; default: 4.6 (the same)"),
    ] = None,
    ann: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="of an ANN whose energy stands beside; repeatable"),
    ] = None,
    saturated: Annotated[
        float,
        typer.Option(
            metavar="FRACTION", help="a neuron is saturated that spikes in this part of the bins"
        ),
    ] = 0.9,
) -> None:
    """Spikes of stored samples, firing rates, silent neurons, operations and energy."""
    from hpcfed.report.plots.spikes import Counting, table_of, write

    table = table_of(accumulate_pj, multiply_accumulate_pj)
    say(write(asked([run], out), Counting(table, ann or (), saturated)))


@plot_app.command(cls=Plot)
def calibration(
    path: One,
    out: Out = None,
    where: Where = None,
    only: Only = None,
    bins: Annotated[
        int | None,
        typer.Option(metavar="N", help="of the confidence, where answers are stored; default: 15"),
    ] = None,
) -> None:
    """How far a network can be believed; of several runs, accuracy and loss by the bytes sent up.

    Reliability, rejection, unknown classes, maps, band and posterior: whatever a run has data for.
    """
    from hpcfed.report.plots.calibration import write

    say(write(asked([path], out, where), only or (), bins))


@plot_app.command(cls=Plot)
def circuits(path: One, out: Out = None, where: Where = None, only: Only = None) -> None:
    """Of glm and wta: likelihood, units, kernels, bases sent; of several runs, accuracy by bytes.

    The bytes of several runs are told apart by how often and how much clients send.
    """
    from hpcfed.report.plots.circuits import write

    say(write(asked([path], out, where), only or ()))


@plot_app.command(cls=Plot)
def neurons(path: One, out: Out = None, where: Where = None, only: Only = None) -> None:
    """Of stdp: weights of each neuron, responses to samples of each class, thresholds."""
    from hpcfed.report.plots.neurons import write

    say(write(asked([path], out, where), only or ()))


@plot_app.command(cls=Plot)
def depth(path: One, out: Out = None, where: Where = None) -> None:
    """Repeated blocks: accuracy over depth and against bytes; what clients of each depth cost."""
    from hpcfed.report.plots.depth import write

    say(write(asked([path], out, where)))


@plot_app.command(cls=Plot)
def steps(path: One, out: Out = None, where: Where = None) -> None:
    """ANNs that hpcfed convert has made spiking: accuracy over time steps, beside the ANNs."""
    from hpcfed.report.plots.steps import write

    say(write(asked([path], out, where)))


@plot_app.command(cls=Plot)
def windows(path: One, out: Out = None, where: Where = None) -> None:
    """Of soft-lif: accuracy by spikes over the window, that by rates, and the gap between them."""
    from hpcfed.report.plots.windows import write

    say(write(asked([path], out, where)))


@plot_app.command(cls=Plot)
def search(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="of the search: results/NAME")],
    out: Out = None,
    only: Only = None,
) -> None:
    """History, space, importance, slices, front, time and lineage of a search."""
    from hpcfed.report.plots.search import write

    say(write(asked([folder], out), only or ()))


@plot_app.command(cls=Plot)
def own(
    module: Annotated[
        str, typer.Argument(help="that Python finds, with COLUMNS, rows(runs) and draw(runs)")
    ],
    path: Several,
    out: Out = None,
    where: Where = None,
) -> None:
    """A figure of your own: what a module of yours draws, with its table."""
    from hpcfed.report.plots.own import write

    say(write(asked(path, out, where), module))
