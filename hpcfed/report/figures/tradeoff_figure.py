"""The trade-off as a picture: a heat map over mask p and drop q, and accuracy against bytes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any  # Any: matplotlib's colour map and norm

import numpy as np

from hpcfed.errors import InputError
from hpcfed.report.curves import ended_early
from hpcfed.report.drawing import (
    MARKERS,
    SEQUENCE,
    WIDTH,
    Look,
    bytes_axis,
    colours,
    new_figure,
    note,
    told_apart,
)
from hpcfed.report.figures.tradeoff import (
    Pair,
    Point,
    Tradeoff,
    budget_levels,
    budget_line,
    widest_pairs,
)
from hpcfed.report.grid import drop_text, group_text, mean_drop, sort_key
from hpcfed.report.statistics import FEWEST

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DropKey = tuple[float, tuple[int, float, str]]
_Ticks = tuple[list[float], list[_DropKey]]  # all p and all q of the picture

MOST_GROUPS = 4
LINE = "#D55E00"
_HOW = (
    "Cells: mean ± standard deviation over seeds, n finished runs (of those planned); hatched: no "
    "finished run. Dashed: equal expected uplink K(1-q)(1-p)P, as a fraction of the full one. "
    "Bars: 95 % Student t interval; fewer than 3 seeds: single runs as small dots. Stars: equal "
    "budgets whose best and worst differ (paired t test by seeds, Holm, 5 %)."
)


def draw(found: Tradeoff) -> Figure:
    """Return the figure. Raises InputError if there is nothing to draw, or too much."""
    groups = {g: p for g, p in found.groups.items() if any(x.accuracy.count for x in p)}
    if not groups:
        raise InputError(f"no finished run has a {found.metric}: there is no trade-off to draw")
    if len(groups) > MOST_GROUPS:
        names = ", ".join(name for name, _ in next(iter(groups)))
        raise InputError(
            f"{len(groups)} settings beside p and q do not fit one picture (at most {MOST_GROUPS});"
            f" choose some with --where KEY=VALUE; what varies: {names}"
        )
    rows = max(len({_drop_key(p) for p in points}) for points in groups.values())
    heat_height = 1.0 + 0.45 * rows
    columns = max(len({p.cell.mask for p in points}) for points in groups.values())
    figure = new_figure(heat_height + 3.4, max(WIDTH, 0.9 + 0.42 * columns) * len(groups))
    panels = figure.subplots(
        2, len(groups), squeeze=False, gridspec_kw={"height_ratios": [heat_height, 2.5]}
    )
    for others in panels[:, 1:].T:  # panels side by side are read against each other
        for axes, first in zip(others, panels[:, 0], strict=True):
            axes.sharex(first)
            axes.sharey(first)
    everything = [point for points in groups.values() for point in points]
    ticks = sorted({p.cell.mask for p in everything}), sorted({_drop_key(p) for p in everything})
    known = [100 * p.accuracy.mean for ps in groups.values() for p in ps if p.accuracy.count]
    scale = _Scale(min(known), max(known))
    titles = told_apart([group_text(group) for group in groups], 40)
    for column, (group, points) in enumerate(groups.items()):
        top, bottom = panels[:, column]
        _draw_heat_map(top, points, ticks, scale)
        pairs = [pair for pair in widest_pairs(found) if pair.first.cell.group == group]
        _draw_against_bytes(bottom, points, pairs, found.metric)
        if group:
            top.set_title(titles[column], pad=10)
    bar = figure.colorbar(scale.mappable(), ax=panels[0, :].tolist(), aspect=30, pad=0.02)
    bar.set_label(f"{_metric_text(found.metric)} / %")
    early = ended_early([run for point in everything for run in point.cell.runs])
    note(figure, _HOW + (f" Runs before their last round: {', '.join(early)}." if early else ""))
    return figure


class _Scale:
    """Accuracy in per cent to colours."""

    def __init__(self, low: float, high: float) -> None:
        from matplotlib import colormaps
        from matplotlib.colors import Normalize

        margin = 0.5 if high == low else 0.0
        self.norm: Any = Normalize(low - margin, high + margin)
        self.map: Any = colormaps[SEQUENCE]

    def mappable(self) -> Any:
        from matplotlib.cm import ScalarMappable

        return ScalarMappable(self.norm, self.map)

    def colours(self, percent: float) -> tuple[Any, str]:
        """Return the colour of a cell, and of text on it."""
        colour = self.map(self.norm(percent))
        luminance = float(np.dot(colour[:3], (0.299, 0.587, 0.114)))
        return colour, "black" if luminance > 0.5 else "white"


def _draw_heat_map(axes: Axes, points: Sequence[Point], ticks: _Ticks, scale: _Scale) -> None:
    masks, drops = ticks
    for point in points:
        place = masks.index(point.cell.mask), drops.index(_drop_key(point))
        _draw_cell(axes, point, place, scale)
    axes.set_xlim(-0.5, len(masks) - 0.5)
    axes.set_ylim(-0.5, len(drops) - 0.5)
    axes.set_xticks(range(len(masks)), [f"{p:g}" for p in masks])
    labels = {_drop_key(p): drop_text(p.cell.drop) for p in points}
    axes.set_yticks(range(len(drops)), [labels.get(key, f"{key[0]:g}") for key in drops])
    axes.set(xlabel="mask probability p", ylabel="drop probability q")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    by_client = any(isinstance(p.cell.drop, tuple) for p in points)
    if len(masks) > 1 and len(drops) > 1 and not by_client:
        _draw_budgets(axes, points, masks, [mean for mean, _ in drops])


def _draw_cell(axes: Axes, point: Point, place: tuple[int, int], scale: _Scale) -> None:
    from matplotlib.patches import Rectangle

    corner = place[0] - 0.48, place[1] - 0.48
    accuracy = point.accuracy
    if not accuracy.count:
        style: Look = {"facecolor": "none", "edgecolor": "0.6", "hatch": "////", "lw": 0}
        axes.add_patch(Rectangle(corner, 0.96, 0.96, **style))
        text = "no\nacc." if point.cell.runs else "no run"
        box: Look = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(*place, text, ha="center", va="center", fontsize=5.5, bbox=box, zorder=4)
        return
    colour, ink = scale.colours(100 * accuracy.mean)
    axes.add_patch(Rectangle(corner, 0.96, 0.96, facecolor=colour, lw=0))
    planned = point.cell.num_planned
    count = f"n {accuracy.count}" + (f"/{planned}" if planned > accuracy.count else "")
    spread = [f"±{100 * accuracy.sd:.1f}"] if accuracy.count >= FEWEST else []
    text = "\n".join([f"{100 * accuracy.mean:.1f}", *spread, count])
    # the box keeps a budget line that passes through the cell's centre off the numbers
    behind: Look = {"facecolor": colour, "edgecolor": "none", "pad": 0.8}
    centre: Look = {"ha": "center", "va": "center", "linespacing": 1.05}
    axes.text(*place, text, color=ink, fontsize=6, bbox=behind, zorder=4, **centre)


def _draw_budgets(
    axes: Axes, points: Sequence[Point], masks: Sequence[float], drops: Sequence[float]
) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=1.8, foreground="white")]
    for level, name in budget_levels(points):
        line = budget_line(level, masks, drops)
        if len(line) < 2:
            continue
        x, y = [point[0] for point in line], [point[1] for point in line]
        axes.plot(x, y, "--", color=LINE, lw=0.9, path_effects=halo, zorder=3)
        at_floor = y[-1] < 0.05
        place = (x[-1], -0.37) if at_floor else (len(masks) - 0.45, y[-1])
        style: Look = {"fontsize": 5.5, "color": LINE, "path_effects": halo, "zorder": 5}
        axes.text(*place, name, ha="center" if at_floor else "left", va="center", **style)


def _draw_against_bytes(
    axes: Axes, points: Sequence[Point], pairs: Sequence[Pair], metric: str
) -> None:
    shown = [p for p in points if p.accuracy.count and p.uplink_bytes > 0]
    drops = sorted({_drop_key(p) for p in shown})
    styles = zip(drops, colours(len(drops)), itertools.cycle(MARKERS), strict=False)
    for key, colour, marker in styles:
        members = [p for p in shown if _drop_key(p) == key]
        label = f"q = {drop_text(members[0].cell.drop)}"
        for point in members:
            _draw_spread(axes, point, colour, metric)
        x, y = _places(members)
        axes.plot(x, y, marker, color=colour, mec="white", mew=0.4, label=label, zorder=3)
    _draw_front(axes, [p for p in shown if p.on_front])
    if shown:
        bytes_axis(axes)
    _draw_stars(axes, shown, pairs)
    axes.grid(axis="y")
    axes.set(xlabel="uplink in all rounds", ylabel=f"{_metric_text(metric)} / %")
    below: Look = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.22)}
    axes.legend(ncols=3, handletextpad=0.3, columnspacing=1.0, **below)


def _draw_spread(axes: Axes, point: Point, colour: str, metric: str) -> None:
    if point.accuracy.count >= FEWEST:
        ends = [100 * point.accuracy.low, 100 * point.accuracy.high]
        axes.plot([point.uplink_bytes] * 2, ends, "-", color=colour, lw=0.8, alpha=0.7)
        return
    values = [100 * run.final(metric) for run in point.cell.runs]
    sizes = [float(run.uplink_bytes()[-1]) for run in point.cell.runs]
    axes.plot(sizes, values, ".", color=colour, ms=2, alpha=0.7)


def _draw_front(axes: Axes, front: Sequence[Point]) -> None:
    x, y = _places(sorted(front, key=lambda p: p.uplink_bytes))
    axes.plot(x, y, drawstyle="steps-post", color="0.45", lw=0.8, zorder=1, label="Pareto front")


def _draw_stars(axes: Axes, shown: Sequence[Point], pairs: Sequence[Pair]) -> None:
    """Join the best and the worst of each budget whose difference is significant."""
    for pair in pairs:
        if not (pair.significant and pair.first in shown and pair.second in shown):
            continue
        x, y = _places([pair.first, pair.second])
        axes.plot(x, y, ":", color="0.2", lw=0.8, zorder=2)
        top = max(pair.first.accuracy.high, pair.first.accuracy.mean)
        place = pair.first.uplink_bytes, 100 * top
        axes.annotate("*", place, (0, -1), textcoords="offset points", ha="center", fontsize=9)


def _places(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    return [p.uplink_bytes for p in points], [100 * p.accuracy.mean for p in points]


def _drop_key(point: Point) -> _DropKey:
    return mean_drop(point.cell.drop), sort_key(point.cell.drop)


def _metric_text(metric: str) -> str:
    return metric.replace("_", " ")
