"""Networks whose blocks are repeated: accuracy over depth, and what clients of each depth cost.

A setting is all runs that differ in their seeds alone. D depths of a curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.records.runfile import Record, read_record
from hpcfed.report.curves import Curves, group
from hpcfed.report.drawing import (
    MARKERS,
    MOST_COLOURS,
    Look,
    bytes_axis,
    colours,
    new_figure,
    note,
    told_apart,
)
from hpcfed.report.figures.uncertainty.bytes import names
from hpcfed.report.runs import Found, Run
from hpcfed.report.statistics import T_INTERVAL, Mean, limits_of, mean_over_seeds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

COLUMNS = {
    "setting": "keys that tell it from the others, and their values",
    "depth": "iterations of the merged network's repeated block",
    "operations": "multiply-accumulates, a sample and a bin",
    "metric": "test_accuracy, or validation_accuracy where no run was tested",
    "seeds": "runs with a known value",
    "mean": "accuracy after the last round, mean over seeds, fraction",
    "low": f"lower end; {T_INTERVAL}",
    "high": "upper end of the same interval",
}
CLIENT_COLUMNS = {
    "setting": "keys that tell it from the others, and their values",
    "depth": "iterations of a client's repeated block; empty: a network without",
    "participations": "how often such clients trained, all seeds and rounds",
    "parameters": "of the network",
    "message_bytes": "bytes that a client sends up in a round, mean",
    "operations": "multiply-accumulates, a sample and a bin; empty: no block",
    "seconds": "a client's local training in a round, mean; empty: not known",
    "metric": "test_accuracy, or validation_accuracy where no run was tested",
    "accuracy": "of the merged network after the last round, mean over seeds, fraction",
}
DEPTH, OPERATIONS, SECONDS = "depth", "operations", "seconds_client"
_CURVE = "model.repeat.curve"
_MUCH = 1.1  # times as many bytes, from which on they are drawn


@dataclass(frozen=True)
class Setting:
    """One setting's finished runs, and what their files hold."""

    name: str
    curves: Curves
    records: tuple[Record, ...]

    @property
    def depths(self) -> list[int]:
        """The D depths of its curve; none without."""
        return [int(depth) for depth in self.records[0].depths.get(DEPTH, ())]

    def at(self, place: int, metric: str) -> Mean:
        """Return the accuracy at a depth of the curve, over seeds."""
        values = [float(record.depths[metric][place]) for record in self.records]
        return mean_over_seeds(values, limits_of(metric))


def has_data(found: Found) -> bool:
    """Say whether a finished run of ``found`` has a curve over depths."""
    return any(_curve_of(run) for run in found.finished().runs)


def rows(found: Found) -> Iterator[dict[str, Any]]:
    """Yield the curves."""
    for setting in _settings(found):
        metric = _metric(setting)
        for place, depth in enumerate(setting.depths):
            mean = setting.at(place, metric)
            yield {
                "setting": setting.name,
                "depth": depth,
                "operations": int(setting.records[0].depths[OPERATIONS][place]),
                "metric": metric,
                "seeds": mean.count,
                "mean": mean.mean,
                "low": mean.low,
                "high": mean.high,
            }


def client_rows(found: Found) -> Iterator[dict[str, Any]]:
    """Yield what clients of each depth cost."""
    for setting in _settings(found):
        metric = _metric(setting)
        runs = setting.curves.runs
        trained = sum(float(run.rounds["num_participants"].sum()) for run in runs)
        sent = sum(float(run.uplink_bytes()[-1]) for run in runs)
        final = mean_over_seeds([run.final(metric) for run in runs], limits_of(metric))
        common = {
            "setting": setting.name,
            "parameters": len(setting.records[0].params),
            "message_bytes": sent / trained if trained else float("nan"),
            "metric": metric,
            "accuracy": final.mean,
        }
        named = (DEPTH, OPERATIONS, SECONDS)
        depths, operations, seconds = (_joined(setting.records, name) for name in named)
        for depth in np.unique(depths).tolist():
            mine = depths == depth
            yield common | {
                "depth": int(depth),
                "participations": int(mine.sum()),
                "operations": int(operations[mine][0]),
                "seconds": float(seconds[mine].mean()),
            }
        if not len(depths):
            yield common | {"depth": None, "participations": int(trained)}


def draw(found: Found) -> Figure:
    """Return the figure. Raises InputError without a curve, and for too many settings."""
    settings = _settings(found)
    if len(settings) > MOST_COLOURS:
        raise InputError(
            f"{len(settings)} settings cannot be told apart in one picture (at most "
            f"{MOST_COLOURS}); choose some with --where KEY=VALUE"
        )
    texts = told_apart([setting.name for setting in settings])
    sent = [_sent(setting) for setting in settings]
    has_bytes = max(sent) > _MUCH * min(sent)
    height = 4.4 if has_bytes else 2.6
    figure = new_figure(height + 0.16 * sum(text.count("\n") + 1 for text in texts))
    above, *others = figure.subplots(1 + has_bytes, 1, squeeze=False)[:, 0]
    pairs = zip(settings, texts, colours(len(settings)), strict=True)
    for place, (setting, text, colour) in enumerate(pairs):
        look: Look = {"color": colour, "marker": MARKERS[place % len(MARKERS)]}
        _draw_curve(above, setting, look | {"label": text})
        for axes in others:
            _draw_sent(axes, setting, look | ({} if setting.depths else {"label": text}))
    above.set(xlabel="iterations of the merged network's block", ylabel="accuracy / %")
    for axes in others:
        axes.set(xlabel="uplink in all rounds", ylabel="accuracy / %")
        bytes_axis(axes)
        axes.margins(x=0.1)
    for axes in (above, *others):
        axes.grid(visible=True)
    figure.legend(loc="outside upper left", borderpad=0.1)
    seeds = sorted({len(setting.records) for setting in settings})
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    note(
        figure,
        f"{_metric(settings[0]).replace('_', ' ')} after the last round, mean over seeds ({many}); "
        "bars: 95 % Student t interval from 3 seeds on.",
    )
    return figure


def _curve_of(run: Run) -> bool:
    return run.num_rounds > 0 and run.file.is_file() and bool(run.keys.get(_CURVE))


def _settings(found: Found) -> list[Setting]:
    """Return the settings. Raises InputError where none has a curve."""
    groups = [one for one in group(found.finished()) if all(r.file.is_file() for r in one.runs)]
    named = zip(names([curves.runs[0].keys for curves in groups]), groups, strict=True)
    settings = [
        Setting(name or _name(curves), curves, tuple(read_record(run.file) for run in curves.runs))
        for name, curves in named
    ]
    if not any(setting.depths for setting in settings):
        raise InputError(
            f"{found.root}: no finished run was evaluated over depths; set model.repeat.curve"
        )
    return settings


def _name(curves: Curves) -> str:
    """Return the name of the only setting."""
    return str(curves.runs[0].keys.get("name", "run"))


def _metric(setting: Setting) -> str:
    tested = any(np.isfinite(run.final("test_accuracy")) for run in setting.curves.runs)
    return "test_accuracy" if tested else "validation_accuracy"


def _joined(records: Sequence[Record], name: str) -> F64:
    """Return a column of all participations of some runs; nothing where it is not known."""
    parts = [part for one in records for part in one.log.participations.get(name, ())]
    return np.concatenate([np.empty(0), *parts])


def _draw_curve(axes: Axes, setting: Setting, look: Look) -> None:
    metric = _metric(setting)
    means = [setting.at(place, metric) for place in range(len(setting.depths))]
    if means:
        height = [100 * mean.mean for mean in means]
        axes.errorbar(setting.depths, height, _bars(means), lw=0.9, elinewidth=0.7, capsize=1.5,
                      **look)  # fmt: skip


def _draw_sent(axes: Axes, setting: Setting, look: Look) -> None:
    metric, runs = _metric(setting), setting.curves.runs
    mean = mean_over_seeds([run.final(metric) for run in runs], limits_of(metric))
    place, height = [_sent(setting)], [100 * mean.mean]
    axes.errorbar(place, height, _bars([mean]), elinewidth=0.7, capsize=1.5, ls="", **look)


def _sent(setting: Setting) -> float:
    """Return the bytes sent up in all rounds, mean over seeds."""
    return float(np.mean([run.uplink_bytes()[-1] for run in setting.curves.runs]))


def _bars(means: Sequence[Mean]) -> F64:
    ends = [(mean.mean - mean.low, mean.high - mean.mean) for mean in means]
    return 100 * np.nan_to_num(np.array(ends, np.float64).T)
