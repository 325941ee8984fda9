"""What a run has come to, as a search judges it.

By the figures of its last evaluation until the rounds that were asked for, and by
constraints c, feasible at or below 0: the part of silent (saturated) training samples of the worst
layer in its last round, less what [stop] allows; the figures of [search.constraints] over their
limits, less 1; and 1 where it has diverged. A network that was stopped is an outcome like any
other (Firmin, Boulet and Talbi 2024, arXiv 2403.00450), here with its true part of silent samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any  # Any: a column is of any scalar type

import numpy as np

from hpcfed.config.search import Search, SearchConfig
from hpcfed.config.tables import unknown_key
from hpcfed.errors import InputError
from hpcfed.records.columns import Columns
from hpcfed.records.log import uplink_bytes
from hpcfed.records.schema import ROUND_FIELDS

DIVERGED = "diverged"
# what a run can be judged by: figures of its rounds, those of the test split left out
SUMS = ("uplink_bytes", "downlink_bytes", "mpi_bytes", "uplink_values")
MEASURES = (
    *(n for n in ROUND_FIELDS if not n.startswith(("test_", "seconds_", "uplink_bytes_"))
      and n not in (*SUMS, "params_digest")),
    *SUMS,
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What a run has come to after so many rounds.

    Attributes:
        figures: name -> value, NaN where not known.
        verdict: why it ended early, "" where it did not.
        seconds: of its rounds.
        ended: when its file was written last, Unix time; 0 where not known.
        scores: the evaluations of each figure that the search is for, oldest first.
    """

    figures: Mapping[str, float]
    verdict: str = ""
    seconds: float = 0.0
    num_rounds: int = 0
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    ended: float = 0.0


def check_measures(config: SearchConfig, source: str) -> None:
    """Raise InputError for a figure that runs do not have."""
    for key in config.names:
        if key not in MEASURES:
            raise InputError(f"{source}: [search]: {unknown_key(key, MEASURES)}")


def result_of(
    columns: Columns, begins: int, num_rounds: int, verdict: str, names: tuple[str, ...] = ()
) -> Result:
    """Return what a run has come to after ``num_rounds`` rounds, of which it did not do the first.

    ``begins`` is how many of them its parent did; ``names`` are figures whose evaluations are kept.
    """
    rounds = {k: v[:num_rounds] for k, v in columns.rounds.items() if v.dtype.kind != "S"}
    rounds["uplink_bytes"] = uplink_bytes(rounds)
    figures = {
        name: float(column.sum()) if name in SUMS else _last(column)
        for name, column in rounds.items()
    }
    phases = (column for name, column in rounds.items() if name.startswith("seconds_"))
    seconds = sum(float(np.nansum(column[begins:])) for column in phases)
    verdict = verdict if num_rounds == columns.num_rounds else ""
    scores = {name: tuple(rounds[name][np.isfinite(rounds[name])].tolist()) for name in names}
    ended = float(columns.attributes.get("written", 0.0))
    return Result(figures, verdict, seconds, num_rounds, scores, ended)


def violations(search: Search, result: Result) -> dict[str, float]:
    """Return the constraints c of a result, by name; feasible at or below 0."""
    found: dict[str, float] = {}
    if search.stop is not None:
        beta = search.stop.silent.beta
        for name in ("silent", "saturated"):
            share = result.figures.get(f"{name}_samples", math.nan)
            found[name] = share - beta if math.isfinite(share) else -beta
    # what is not known cannot be worse than the worst that is
    found[DIVERGED] = 1.0 if result.verdict == DIVERGED else -1.0
    for name, limit in search.config.constraints.items():
        value = result.figures.get(name, math.nan)
        found[name] = (value - limit) / (abs(limit) or 1.0) if math.isfinite(value) else 1.0
    return found


def values(search: Search, result: Result) -> tuple[float, ...]:
    """Return what is looked for, each so that less is better; NaN where not known."""
    return tuple(g.sign * result.figures.get(g.name, math.nan) for g in search.goals)


def is_feasible(search: Search, result: Result) -> bool:
    """Say whether all constraints hold and all figures are known."""
    known = all(map(math.isfinite, values(search, result)))
    return known and max(violations(search, result).values()) <= 0


def total_violation(search: Search, result: Result) -> float:
    """Return the sum of what is violated, each as log(1 + c).

    A good constraint does not buy off a bad one, and none outweighs the others by its scale.
    """
    return sum(math.log1p(max(c, 0.0)) for c in violations(search, result).values())


def order(search: Search, result: Result) -> tuple[float, float]:
    """Return a key that sorts results: feasible ones by the first figure, the others after them."""
    if is_feasible(search, result):
        return 0.0, values(search, result)[0]
    return 1.0 + total_violation(search, result), 0.0


def _last(column: Any) -> float:
    known = column[np.isfinite(column)]
    return float(known[-1]) if len(known) else math.nan
