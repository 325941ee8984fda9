"""What the page's script draws: runs, curves and trade-off as plain values, small and exact enough.

Accuracies keep four decimals, losses four digits, bytes are whole. NaN becomes null. R rounds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any  # Any: JSON values
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.tree import Value
from hpcfed.report.curves import QUANTITIES
from hpcfed.report.drawing import told_apart
from hpcfed.report.figures.timing import PHASES
from hpcfed.report.figures.tradeoff import Point, Tradeoff, budget_levels, budget_line, widest_pairs
from hpcfed.report.grid import SEEDS, drop_text, group_text, mean_drop, sort_key, varying_keys
from hpcfed.report.runs import Found, Run
from hpcfed.report.statistics import FEWEST, critical
from hpcfed.report.values import value_text

F64 = NDArray[np.float64]
Json = Any

MOST_VALUES = 150_000  # rounds of all runs together: keeps a page of 1000 runs below 8 MB
FEWEST_ROUNDS = 20


def page_data(found: Found, shown: Tradeoff, out: Path | None) -> Json:
    """Return the data of the page that will lie at ``out``, or nowhere."""
    keys = list(varying_keys(found.runs))
    place = {id(run): index for index, run in enumerate(found.runs)}
    cap = max(FEWEST_ROUNDS, MOST_VALUES // max(1, len(found.runs)))
    texts = told_apart([group_text(group) for group in shown.groups], 250)
    seeds = max([len(found.runs), FEWEST])
    return {
        "metric": shown.metric,
        "keys": keys,
        "seeds": [key for key in keys if key in SEEDS],
        "widest": _widest(found.runs, keys),
        "quantities": list(QUANTITIES),
        "phases": list(PHASES),
        "runs": [_run(run, keys, out) for run in found.runs],
        "curves": [_curves(run, cap) for run in found.runs],
        "groups": [
            _group(text, points, place)
            for text, points in zip(texts, shown.groups.values(), strict=True)
        ],
        "stars": _stars(shown),
        # of the t distribution, for n - 1 degrees of freedom, from n = 3 on
        "critical": [_short(critical(n - 1)) for n in range(FEWEST, min(seeds, 200) + 1)],
        "fewest": FEWEST,
    }


def _widest(runs: Sequence[Run], keys: Sequence[str]) -> list[str]:
    """Return the two keys besides the seeds that have the most values."""
    free = [key for key in keys if key not in SEEDS]
    return sorted(free, key=lambda key: -len({run.keys.get(key) for run in runs}))[:2]


def _run(run: Run, keys: Sequence[str], out: Path | None) -> Json:
    seconds = [float(np.nansum(run.rounds[f"seconds_{phase}"])) for phase in PHASES]
    uplink = run.uplink_bytes()
    return {
        "label": run.label,
        "href": out and quote(os.path.relpath(run.file.resolve(), out.resolve().parent)),
        "status": run.status,
        "verdict": run.verdict,
        "keys": [_value(run.keys.get(key)) for key in keys],
        "rounds": run.num_rounds,
        "planned": run.keys.get("server.rounds"),
        "validation": _number(run.final("validation_accuracy")),
        "test": _number(run.final("test_accuracy")),
        "uplink": int(uplink[-1]) if len(uplink) and np.isfinite(uplink[-1]) else None,
        "seconds": [_short(s / max(1, run.num_rounds)) for s in seconds],
        "ranks": run.num_ranks,
    }


def _curves(run: Run, cap: int) -> Json:
    at = shown_rounds(run, cap)
    curves: dict[str, Json] = {
        name: _accuracies(run.rounds[name][at])
        if name.endswith("accuracy")
        else [_short(x) for x in run.rounds[name][at].tolist()]
        for name in QUANTITIES
        if np.isfinite(run.rounds[name]).any()
    }
    uplink = np.nan_to_num(run.uplink_bytes()[at])
    curves["uplink"] = np.diff(np.rint(uplink).astype(np.int64), prepend=0).tolist()
    if len(at) < run.num_rounds:
        curves["at"] = (at + 1).tolist()
    return curves


def shown_rounds(run: Run, cap: int) -> NDArray[np.int64]:
    """Return the rounds (from 0) worth sending: all, or about ``cap`` of them, the last included.

    Where evaluations are rare these are the evaluated ones.
    """
    if run.num_rounds <= cap:
        return np.arange(run.num_rounds)
    known = np.isfinite([run.rounds["validation_accuracy"], run.rounds["test_accuracy"]]).any(0)
    candidates = np.flatnonzero(known) if known.any() else np.arange(run.num_rounds)
    chosen = np.linspace(0, len(candidates) - 1, min(cap, len(candidates))).round().astype(int)
    return np.unique([*candidates[chosen], run.num_rounds - 1])


def _group(text: str, points: Sequence[Point], place: dict[int, int]) -> Json:
    masks = sorted({point.cell.mask for point in points})
    drops = sorted({_drop_key(point) for point in points})
    names = {_drop_key(point): drop_text(point.cell.drop) for point in points}
    by_client = any(isinstance(point.cell.drop, tuple) for point in points)
    levels = [] if by_client or len(masks) < 2 or len(drops) < 2 else budget_levels(points)
    means = [mean for mean, _ in drops]
    return {
        "text": text,
        "masks": masks,
        "drops": [names[key] for key in drops],
        "cells": [
            _cell(p, (masks.index(p.cell.mask), drops.index(_drop_key(p))), place) for p in points
        ],
        "lines": [
            [name, [[_short(x), _short(y)] for x, y, _, _ in budget_line(level, masks, means, 60)]]
            for level, name in levels
        ],
    }


def _cell(point: Point, at: tuple[int, int], place: dict[int, int]) -> Json:
    return {
        "at": at,
        "n": point.accuracy.count,
        "planned": point.cell.num_planned,
        "mean": _number(point.accuracy.mean),
        "sd": _number(point.accuracy.sd),
        "low": _number(point.accuracy.low),
        "high": _number(point.accuracy.high),
        "bytes": _short(point.uplink_bytes),
        "budget": _short(point.cell.budget),
        "front": bool(point.on_front),
        "runs": [place[id(run)] for run in point.cell.runs],
    }


def _stars(shown: Tradeoff) -> Json:
    """Return best and worst of each budget that differ, as [group, [x, y], [x, y]]."""
    stars = []
    for index, points in enumerate(shown.groups.values()):
        masks = sorted({point.cell.mask for point in points})
        drops = sorted({_drop_key(point) for point in points})
        for pair in widest_pairs(shown):
            if pair.significant and pair.first in points:
                both = pair.first, pair.second
                stars.append(
                    [index, *([masks.index(p.cell.mask), drops.index(_drop_key(p))] for p in both)]
                )
    return stars


def _drop_key(point: Point) -> tuple[float, tuple[int, float, str]]:
    return mean_drop(point.cell.drop), sort_key(point.cell.drop)


def _value(value: Value) -> Json:
    plain_number = isinstance(value, int | float) and not isinstance(value, bool)
    # beyond 2**53 a browser's numbers are not exact
    return value if plain_number and abs(value) < 2**53 else value_text(value)


def _accuracies(values: F64) -> list[float | None]:
    return [None if x != x else x for x in values.round(4).tolist()]


def _number(value: float) -> float | None:
    return round(value, 6) if np.isfinite(value) else None


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if np.isfinite(value) else None
