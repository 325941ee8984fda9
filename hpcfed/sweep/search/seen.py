"""What a search has seen: its proposals, and what their runs have come to.

A run is judged by the figures of its last evaluation until the rounds that were asked for, and by
constraints c, feasible at or below 0: the part of silent (saturated) training samples of the worst
layer in its last round, less what [stop] allows; the figures of [search.constraints] over their
limits, less 1; and 1 where it has diverged. A network that was stopped is an outcome like any
other (Firmin, Boulet and Talbi 2024, arXiv 2403.00450), here with its true part of silent samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any  # Any: JSON values are of any type until they are checked

import numpy as np

from hpcfed.config.stop import StopConfig
from hpcfed.errors import InputError
from hpcfed.records.columns import Columns, read_columns
from hpcfed.records.log import uplink_bytes
from hpcfed.sweep.planning.searchfile import SUMS, Search
from hpcfed.sweep.planning.tables import Point, checked

# kinds of proposals: a new point; one that goes on to its next rung; one of the best again, with
# another seed; a member of a population's next generation
POINT, PROMOTION, CONFIRM, MEMBER = "point", "promotion", "confirm", "member"
DIVERGED = "diverged"


@dataclass(frozen=True)
class Item:
    """One proposal.

    Attributes:
        kind: POINT, PROMOTION, CONFIRM or MEMBER.
        of: the number of the proposal that it goes on with, or repeats.
        rounds: after which its run has what is asked for.
        why: how it was found, in a word.
        pending, left_out: lower numbers that had no result, and that were given up.
        step, member: of a population.
    """

    number: int
    kind: str
    of: int | None
    rounds: int
    why: str
    digest: str
    config_digest: str
    point: Point
    pending: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()
    step: int = 0
    member: int = 0

    @property
    def observed(self) -> set[int]:
        """The lower numbers whose results it was made from."""
        return set(range(self.number)) - set(self.pending) - set(self.left_out)


@dataclass(frozen=True)
class Result:
    """What a run has come to after so many rounds.

    Attributes:
        figures: name -> value, NaN where not known.
        verdict: why it ended early, "" where it did not.
        seconds: of its rounds.
        scores: the evaluations of each figure that the search is for, oldest first.
    """

    figures: Mapping[str, float]
    verdict: str = ""
    seconds: float = 0.0
    num_rounds: int = 0
    scores: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """All proposals so far, the results of those that have one, by number, and who has none."""

    items: tuple[Item, ...]
    results: Mapping[int, Result]
    left_out: frozenset[int] = frozenset()

    @property
    def number(self) -> int:
        """The number of the next proposal."""
        return len(self.items)

    @property
    def pending(self) -> tuple[int, ...]:
        """Numbers without a result, those that were given up left out."""
        known = self.results.keys() | self.left_out
        return tuple(item.number for item in self.items if item.number not in known)

    def of_kind(self, *kinds: str) -> list[Item]:
        """Return the proposals of these kinds."""
        return [item for item in self.items if item.kind in kinds]

    @cached_property
    def seen_at(self) -> dict[int, int]:
        """The number of the first proposal that saw each result; the next one's if none did."""
        found: dict[int, int] = {}
        for item in self.items:
            for number in item.observed - found.keys():
                found[number] = item.number
        return {number: found.get(number, self.number) for number in self.results}


def item_of(entry: dict[str, Any], source: Path) -> Item:
    """Return the proposal of a file's content. Raises InputError."""
    try:
        run = entry["run"]
        return Item(
            **{name: entry[name] for name in ("number", "kind", "of", "rounds", "why")},
            digest=run["digest"],
            config_digest=run["config_digest"],
            point=run["point"],
            pending=tuple(entry["pending"]),
            left_out=tuple(entry["left_out"]),
            step=entry.get("step", 0),
            member=entry.get("member", 0),
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{source}: cannot be read as proposals: {error}") from None


def read_result(path: Path, item: Item, names: tuple[str, ...]) -> Result | None:
    """Return what the run file of ``item`` holds, None before it has what is asked for.

    ``names`` are those of figures whose evaluations are kept. Raises InputError for another's file.
    """
    if not path.exists():
        return None
    try:
        columns = read_columns(path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if columns.attributes.get("config_digest") != item.config_digest:
        raise InputError(f"{path}: is of another configuration; remove it")
    verdict, num_rounds = str(columns.attributes.get("verdict", "")), _num_rounds(columns)
    ended = columns.attributes.get("status") == "finished"
    if num_rounds < item.rounds and not (verdict and ended):
        return None
    return result_of(columns, min(item.rounds, num_rounds), verdict, names)


def result_of(
    columns: Columns, num_rounds: int, verdict: str, names: tuple[str, ...] = ()
) -> Result:
    """Return what a run has come to after its first ``num_rounds`` rounds."""
    rounds = {k: v[:num_rounds] for k, v in columns.rounds.items() if v.dtype.kind != "S"}
    rounds["uplink_bytes"] = uplink_bytes(rounds)
    figures = {
        name: float(column.sum()) if name in SUMS else _last(column)
        for name, column in rounds.items()
    }
    seconds = sum(float(np.nansum(c)) for n, c in rounds.items() if n.startswith("seconds_"))
    verdict = verdict if num_rounds == _num_rounds(columns) else ""
    scores = {name: tuple(rounds[name][np.isfinite(rounds[name])].tolist()) for name in names}
    return Result(figures, verdict, seconds, num_rounds, scores)


def violations(search: Search, result: Result) -> dict[str, float]:
    """Return the constraints c of a result, by name; feasible at or below 0."""
    found: dict[str, float] = {}
    if (table := search.base.get("stop")) is not None:
        stop = checked(StopConfig, table, search.name)
        for name in ("silent", "saturated"):
            share = result.figures.get(f"{name}_samples", math.nan)
            found[name] = share - stop.silent.beta if math.isfinite(share) else -stop.silent.beta
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


def _num_rounds(columns: Columns) -> int:
    return len(columns.rounds["params_digest"])


def _last(column: Any) -> float:
    known = column[np.isfinite(column)]
    return float(known[-1]) if len(known) else math.nan
