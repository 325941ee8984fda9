"""Networks that learn by rates and answer by spikes: accuracy over the window, and what is lost.

A setting is all runs that differ in their seeds alone. The gap is what rates have right and spikes
have not, run by run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

from hpcfed.report.drawing import new_figure, note
from hpcfed.report.figures.recorded import (
    Setting,
    bars,
    is_asked,
    looks,
    seeds_text,
    settings,
)
from hpcfed.report.runs import Found
from hpcfed.report.statistics import (
    DIFFERENCE,
    PAIRED_INTERVAL,
    T_INTERVAL,
    Mean,
    mean_over_seeds,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = {
    "setting": "keys that tell it from the others, and their values",
    "window": "time over which spikes are counted, s",
    "metric": "test_accuracy, or validation_accuracy where no run was tested",
    "seeds": "runs with a known value",
    "mean": "accuracy by spikes after the last round, mean over seeds, fraction",
    "low": f"lower end; {T_INTERVAL}",
    "high": "upper end of the same interval",
    "rates": "accuracy by rates, mean over seeds, fraction",
    "gap": "accuracy by rates minus by spikes, mean over seeds, fraction",
    "gap_low": f"lower end; {PAIRED_INTERVAL}",
    "gap_high": "upper end of the same interval",
    "spikes": "of all hidden neurons, a sample, mean over seeds",
}
WINDOW = "window"
_KEY = "model.soft_lif.windows"


def has_data(found: Found) -> bool:
    """Say whether a finished run of ``found`` was evaluated over windows."""
    return is_asked(found, _KEY)


def rows(found: Found) -> Iterator[dict[str, Any]]:
    """Yield a row for each setting and window."""
    for setting in settings(found, "windows", f"set {_KEY}"):
        metric = setting.metric
        split = metric.removesuffix("_accuracy")
        for place, window in enumerate(setting.column(WINDOW)):
            mean, gap = setting.at(place, metric), _gap(setting, place)
            yield {
                "setting": setting.name,
                "window": float(window),
                "metric": metric,
                "seeds": mean.count,
                "mean": mean.mean,
                "low": mean.low,
                "high": mean.high,
                "rates": setting.at(place, _rates(metric)).mean,
                "gap": gap.mean,
                "gap_low": gap.low,
                "gap_high": gap.high,
                "spikes": setting.at(place, f"{split}_spikes_per_sample").mean,
            }


def draw(found: Found) -> Figure:
    """Return the figure. Raises InputError without windows, and for too many settings."""
    drawn = [
        one for one in looks(settings(found, "windows", f"set {_KEY}")) if one[0].column(WINDOW)
    ]
    lines = sum(text.count("\n") + 1 for _, text, _ in drawn)
    figure = new_figure(4.4 + 0.16 * lines)
    above, below = figure.subplots(2, 1, sharex=True)
    for setting, text, look in drawn:
        places = range(len(setting.column(WINDOW)))
        means = [setting.at(place, setting.metric) for place in places]
        _draw_line(above, setting, means, look | {"label": text})
        rates = [100 * setting.at(place, _rates(setting.metric)).mean for place in places]
        above.plot(_milliseconds(setting), rates, color=look["color"], lw=0.7, ls="--")
        _draw_line(below, setting, [_gap(setting, place) for place in places], look)
    above.set(ylabel="accuracy / %")
    below.set(xlabel="window / ms", ylabel="rates minus spikes / points")
    below.axhline(0, color="0.5", lw=0.6)
    for axes in (above, below):
        axes.grid(visible=True)
    figure.legend(loc="outside upper left", borderpad=0.1)
    shown = [setting for setting, _, _ in drawn]
    note(
        figure,
        f"{shown[0].metric.replace('_', ' ')} after the last round, mean over seeds "
        f"({seeds_text(shown)}); dashed: by rates; bars: 95 % Student t interval from 3 seeds on, "
        "below of the paired differences.",
    )
    return figure


def _rates(metric: str) -> str:
    return metric.replace("_accuracy", "_rate_accuracy")


def _gap(setting: Setting, place: int) -> Mean:
    """Return what rates have right and spikes have not, over seeds."""
    metric = setting.metric
    gaps = setting.values(place, _rates(metric)) - setting.values(place, metric)
    return mean_over_seeds(gaps, DIFFERENCE)


def _milliseconds(setting: Setting) -> list[float]:
    return [1000 * float(window) for window in setting.column(WINDOW)]


def _draw_line(axes: Axes, setting: Setting, means: list[Mean], look: Any) -> None:
    height = [100 * mean.mean for mean in means]
    axes.errorbar(_milliseconds(setting), height, bars(means), lw=0.9, elinewidth=0.7, capsize=1.5,
                  **look)  # fmt: skip
