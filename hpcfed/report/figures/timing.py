"""Where the seconds of a round go, how they scale over ranks, and bytes predicted against moved.

Strong scaling: one experiment on other numbers of ranks. Weak scaling: clients grow with ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.base.amounts import size_text
from hpcfed.errors import InputError
from hpcfed.report.drawing import COLOURS, MARKERS, Look, bytes_axis, new_figure, note
from hpcfed.report.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PHASES = ("train", "communicate", "wait", "evaluate", "write")
NUM_CLIENTS = "partition.num_clients"
MOST_BARS = 12

COLUMNS = {
    "run": "the run",
    "config_digest": "digest of the configuration: equal for one experiment",
    "num_ranks": "ranks of its last start; 0: not known (a collected sweep does not tell)",
    "num_clients": "clients",
    "num_rounds": "rounds done",
    **{f"seconds_{phase}": f"{phase}: mean seconds a round" for phase in PHASES},
    "seconds_round": "sum of these: mean seconds a round",
    "predicted_bytes": "expected payload through MPI, mean a round",
    "mpi_bytes": "payload moved through MPI, mean a round",
}


def rows(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Yield a row per run that has a round."""
    for run in runs:
        if run.num_rounds:
            seconds = {f"seconds_{phase}": _mean(run, f"seconds_{phase}") for phase in PHASES}
            yield {
                "run": run.label,
                "config_digest": str(run.columns.attributes.get("config_digest", "")),
                "num_ranks": run.num_ranks,
                "num_clients": run.columns.num_clients,
                "num_rounds": run.num_rounds,
                **seconds,
                "seconds_round": sum(seconds.values()),
                "predicted_bytes": _mean(run, "predicted_bytes"),
                "mpi_bytes": _mean(run, "mpi_bytes"),
            }


def strong_scaling(runs: Sequence[Run]) -> list[list[tuple[int, float]]]:
    """Return (ranks, median seconds a round) of each experiment run on several numbers of ranks."""
    return _scaling(runs, lambda run: str(run.columns.attributes.get("config_digest")))


def weak_scaling(runs: Sequence[Run]) -> list[list[tuple[int, float]]]:
    """Return the same of experiments that differ in clients alone, with equally many per rank."""

    def experiment(run: Run) -> object:
        rest = {k: v for k, v in run.keys.items() if k not in (NUM_CLIENTS, "name")}
        return run.columns.num_clients / max(1, run.num_ranks), tuple(sorted(rest.items(), key=str))

    chosen = [run for run in runs if run.keys.get(NUM_CLIENTS) is not None]
    return _scaling(chosen, experiment)


def draw(runs: Sequence[Run]) -> Figure:
    """Return the figure. Raises InputError if no run has a round."""
    timed = [run for run in runs if run.num_rounds]
    if not timed:
        raise InputError("no run has a round yet, there is no timing to draw")
    strong, weak = strong_scaling(timed), weak_scaling(timed)
    scaled = [(strong, "strong scaling", True), (weak, "weak scaling", False)]
    scaled = [item for item in scaled if item[0]]
    figure = new_figure(4.6 + 2.0 * len(scaled))
    panels = figure.subplots(2 + len(scaled), 1)
    figure_note = _draw_phases(panels[0], timed)
    _draw_bytes(panels[1], timed)
    for axes, (lines, title, is_strong) in zip(panels[2:], scaled, strict=True):
        _draw_scaling(axes, lines, is_strong)
        axes.set_title(title)
    note(figure, figure_note)
    return figure


def _scaling(runs: Sequence[Run], experiment: Any) -> list[list[tuple[int, float]]]:
    found: dict[object, dict[int, list[float]]] = {}
    for run in runs:
        if run.num_ranks and run.num_rounds:
            seconds = sum(_mean(run, f"seconds_{phase}") for phase in PHASES)
            found.setdefault(experiment(run), {}).setdefault(run.num_ranks, []).append(seconds)
    return [
        [(ranks, float(np.median(times))) for ranks, times in sorted(by_ranks.items())]
        for by_ranks in found.values()
        if len(by_ranks) > 1
    ]


def _draw_phases(axes: Axes, runs: Sequence[Run]) -> str:
    """Draw stacked seconds: over rounds for one run, a bar a run for a few, by ranks for many."""
    if len(runs) == 1:
        run = runs[0]
        x = np.arange(1, run.num_rounds + 1)
        values = [np.nan_to_num(run.rounds[f"seconds_{phase}"]) for phase in PHASES]
        axes.stackplot(x, values, labels=PHASES, colors=COLOURS[:5], lw=0)
        axes.set_xlabel("round")
        text = f"Seconds of each round of one run on {run.num_ranks} ranks."
    else:
        labels, means = _bars(runs)
        bottom = np.zeros(len(labels))
        for column, (phase, colour) in enumerate(zip(PHASES, COLOURS, strict=False)):
            axes.bar(labels, means[:, column], bottom=bottom, label=phase, color=colour, width=0.7)
            bottom += means[:, column]
        axes.set_xlabel("ranks" if len(runs) > MOST_BARS else "run, as in the table (ranks)")
        text = f"Bars: mean seconds of a round, {len(runs)} runs."
    axes.set_ylabel("seconds a round")
    axes.set_ylim(0, axes.get_ylim()[1] * 1.3)
    axes.legend(ncols=3, loc="upper center", columnspacing=1)
    return (
        text + " Train, communicate, wait and evaluate are means over ranks, write is the root's."
    )


def _bars(runs: Sequence[Run]) -> tuple[list[str], Any]:
    times = np.array([[_mean(run, f"seconds_{phase}") for phase in PHASES] for run in runs])
    if len(runs) <= MOST_BARS:
        return [f"{i + 1} ({run.num_ranks})" for i, run in enumerate(runs)], times
    ranks = np.array([run.num_ranks for run in runs])
    groups = np.unique(ranks)
    return [str(n) if n else "not known" for n in groups], np.array(
        [times[ranks == n].mean(0) for n in groups]
    )


def _draw_bytes(axes: Axes, runs: Sequence[Run]) -> None:
    from matplotlib.ticker import LogLocator

    predicted = np.concatenate([run.rounds["predicted_bytes"] for run in runs])
    moved = np.concatenate([run.rounds["mpi_bytes"] for run in runs])
    known = (predicted > 0) & (moved > 0)
    if not known.any():
        middle: Look = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, "nothing went through MPI (one rank)", color="0.4", **middle)
        axes.set(xlabel="predicted", ylabel="moved", xticks=[], yticks=[])
        return
    places = np.unique(np.column_stack([predicted[known], moved[known]]).round(3), axis=0)
    axes.plot(*places.T, "o", color=COLOURS[0], ms=2.5, alpha=0.6, label="one round")
    ends = [places.min() * 0.8, places.max() * 1.25]
    axes.plot(ends, ends, "-", color="0.5", lw=0.8, label="as predicted")
    axes.set(xlim=ends, ylim=ends, yscale="log")
    bytes_axis(axes)
    axes.yaxis.set_major_locator(LogLocator(subs=_subs(ends)))
    axes.yaxis.set_major_formatter(lambda value, _: size_text(value))
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    axes.set(xlabel="predicted bytes a round", ylabel="moved bytes a round")
    axes.legend(loc="upper left")
    axes.grid(visible=True)


def _subs(ends: Sequence[float]) -> tuple[float, ...]:
    return (1.0,) if ends[1] / ends[0] > 100 else (1.0, 2.0, 5.0)


def _draw_scaling(axes: Axes, lines: list[list[tuple[int, float]]], is_strong: bool) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    ranks = sorted({n for line in lines for n, _ in line})
    for index, line in enumerate(lines):
        x, y = [n for n, _ in line], [seconds for _, seconds in line]
        look: Look = {"color": COLOURS[index % 7], "marker": MARKERS[index % 7]}
        axes.plot(x, y, "-", label="measured" if index == 0 else "_", **look)
        ideal = [y[0] * x[0] / n if is_strong else y[0] for n in x]
        axes.plot(x, ideal, "--", color="0.5", lw=0.8, label="ideal" if index == 0 else "_")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(ranks, [str(n) for n in ranks])
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.set_ylim(low / 1.5, high * 1.5)
    axes.yaxis.set_major_locator(LogLocator(subs=_subs([low, high])))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")
    axes.set(xlabel="ranks", ylabel="seconds a round")
    axes.legend()
    axes.grid(visible=True)


def _mean(run: Run, name: str) -> float:
    values = run.rounds[name]
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else 0.0
