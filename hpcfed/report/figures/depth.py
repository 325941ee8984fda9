"""Networks whose blocks are repeated: accuracy over depth, and what clients of each depth cost.

A setting is all runs that differ in their seeds alone. D depths of a curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np
from numpy.typing import NDArray

from hpcfed.records.runfile import Record
from hpcfed.report.drawing import Look, bytes_axis, new_figure, note
from hpcfed.report.figures.recorded import (
    Setting,
    bars,
    is_asked,
    looks,
    seeds_text,
    settings,
)
from hpcfed.report.runs import Found
from hpcfed.report.statistics import T_INTERVAL, limits_of, mean_over_seeds

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


def has_data(found: Found) -> bool:
    """Say whether a finished run of ``found`` has a curve over depths."""
    return is_asked(found, _CURVE)


def rows(found: Found) -> Iterator[dict[str, Any]]:
    """Yield the curves."""
    for setting in _settings(found):
        metric = setting.metric
        for place, depth in enumerate(setting.column(DEPTH)):
            mean = setting.at(place, metric)
            yield {
                "setting": setting.name,
                "depth": int(depth),
                "operations": int(setting.tables[0][OPERATIONS][place]),
                "metric": metric,
                "seeds": mean.count,
                "mean": mean.mean,
                "low": mean.low,
                "high": mean.high,
            }


def client_rows(found: Found) -> Iterator[dict[str, Any]]:
    """Yield what clients of each depth cost."""
    for setting in _settings(found):
        metric = setting.metric
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
    drawn = looks(_settings(found))
    sent = [_sent(setting) for setting, _, _ in drawn]
    has_bytes = max(sent) > _MUCH * min(sent)
    height = 4.4 if has_bytes else 2.6
    figure = new_figure(height + 0.16 * sum(text.count("\n") + 1 for _, text, _ in drawn))
    above, *others = figure.subplots(1 + has_bytes, 1, squeeze=False)[:, 0]
    for setting, text, look in drawn:
        _draw_curve(above, setting, look | {"label": text})
        for axes in others:
            _draw_sent(axes, setting, look | ({} if setting.column(DEPTH) else {"label": text}))
    above.set(xlabel="iterations of the merged network's block", ylabel="accuracy / %")
    for axes in others:
        axes.set(xlabel="uplink in all rounds", ylabel="accuracy / %")
        bytes_axis(axes)
        axes.margins(x=0.1)
    for axes in (above, *others):
        axes.grid(visible=True)
    figure.legend(loc="outside upper left", borderpad=0.1)
    shown = [setting for setting, _, _ in drawn]
    note(
        figure,
        f"{shown[0].metric.replace('_', ' ')} after the last round, mean over seeds "
        f"({seeds_text(shown)}); bars: 95 % Student t interval from 3 seeds on.",
    )
    return figure


def _settings(found: Found) -> list[Setting]:
    """Return the settings. Raises InputError where none has a curve."""
    return settings(found, "depths", f"set {_CURVE}")


def _joined(records: Sequence[Record], name: str) -> F64:
    """Return a column of all participations of some runs; nothing where it is not known."""
    parts = [part for one in records for part in one.log.participations.get(name, ())]
    return np.concatenate([np.empty(0), *parts])


def _draw_curve(axes: Axes, setting: Setting, look: Look) -> None:
    metric = setting.metric
    depths = setting.column(DEPTH)
    means = [setting.at(place, metric) for place in range(len(depths))]
    if means:
        height = [100 * mean.mean for mean in means]
        axes.errorbar(depths, height, bars(means), lw=0.9, elinewidth=0.7, capsize=1.5,
                      **look)  # fmt: skip


def _draw_sent(axes: Axes, setting: Setting, look: Look) -> None:
    metric, runs = setting.metric, setting.curves.runs
    mean = mean_over_seeds([run.final(metric) for run in runs], limits_of(metric))
    place, height = [_sent(setting)], [100 * mean.mean]
    axes.errorbar(place, height, bars([mean]), elinewidth=0.7, capsize=1.5, ls="", **look)


def _sent(setting: Setting) -> float:
    """Return the bytes sent up in all rounds, mean over seeds."""
    return float(np.mean([run.uplink_bytes()[-1] for run in setting.curves.runs]))
