"""Accuracy against communication: the numbers of each cell of mask p and drop q.

Equal budgets are cells whose expected uplink K (1 - q) (1 - p) P agrees; their difference is
tested in pairs of equal seeds, and all tests of a trade-off are corrected together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any  # Any: a table's values are text or numbers

import numpy as np

from hpcfed.report.grid import (
    Cell,
    Group,
    by_group,
    cells,
    drop_text,
    mean_drop,
    paired_differences,
)
from hpcfed.report.runs import Found, Run
from hpcfed.report.statistics import (
    PAIRED_INTERVAL,
    SIGNIFICANT,
    T_INTERVAL,
    Mean,
    holm,
    limits_of,
    mean_over_seeds,
    paired_p_value,
    pareto_front,
)
from hpcfed.report.values import value_text

METRICS = ("test_accuracy", "validation_accuracy")
TOLERANCE = 0.01

COLUMNS = {
    "group": "the other varying keys and their values",
    "mask_probability": "p, probability that an entry of the update is not sent",
    "drop_probability": "q, probability that a client sends nothing in a round; mean over clients",
    "num_runs": "finished runs with a known accuracy, one a seed",
    "num_planned": "runs foreseen in this cell",
    "accuracy": "mean over seeds after the last round, fraction of samples",
    "sd": "standard deviation over seeds (divisor n - 1), fraction; from 3 seeds on",
    "low": f"lower end; {T_INTERVAL}",
    "high": "upper end of the same interval",
    "budget_values": "expected uplink K (1 - q) (1 - p) P, values a round",
    "uplink_bytes": "bytes sent up in all rounds, mean over seeds, each round's cheapest coding",
    "on_front": "true where no other cell of the group has as few bytes and as high an accuracy",
    "metric": "which accuracy: test_accuracy or validation_accuracy",
}
PAIR_COLUMNS = {
    "group": "the other varying keys and their values",
    "budget_values": "expected uplink of both, values a round",
    "first": "the setting of higher mean accuracy",
    "second": "the setting of lower mean accuracy",
    "num_pairs": "repetitions (seeds, and folds) that both have",
    "difference": "mean paired difference of accuracy, first minus second, fraction",
    "low": f"lower end; {PAIRED_INTERVAL}",
    "high": "upper end of the same interval",
    "p_value": "two-sided paired t test; from 3 pairs on",
    "p_adjusted": "the same, adjusted for all pairs of this table (Holm)",
    "significant": f"true where p_adjusted is below {SIGNIFICANT}",
}


@dataclass(frozen=True)
class Point:
    """One cell with its numbers; accuracies are fractions, NaN where no run has one."""

    cell: Cell
    accuracy: Mean
    values: tuple[float, ...]
    uplink_bytes: float
    on_front: bool


@dataclass(frozen=True)
class Pair:
    """Two cells of one budget; ``first`` has the higher mean."""

    first: Point
    second: Point
    num_pairs: int
    difference: float
    low: float
    high: float
    p_value: float
    p_adjusted: float

    @property
    def significant(self) -> bool:
        """Whether the difference is more than chance, by the adjusted p-value."""
        return self.p_adjusted < SIGNIFICANT


@dataclass(frozen=True)
class Tradeoff:
    """All points by group, and the pairs of equal budget."""

    metric: str
    groups: dict[Group, list[Point]]
    pairs: list[Pair]


def tradeoff(found: Found, metric: str | None = None) -> Tradeoff:
    """Return the trade-off of the finished runs; ``metric`` None is test where there is one."""
    metric = metric or best_metric(found.runs)
    groups = {group: _points(members, metric) for group, members in by_group(cells(found)).items()}
    return Tradeoff(metric, groups, _tested(groups.values(), metric))


def best_metric(runs: Sequence[Run]) -> str:
    """Return the accuracy to show: test, or validation where no run was tested."""
    tested = any(np.isfinite(run.rounds["test_accuracy"]).any() for run in runs)
    return METRICS[0] if tested else METRICS[1]


def rows(found: Tradeoff) -> Iterator[dict[str, Any]]:
    """Yield the table of cells."""
    for group, points in found.groups.items():
        for point in points:
            yield {
                "group": _group_text(group),
                "mask_probability": point.cell.mask,
                "drop_probability": mean_drop(point.cell.drop),
                "num_runs": point.accuracy.count,
                "num_planned": point.cell.num_planned,
                "accuracy": point.accuracy.mean,
                "sd": point.accuracy.sd,
                "low": point.accuracy.low,
                "high": point.accuracy.high,
                "budget_values": point.cell.budget,
                "uplink_bytes": point.uplink_bytes,
                "on_front": point.on_front,
                "metric": found.metric,
            }


def pair_rows(found: Tradeoff) -> Iterator[dict[str, Any]]:
    """Yield the table of equal budgets."""
    for pair in found.pairs:
        yield {
            "group": _group_text(pair.first.cell.group),
            "budget_values": pair.first.cell.budget,
            "first": pair.first.cell.label,
            "second": pair.second.cell.label,
            "num_pairs": pair.num_pairs,
            "difference": pair.difference,
            "low": pair.low,
            "high": pair.high,
            "p_value": pair.p_value,
            "p_adjusted": pair.p_adjusted,
            "significant": pair.significant,
        }


def widest_pairs(found: Tradeoff) -> list[Pair]:
    """Return for each budget that several cells of a group share its best against its worst."""
    widest: dict[tuple[Group, int], Pair] = {}
    for pair in found.pairs:
        budget = pair.first.cell.budget
        at = pair.first.cell.group, round(100 * math.log(budget)) if budget > 0 else -1
        if at not in widest or pair.difference > widest[at].difference:
            widest[at] = pair
    return sorted(widest.values(), key=lambda pair: -pair.first.cell.budget)


def budget_levels(points: Sequence[Point]) -> list[tuple[float, str]]:
    """Return the fractions (1 - q)(1 - p) of the full uplink worth a line, with their names."""
    kept = [(1 - point.cell.mask) * (1 - mean_drop(point.cell.drop)) for point in points]
    lowest, highest = min(kept), max(kept)
    levels = [(1 / n, f"1/{n}") for n in (2, 5, 10, 20, 50, 100, 200, 500, 1000)]
    return [level for level in levels if lowest <= level[0] * (1 + 1e-9) and level[0] < highest]


def budget_line(
    level: float, masks: Sequence[float], drops: Sequence[float], steps: int = 400
) -> list[tuple[float, float, float, float]]:
    """Return where (1 - p)(1 - q) = ``level`` on a grid whose cells are drawn at equal distance.

    Cell (i, j) of ascending ``masks`` and ``drops`` lies at x = i, y = j; between them p and q
    are linear in x and y. Each point is (x, y, p, q).
    """
    x = np.unique(np.concatenate([np.linspace(0, len(masks) - 1, steps), np.arange(len(masks))]))
    p = np.interp(x, np.arange(len(masks)), masks)
    with np.errstate(divide="ignore"):
        q = 1 - level / (1 - p)
    near = np.abs(q[:, None] - np.asarray(drops)[None]) < 1e-12
    q = np.where(near.any(1), np.asarray(drops)[near.argmax(1)], q)
    inside = (q >= drops[0]) & (q <= drops[-1])
    y = np.interp(q, drops, np.arange(len(drops)))
    points = zip(x[inside], y[inside], p[inside], q[inside], strict=True)
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in points]


def _points(members: list[Cell], metric: str) -> list[Point]:
    values = [tuple(run.final(metric) for run in cell.runs) for cell in members]
    means = [mean_over_seeds(v, limits_of(metric)) for v in values]
    uplinks = [_mean_uplink(cell) for cell in members]
    front = pareto_front(uplinks, [mean.mean for mean in means])
    parts = zip(members, means, values, uplinks, front.tolist(), strict=True)
    return [Point(*part) for part in parts]


def _mean_uplink(cell: Cell) -> float:
    totals = [float(run.uplink_bytes()[-1]) for run in cell.runs if run.num_rounds]
    return float(np.mean(totals)) if totals else float("nan")


def _tested(groups: Sequence[list[Point]] | Any, metric: str) -> list[Pair]:
    pairs = [
        pair
        for points in groups
        for a, b in itertools.combinations(points, 2)
        if _equal(a.cell.budget, b.cell.budget)
        for pair in [_compare(a, b, metric)]
        if pair.num_pairs
    ]
    adjusted = holm([pair.p_value for pair in pairs])
    return [
        Pair(**(vars(pair) | {"p_adjusted": p})) for pair, p in zip(pairs, adjusted, strict=True)
    ]


def _equal(first: float, second: float) -> bool:
    return bool(abs(first - second) <= TOLERANCE * max(first, second))


def _compare(a: Point, b: Point, metric: str) -> Pair:
    differences = paired_differences(a.cell.runs, b.cell.runs, metric)
    if len(differences) and differences.mean() < 0:
        a, b, differences = b, a, -differences
    found = mean_over_seeds(differences, limits_of(metric, difference=True))
    p_value = paired_p_value(differences)
    return Pair(a, b, found.count, found.mean, found.low, found.high, p_value, float("nan"))


def _group_text(group: Group) -> str:
    return "; ".join(f"{key}={value_text(value)}" for key, value in group)


def point_text(point: Point) -> str:
    """Return a cell's setting and numbers in a line."""
    accuracy, cell = point.accuracy, point.cell
    if not accuracy.count:
        return f"p = {cell.mask:g}, q = {drop_text(cell.drop)}: no finished run with an accuracy"
    spread = f" ± {100 * accuracy.sd:.1f}" if accuracy.sd == accuracy.sd else ""
    return f"{cell.label}: {100 * accuracy.mean:.1f}{spread} % of {accuracy.count} runs"
