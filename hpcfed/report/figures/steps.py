"""ANNs that became spiking networks: accuracy over the steps for which an image is shown.

A setting is all runs that differ in their seeds alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.errors import InputError
from hpcfed.records.runfile import Record, read_record
from hpcfed.report.curves import group
from hpcfed.report.drawing import (
    MARKERS,
    MOST_COLOURS,
    colours,
    new_figure,
    note,
    told_apart,
)
from hpcfed.report.figures.uncertainty.bytes import names
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


@dataclass(frozen=True)
class Setting:
    """One setting's runs, and what their files hold."""

    name: str
    records: tuple[Record, ...]

    @property
    def metric(self) -> str:
        """What is shown."""
        tested = any(np.isfinite(record.steps["ann_test_accuracy"]) for record in self.records)
        return "test_accuracy" if tested else "validation_accuracy"

    @property
    def steps(self) -> list[int]:
        """The numbers of steps, ascending."""
        return [int(count) for count in self.records[0].steps["steps"]]

    @property
    def ann(self) -> Mean:
        """Accuracy of the ANN, over seeds."""
        return self._mean([float(record.steps[f"ann_{self.metric}"]) for record in self.records])

    def at(self, place: int) -> Mean:
        """Return the accuracy after one of ``steps``, over seeds."""
        return self._mean([float(record.steps[self.metric][place]) for record in self.records])

    def _mean(self, values: list[float]) -> Mean:
        return mean_over_seeds(values, limits_of(self.metric))


def has_data(found: Found) -> bool:
    """Say whether a run of ``found`` was converted."""
    return any(_converted(run) for run in found.finished().runs)


def rows(found: Found) -> Iterator[dict[str, Any]]:
    """Yield the curves, and the ANN of each."""
    for setting in _settings(found):
        means = [setting.at(place) for place in range(len(setting.steps))]
        for steps, mean in zip([*setting.steps, None], [*means, setting.ann], strict=True):
            yield {
                "setting": setting.name,
                "steps": steps,
                "metric": setting.metric,
                "seeds": mean.count,
                "mean": mean.mean,
                "low": mean.low,
                "high": mean.high,
            }


def draw(found: Found) -> Figure:
    """Return the figure. Raises InputError without a converted run, and for too many settings."""
    settings = _settings(found)
    if len(settings) > MOST_COLOURS:
        raise InputError(
            f"{len(settings)} settings cannot be told apart in one picture (at most "
            f"{MOST_COLOURS}); choose some with --where KEY=VALUE"
        )
    texts = told_apart([setting.name for setting in settings])
    figure = new_figure(2.6 + 0.16 * sum(text.count("\n") + 1 for text in texts))
    axes = figure.subplots()
    pairs = zip(settings, texts, colours(len(settings)), strict=True)
    for place, (setting, text, colour) in enumerate(pairs):
        means = [setting.at(number) for number in range(len(setting.steps))]
        ends = np.array([(mean.mean - mean.low, mean.high - mean.mean) for mean in means])
        axes.errorbar(
            setting.steps, [100 * mean.mean for mean in means], 100 * np.nan_to_num(ends.T),
            lw=0.9, elinewidth=0.7, capsize=1.5, color=colour, label=text,
            marker=MARKERS[place % len(MARKERS)],
        )  # fmt: skip
        axes.axhline(100 * setting.ann.mean, color=colour, lw=0.7, ls="--")
    axes.set(xlabel="time steps", ylabel="accuracy / %")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(visible=True)
    figure.legend(loc="outside upper left", borderpad=0.1)
    note(
        figure,
        f"{settings[0].metric.replace('_', ' ')}, mean over seeds; dashed: the ANN; bars: 95 % "
        "Student t interval from 3 seeds on.",
    )
    return figure


def _converted(run: Run) -> bool:
    return "converted_from" in run.columns.attributes and run.file.is_file()


def _settings(found: Found) -> list[Setting]:
    """Return the settings that were converted. Raises InputError where there is none."""
    groups = [one for one in group(found.finished()) if all(map(_converted, one.runs))]
    if not groups:
        raise InputError(f"{found.root}: no run was converted; see hpcfed convert --help")
    named = zip(names([curves.runs[0].keys for curves in groups]), groups, strict=True)
    return [
        Setting(
            name or str(curves.runs[0].keys.get("name", "run")),
            tuple(read_record(run.file) for run in curves.runs),
        )
        for name, curves in named
    ]
