"""ANNs that became spiking networks: accuracy over the steps for which an image is shown.

A setting is all runs that differ in their seeds alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

from hpcfed.report.drawing import new_figure, note
from hpcfed.report.figures.recorded import Setting, bars, looks, settings
from hpcfed.report.runs import Found, Run
from hpcfed.report.statistics import T_INTERVAL, Mean, limits_of, mean_over_seeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = {
    "setting": "keys that tell it from the others, and their values",
    "steps": "time steps for which an image is shown; empty: the ANN itself",
    "metric": "test_accuracy, or validation_accuracy where no run was tested",
    "seeds": "runs with a known value",
    "mean": "accuracy, mean over seeds, fraction",
    "low": f"lower end; {T_INTERVAL}",
    "high": "upper end of the same interval",
}


def has_data(found: Found) -> bool:
    """Say whether a run of ``found`` was converted."""
    return any(_converted(run) for run in found.finished().runs)


def rows(found: Found) -> Iterator[dict[str, Any]]:
    """Yield the curves, and the ANN of each."""
    for setting in _settings(found):
        steps, means = [*setting.column("steps"), None], [*_means(setting), _ann(setting)]
        for count, mean in zip(steps, means, strict=True):
            yield {
                "setting": setting.name,
                "steps": None if count is None else int(count),
                "metric": setting.metric,
                "seeds": mean.count,
                "mean": mean.mean,
                "low": mean.low,
                "high": mean.high,
            }


def draw(found: Found) -> Figure:
    """Return the figure. Raises InputError without a converted run, and for too many settings."""
    drawn = looks(_settings(found))
    figure = new_figure(2.6 + 0.16 * sum(text.count("\n") + 1 for _, text, _ in drawn))
    axes = figure.subplots()
    for setting, text, look in drawn:
        means = _means(setting)
        axes.errorbar(
            setting.column("steps"), [100 * mean.mean for mean in means], bars(means),
            lw=0.9, elinewidth=0.7, capsize=1.5, label=text, **look,
        )  # fmt: skip
        axes.axhline(100 * _ann(setting).mean, color=look["color"], lw=0.7, ls="--")
    axes.set(xlabel="time steps", ylabel="accuracy / %")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(visible=True)
    figure.legend(loc="outside upper left", borderpad=0.1)
    note(
        figure,
        f"{drawn[0][0].metric.replace('_', ' ')}, mean over seeds; dashed: the ANN; bars: 95 % "
        "Student t interval from 3 seeds on.",
    )
    return figure


def _converted(run: Run) -> bool:
    return "converted_from" in run.columns.attributes and run.file.is_file()


def _settings(found: Found) -> list[Setting]:
    """Return the settings that were converted. Raises InputError where there is none."""
    converted = replace(found, runs=tuple(filter(_converted, found.runs)))
    return settings(converted, "steps", "hpcfed convert makes such runs")


def _means(setting: Setting) -> list[Mean]:
    """Return the accuracy after each number of steps, over seeds."""
    return [setting.at(place, setting.metric) for place in range(len(setting.column("steps")))]


def _ann(setting: Setting) -> Mean:
    """Return the accuracy of the ANN, over seeds."""
    values = [float(table[f"ann_{setting.metric}"]) for table in setting.tables]
    return mean_over_seeds(values, limits_of(setting.metric))
