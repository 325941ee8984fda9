"""What a model learns from: the points that have been seen, as arrays.

n observations, m pending points, D keys, M figures to minimise, C constraints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.search import Search
from hpcfed.records import results as records
from hpcfed.records.results import Result
from hpcfed.records.searched import POINT, PROMOTION, Item, Seen
from hpcfed.sweep.search.region import Judged

F64 = NDArray[np.float64]

MODEL = "model"  # why a point was proposed, where a model did


@dataclass(frozen=True)
class Data:
    """What has been seen.

    Attributes:
        numbers: (n,) of the proposals, ascending.
        units: (n, D), points in the cube.
        values: (n, M), each so that less is better; NaN where not known.
        violations: (n, C), feasible at or below 0; constraints that never were violated left out.
        pending: (m, D), points whose runs have no result yet.
        judged: the observations in the order in which they were seen.
    """

    numbers: tuple[int, ...]
    units: F64
    values: F64
    violations: F64
    pending: F64
    judged: tuple[Judged, ...]


def data_of(search: Search, seen: Seen) -> Data:
    """Return what the model learns from; of a run that has climbed rungs, what the highest says."""
    latest: dict[str, tuple[Item, Result]] = {}
    waiting: dict[str, Item] = {}
    for item in seen.of_kind(POINT, PROMOTION):
        if item.number in seen.results:
            latest[item.digest] = item, seen.results[item.number]
        elif item.kind == POINT and item.number in seen.pending:
            waiting[item.digest] = item
    found = sorted(latest.values(), key=lambda pair: pair[0].number)
    num_keys = len(search.space.parameters)
    rows = [list(records.violations(search, result).values()) for _, result in found]
    violations = np.array(rows, np.float64).reshape(len(found), len(rows[0]) if rows else 0)
    first = [item for item, _ in found]
    in_order = sorted(found, key=lambda pair: (seen.seen_at[pair[0].number], pair[0].number))
    return Data(
        numbers=tuple(item.number for item in first),
        units=_units(search, first, num_keys),
        values=np.array([records.values(search, r) for _, r in found]).reshape(
            len(found), len(search.goals)
        ),
        violations=violations[:, (violations > 0).any(0)],
        pending=_units(search, [i for d, i in waiting.items() if d not in latest], num_keys),
        judged=tuple(_judged(search, item, result) for item, result in in_order),
    )


def _units(search: Search, items: list[Item], num_keys: int) -> F64:
    units = [search.space.unit(item.point) for item in items]
    return np.array(units, np.float64).reshape(len(items), num_keys)


def _judged(search: Search, item: Item, result: Result) -> Judged:
    value = records.values(search, result)[0]
    violation = records.total_violation(search, result)
    if not np.isfinite(value):
        value, violation = np.inf, max(violation, 1.0)
    return Judged(value, violation, item.why == MODEL)
