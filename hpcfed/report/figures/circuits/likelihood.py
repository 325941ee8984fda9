"""How likely the targets' spikes have become, and how many samples are told apart, over rounds.

R rounds. A likelihood is of the samples that clients have trained on in a round, which are few: it
jumps from round to round, and a running mean goes with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.amounts import percent
from hpcfed.errors import InputError
from hpcfed.report.drawing import COLOURS, new_figure, note
from hpcfed.report.figures.circuits.view import base_rate, has_units, units_of
from hpcfed.report.figures.view import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

LIKELIHOOD = "log_likelihood"
SPLITS = ("validation", "test")
COLUMNS = {
    "round": "round, from 1",
    LIKELIHOOD: "mean over training bins of the log-probability of the target's spikes at the "
    "outputs, nat",
    "running_mean": "its mean over this round and those before it, a twentieth of all",
    **{f"{split}_accuracy": f"fraction right on {split}; empty: not evaluated" for split in SPLITS},
}
_WINDOWS = 20  # of the running mean in a run: short enough to follow it


def has_data(view: View) -> bool:
    """Say whether the run has a round of probabilistic units."""
    return has_units(view) and LIKELIHOOD in view.record.log.rounds and _num_rounds(view) > 0


def rows(view: View) -> Iterator[dict[str, Any]]:
    """Yield the rounds."""
    found = _columns(view)
    for at in range(_num_rounds(view)):
        yield {"round": at + 1, **{name: float(column[at]) for name, column in found.items()}}


def draw(view: View) -> Figure:
    """Return the figure. Raises InputError for other rules, and before the first round."""
    found, units = _columns(view), units_of(view)
    figure = new_figure(3.8)
    above, below = figure.subplots(2, 1, sharex=True)
    chance = -units.num_outputs * float(np.log(units.num_values + 1))
    window = _window(_num_rounds(view))
    _draw_likelihood(above, found, window)
    above.axhline(chance, ls=":", color="0.4", label="undecided")
    above.legend()
    _draw_accuracy(below, found, base_rate(view))
    known = found[LIKELIHOOD][np.isfinite(found[LIKELIHOOD])]
    last = f"{known[-1]:.3f} nat" if len(known) else "not known"
    above.set_title(f"{last} in the last round")
    how = f"Thick: mean over {window} rounds. " if window > 1 else ""
    note(figure, f"{how}Undecided: all values, and silence, as likely as each other in "
                 f"{units.num_outputs} outputs.")  # fmt: skip
    return figure


def running_mean(values: F64, window: int) -> F64:
    """Return the mean of each of ``values`` (R,) and the up to ``window`` - 1 before it.

    What is not finite is not counted; NaN where nothing is known.
    """
    before = np.full(window - 1, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([before, values]), window)
    known = np.isfinite(windows)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, windows, 0.0).sum(axis=1) / known.sum(axis=1))


def _columns(view: View) -> dict[str, F64]:
    if not has_data(view):
        units_of(view)  # says so where the rule is another
        raise InputError(f"{view.name}: no round is done, there is no likelihood yet")
    rounds = view.record.log.rounds
    found = {name: np.asarray(rounds[name], np.float64)
             for name in (LIKELIHOOD, *(f"{split}_accuracy" for split in SPLITS))}  # fmt: skip
    mean = running_mean(found[LIKELIHOOD], _window(_num_rounds(view)))
    return {LIKELIHOOD: found.pop(LIKELIHOOD), "running_mean": mean, **found}


def _num_rounds(view: View) -> int:
    return view.record.log.num_rounds


def _window(num_rounds: int) -> int:
    return max(1, num_rounds // _WINDOWS)


def _draw_likelihood(axes: Axes, found: dict[str, F64], window: int) -> None:
    values, mean = found[LIKELIHOOD], found["running_mean"]
    x = np.arange(1, len(values) + 1)
    if window == 1:
        axes.plot(x, values, ".-", color=COLOURS[0])
    else:
        axes.plot(x, values, color=COLOURS[0], lw=0.6, alpha=0.5)
        axes.plot(x, mean, color=COLOURS[0], lw=1.6)
    axes.set_ylabel("log-likelihood / nat")
    axes.grid(visible=True)


def _draw_accuracy(axes: Axes, found: dict[str, F64], rate: float) -> None:
    from matplotlib.ticker import MaxNLocator

    for split, colour in zip(SPLITS, COLOURS, strict=False):
        values = 100 * found[f"{split}_accuracy"]
        known = np.flatnonzero(np.isfinite(values))
        if len(known):
            axes.plot(known + 1, values[known], ".-", color=colour, label=split)
    if np.isfinite(rate):
        axes.axhline(100 * rate, ls=":", color="0.4", label=f"base rate, {percent(rate)}")
    axes.set(xlabel="round", ylabel="accuracy / %", ylim=(0, 103))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    axes.grid(visible=True)
