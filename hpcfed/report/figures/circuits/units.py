"""What the units do in a few samples, as a picture: a column for each sample.

S samples, T bins, n units shown, each of C values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcfed.report.drawing import COLOURS, WIDTH, Look, colours, new_figure, note
from hpcfed.report.figures.circuits.traces import Traces, traces
from hpcfed.report.figures.view import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    _Plan = dict[str, tuple[float, Callable[[Axes, "_Panel"], None]]]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

MOST_SAMPLES = 3
_STYLES = ("-", "--", ":", "-.")  # of values
_OTHER_VALUES = (*COLOURS[2:6], *COLOURS[:2])  # colours; the first value is black
_ON_MAP = "#111111"  # a page puts its text's colour in the place of black, a map stays pale
_GREYS = ("1.0", "0.6")  # of probabilities: spikes are seen on both
_MOST_LINES = len(COLOURS)  # more outputs are shown as a map


def draw(view: View) -> Figure:
    """Return the figure: a column for each sample. Raises InputError where none is stored."""
    found, seconds = traces(view), float(view.keys["data.duration"])
    shown, plan = different(found.label, MOST_SAMPLES), _plan(found)
    heights = [height for height, _ in plan.values()]
    figure = new_figure(sum(heights) + 1.1, max(WIDTH, 0.9 + 1.7 * len(shown)))
    panels = figure.subplots(
        len(plan), len(shown), sharex=True, sharey="row", squeeze=False, height_ratios=heights
    )
    for row, (name, (_, draw_panel)) in zip(panels, plan.items(), strict=True):
        for axes, sample in zip(row, shown, strict=True):
            draw_panel(axes, _Panel(found, sample, seconds))
        row[0].set_ylabel(name)
        if row[0].images:  # all of a row have one scale
            bar = figure.colorbar(row[0].images[0], ax=list(row), pad=0.01, aspect=12)
            bar.ax.tick_params(labelsize=5)
    for above, below, sample in zip(panels[0], panels[-1], shown, strict=True):
        above.set_title(_title(found, sample))
        below.set(xlabel="time / s", xlim=(0, seconds))
    handles, labels = panels[0, 0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
    note(figure, _how(found))
    return figure


def different(label: I64, most: int) -> list[int]:
    """Return up to ``most`` places of ``label`` (S,): the first of each class, then others."""
    firsts = sorted(np.unique(label, return_index=True)[1].tolist())
    others = [place for place in range(len(label)) if place not in firsts]
    return sorted([*firsts, *others][:most])


def _title(found: Traces, sample: int) -> str:
    label = found.label[sample]
    answer = int(found.scores[sample].argmax())
    taken = "" if answer == label else f"\ntaken for {found.names[answer]}"
    return f"{found.names[label]}{taken}"


@dataclass(frozen=True)
class _Panel:
    """A sample of the traces, and how long it lasts, s."""

    found: Traces
    sample: int
    seconds: float

    @property
    def times(self) -> F64:
        """The middles of the bins, s: (T,)."""
        num_bins = self.found.value.shape[1]
        return np.asarray((np.arange(num_bins) + 0.5) * self.seconds / num_bins)


def _plan(found: Traces) -> _Plan:
    """Return the rows of panels from the top: label, height in inches, what draws one."""
    outputs, hidden = slice(0, found.num_outputs), slice(found.num_outputs, None)
    few = found.num_outputs <= _MOST_LINES
    plan: _Plan = {
        "potential": (1.1, _draw_potentials if few else partial(_map_potentials, outputs)),
        "P(spike)": (1.1, _draw_probabilities if few else partial(_map_probabilities, outputs)),
        "spikes": (min(2.0, 0.3 + 0.12 * found.num_outputs), _draw_output_spikes),
    }
    if len(found.names) > found.num_outputs:
        plan |= {
            "hidden: potential": (1.1, partial(_map_potentials, hidden)),
            "hidden: P(spike)": (1.3, partial(_map_spikes, hidden)),
        }
    return plan


def _draw_potentials(axes: Axes, panel: _Panel) -> None:
    found, values = panel.found, panel.found.potential.shape[3]
    for unit, colour in enumerate(colours(found.num_outputs)):
        for value in range(values):
            axes.plot(
                panel.times,
                found.potential[panel.sample, :, unit, value],
                _STYLES[value % len(_STYLES)],
                color=colour,
                lw=0.8,
                label=found.names[unit] + (f", value {value + 1}" if values > 1 else ""),
            )
    axes.grid(visible=True)


def _draw_probabilities(axes: Axes, panel: _Panel) -> None:
    for unit, colour in enumerate(colours(panel.found.num_outputs)):
        values = panel.found.probability[panel.sample, :, unit]
        axes.plot(panel.times, values, color=colour, lw=0.8)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(visible=True)


def _draw_output_spikes(axes: Axes, panel: _Panel) -> None:
    outputs = slice(0, panel.found.num_outputs)
    _draw_spikes(axes, panel, outputs)
    if panel.found.num_outputs <= _MOST_LINES:
        axes.set_yticks(range(panel.found.num_outputs), panel.found.names[outputs], fontsize=6)


def _map_potentials(units: slice, axes: Axes, panel: _Panel) -> None:
    shown = panel.found.potential[:, :, units]
    reach = float(np.abs(shown).max()) or 1.0
    stacked = shown[panel.sample].reshape(shown.shape[1], -1)
    look: Look = {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}
    _draw_map(axes, panel, stacked, shown.shape[2], look)


def _map_probabilities(units: slice, axes: Axes, panel: _Panel) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    shown = panel.found.probability[panel.sample, :, units]
    greys = LinearSegmentedColormap.from_list("greys", _GREYS)
    _draw_map(axes, panel, shown, shown.shape[1], {"cmap": greys, "vmin": 0, "vmax": 1})


def _map_spikes(units: slice, axes: Axes, panel: _Panel) -> None:
    _map_probabilities(units, axes, panel)
    _draw_spikes(axes, panel, units, _ON_MAP)


def _draw_map(axes: Axes, panel: _Panel, values: F64, num_units: int, look: Look) -> None:
    """Draw ``values`` (T, n C) or (T, n) as rows over time, those of n units side by side."""
    from matplotlib.ticker import MaxNLocator

    place = (0.0, panel.seconds, num_units - 0.5, -0.5)
    axes.imshow(values.T, aspect="auto", interpolation="nearest", extent=place, **look)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _draw_spikes(axes: Axes, panel: _Panel, units: slice, black: str = "black") -> None:
    """Draw the spikes of ``units``: a stroke each, in the colour of its value."""
    from matplotlib.ticker import MaxNLocator

    value = panel.found.value[panel.sample, :, units]
    num_units, times = value.shape[1], panel.times
    size = max(1.0, min(5.0, 40 / num_units))
    shown = (black, *islice(cycle(_OTHER_VALUES), panel.found.potential.shape[3] - 1))
    for place, colour in enumerate(shown, start=1):
        at, unit = np.nonzero(value == place)
        axes.plot(
            times[at], unit, "|", color=colour, ms=size, mew=0.7, rasterized=len(at) > 5000
        )  # fmt: skip
    axes.set_ylim(num_units - 0.5, -0.5)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _how(found: Traces) -> str:
    values = found.potential.shape[3]
    text = "The units run freely: each spikes as its probability says. The answer is the output "
    text += "whose probability of a spike is highest on average."
    if values > 1:
        text += f" Spikes have {values} values: the first black, the second green."
    return text
