"""What sending seldom and sending little cost: accuracy against all that was sent up.

A line is how much clients learn between two exchanges, tau; its points are how many bases of the
kernels they then send (Skatchkovsky, Jang, Simeone 2019, arXiv 1910.09594).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.base.amounts import percent
from hpcfed.config.tree import Value
from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
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
from hpcfed.report.figures.circuits.view import base_rate, is_circuit, settings_of
from hpcfed.report.figures.tradeoff import best_metric
from hpcfed.report.figures.view import View
from hpcfed.report.grid import SEEDS, sort_key
from hpcfed.report.runs import Found, Run
from hpcfed.report.statistics import T_INTERVAL, Mean, limits_of, mean_over_seeds
from hpcfed.report.values import value_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = {
    "line": "how much clients learn in a round, and further keys where points differ in them",
    "tau": "what a client learns from in a round",
    "tau_unit": "bins, steps (batches of samples) or epochs",
    "groups": "bases that a client sends in a round",
    "bases": "bases of the kernels",
    "uplink_bytes": "bytes sent up in all rounds, mean over seeds",
    "metric": "test_accuracy, or validation_accuracy where no run was tested",
    "seeds": "runs with a known value",
    "mean": "accuracy after the last round, mean over seeds, fraction",
    "low": f"lower end; {T_INTERVAL}",
    "high": "upper end of the same interval",
    "base_rate": "accuracy of always saying the commonest class; empty: not known",
}
_TAUS = {"rule.circuit.bins": "bins", "client.steps": "steps", "client.epochs": "epochs"}
_GROUPS, _KIND = "uplink.groups", "rule.kind"


@dataclass(frozen=True)
class Point:
    """A setting over its seeds.

    Attributes:
        line: what tells its line from the others, in words.
        tau: what a client learns from in a round, and in what it is counted.
        groups: how many of the ``bases`` a client sends.
        uplink_bytes: in all rounds, mean over seeds.
    """

    line: str
    tau: tuple[int, str]
    groups: int
    bases: int
    uplink_bytes: float
    accuracy: Mean


def has_data(found: Found) -> bool:
    """Say whether finished runs differ in how often, or in how much, their units' kernels travel.

    Of one tau and one number of bases there is nothing to be weighed up.
    """
    ways = {(tau_of(run.keys), groups_of(run.keys)) for run in _runs(found)}
    return len(ways) > 1


def points(found: Found) -> list[Point]:
    """Return the settings of the finished runs, line by line.

    Raises InputError where they do not differ in how they send.
    """
    if not has_data(found):
        raise InputError(
            f"{found.root}: sending is compared of finished runs of glm or wta that differ in "
            "client.steps, rule.circuit.bins or uplink.groups, and there are none"
        )
    chosen = Found(found.root, tuple(_runs(found)), ())
    settings, metric = group(chosen), best_metric(chosen.runs)
    ordered = sorted(settings, key=lambda curves: _place(curves.runs[0].keys))
    lines = line_names([curves.runs[0].keys for curves in ordered])
    made = [_point(*item, metric) for item in zip(lines, ordered, strict=True)]
    known = [point for point in made if point.accuracy.count and point.uplink_bytes > 0]
    if not known:
        raise InputError(f"{found.root}: no run has sent anything and was evaluated at its end")
    return sorted(known, key=lambda point: list(dict.fromkeys(lines)).index(point.line))


def tau_of(keys: Mapping[str, Value]) -> tuple[int, str]:
    """Return what a client learns from in a round, and in what that is counted."""
    return next(((int(keys[k]), unit) for k, unit in _TAUS.items() if keys.get(k)), (1, "epochs"))


def groups_of(keys: Mapping[str, Value]) -> int:
    """Return how many bases a client sends in a round: all, if nothing else is said."""
    bases = settings_of(keys).bases
    return min(int(keys.get(_GROUPS) or bases), bases)


def line_names(settings_keys: Sequence[Mapping[str, Value]]) -> list[str]:
    """Return the line of each setting: its tau, and keys that differ at one tau and groups.

    Keys that go along with the two, as the number of rounds or ``uplink.mask``, are not named.
    """
    known = dict.fromkeys(key for keys in settings_keys for key in keys)
    places = [(tau_of(keys), groups_of(keys)) for keys in settings_keys]
    apart = [key for key in known if key not in (*SEEDS, "name", _KIND, _GROUPS, *_TAUS)]
    named = [key for key in apart if _differs(key, places, settings_keys)]
    if len({keys[_KIND] for keys in settings_keys}) > 1:
        named.insert(0, _KIND)
    return [_line(keys, named) for keys in settings_keys]


def rows(found: Found) -> Iterator[dict[str, Any]]:
    """Yield the points."""
    shown, metric, rate = points(found), best_metric(_runs(found)), _base_rate(found)
    for point in shown:
        yield {
            "line": point.line,
            "tau": point.tau[0],
            "tau_unit": point.tau[1],
            "groups": point.groups,
            "bases": point.bases,
            "uplink_bytes": point.uplink_bytes,
            "metric": metric,
            "seeds": point.accuracy.count,
            "mean": point.accuracy.mean,
            "low": point.accuracy.low,
            "high": point.accuracy.high,
            "base_rate": rate,
        }


def draw(found: Found) -> Figure:
    """Return the figure. Raises InputError for runs that do not differ so, and for too many."""
    shown, rate = points(found), _base_rate(found)
    lines = list(dict.fromkeys(point.line for point in shown))
    if len(lines) > MOST_COLOURS:
        raise InputError(
            f"{len(lines)} lines cannot be told apart in one picture (at most {MOST_COLOURS}); "
            "choose some with --where KEY=VALUE"
        )
    texts = told_apart(lines)
    figure = new_figure(3.0 + 0.16 * sum(text.count("\n") + 1 for text in texts))
    axes = figure.subplots()
    for place, (line, colour) in enumerate(zip(lines, colours(len(lines)), strict=True)):
        look: Look = {"color": colour, "marker": MARKERS[place % len(MARKERS)]}
        mine = [point for point in shown if point.line == line]
        _draw_line(axes, mine, look | {"label": texts[place]})
    if np.isfinite(rate):
        axes.axhline(100 * rate, ls=":", color="0.4", label=f"base rate, {percent(rate)}")
    metric = best_metric(_runs(found)).replace("_", " ")
    bytes_axis(axes)
    axes.set(xlabel="uplink in all rounds", ylabel=f"{metric} / %")
    axes.margins(x=0.1)
    axes.grid(visible=True)
    figure.legend(loc="outside upper left", borderpad=0.1)
    note(figure, _how(shown))
    return figure


def _runs(found: Found) -> list[Run]:
    return [run for run in found.finished().runs if is_circuit(run.keys) and run.num_rounds]


def _place(keys: Mapping[str, Value]) -> tuple[Any, ...]:  # Any: values of several types
    amount, unit = tau_of(keys)
    others = [sort_key(value) for key, value in sorted(keys.items()) if key not in SEEDS]
    return list(_TAUS.values()).index(unit), amount, groups_of(keys), others


def _differs(
    key: str,
    places: Sequence[tuple[tuple[int, str], int]],
    settings_keys: Sequence[Mapping[str, Value]],
) -> bool:
    """Say whether settings of one tau and number of bases have several values of ``key``."""
    pairs = zip(places, settings_keys, strict=True)
    return len({(place, keys.get(key)) for place, keys in pairs}) > len(set(places))


def _line(keys: Mapping[str, Value], named: Sequence[str]) -> str:
    amount, unit = tau_of(keys)
    what = unit if amount != 1 else unit.removesuffix("s")
    others = [f"{key} = {value_text(keys.get(key))}" for key in named]
    return ", ".join([f"{amount} {what} a round", *others])


def _point(line: str, curves: Curves, metric: str) -> Point:
    keys = curves.runs[0].keys
    accuracy = mean_over_seeds([run.final(metric) for run in curves.runs], limits_of(metric))
    sent = float(np.mean([run.uplink_bytes()[-1] for run in curves.runs]))
    bases = settings_of(keys).bases
    return Point(line, tau_of(keys), groups_of(keys), bases, sent, accuracy)


def _base_rate(found: Found) -> float:
    """Return the base rate of the first run whose file tells it; NaN if none does."""
    for run in _runs(found):
        try:
            rate = base_rate(View(read_record(run.file)))
        except InputError:  # of a collected sweep the files may be elsewhere
            continue
        if np.isfinite(rate):
            return rate
    return float("nan")


def _draw_line(axes: Axes, mine: Sequence[Point], look: Look) -> None:
    ordered = sorted(mine, key=lambda point: point.uplink_bytes)
    x = [point.uplink_bytes for point in ordered]
    y = [100 * point.accuracy.mean for point in ordered]
    ends = [(p.accuracy.mean - p.accuracy.low, p.accuracy.high - p.accuracy.mean) for p in ordered]
    bars = 100 * np.nan_to_num(np.array(ends).T)
    axes.errorbar(x, y, bars, lw=0.9, elinewidth=0.7, capsize=1.5, **look)
    for point, left, height in zip(ordered, x, y, strict=True):
        axes.annotate(
            str(point.groups), (left, height), (3, 3), textcoords="offset points", fontsize=6
        )


def _how(shown: Sequence[Point]) -> str:
    seeds = sorted({point.accuracy.count for point in shown})
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    bases = " or ".join(str(b) for b in sorted({point.bases for point in shown}))
    return (
        f"After the last round, mean over seeds ({many}); bars: 95 % Student t interval from 3 "
        f"seeds on. Numbers: bases that a client sends, of {bases}."
    )
