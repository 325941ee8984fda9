"""The next proposal of a search: a pure function of what it has seen.

First what is due to climb a rung, then a new point while the budget lasts, and when all runs have
ended the best again with other seeds. Points that are not valid, or excluded, are never proposed,
and one that was proposed before only where nothing else is found; three such in a row and a point
of the design takes their place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any  # Any: notes are of any JSON type

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.file import flat_keys
from hpcfed.config.search import Search
from hpcfed.config.tables import Point
from hpcfed.errors import InputError
from hpcfed.records.ranking import best_items
from hpcfed.records.searched import CONFIRM, MEMBER, POINT, PROMOTION, Seen
from hpcfed.sweep.planning.grid import describe, is_excluded
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.search import design
from hpcfed.sweep.search.data import MODEL, Data, data_of
from hpcfed.sweep.search.halving import promotion
from hpcfed.sweep.search.optuna_samplers import Question, suggestions
from hpcfed.sweep.search.population import next_member
from hpcfed.sweep.search.scbo import Fits, ordered

F64 = NDArray[np.float64]

GIVEN, KNOWN, INITIAL, AGAIN = "given", "known", "initial", "again"
_MOST_OF_MODEL = {"tpe": 20, "gp": 3, "scbo": 500}
_AGAIN_IN_A_ROW = 3


@dataclass(frozen=True)
class Draft:
    """A proposal before it has a number.

    Attributes:
        run: whose configuration has the rounds of the whole run.
        notes: for people: method, region, fallback.
    """

    kind: str
    of: int | None
    rounds: int
    why: str
    run: PlannedRun
    notes: dict[str, Any] = field(default_factory=dict)
    step: int = 0
    member: int = 0


@dataclass(frozen=True)
class Proposer:
    """What proposals are made with: the search, and runs of its points."""

    search: Search
    run_of: Callable[[Point], PlannedRun]
    fits: Fits = field(default_factory=Fits)
    told: dict[Any, Any] = field(default_factory=dict)  # what Optuna knows of observations

    def next(self, seen: Seen, may_add: bool) -> Draft | None:
        """Return the next proposal; None if nothing is to be done, now or at all.

        ``may_add`` is whether the budget allows another point. Raises InputError where no point of
        the space is valid.
        """
        if self.search.method == "population":
            return self._member(seen) if may_add else None
        if (due := promotion(self.search, seen)) is not None:
            item, rounds = due
            return Draft(PROMOTION, item.number, rounds, "promoted", self.run_of(item.point))
        if may_add:
            return self.point(seen)
        waiting = set(seen.pending) & {item.number for item in seen.of_kind(POINT, PROMOTION)}
        return None if waiting else self.confirmation(seen)

    def _member(self, seen: Seen) -> Draft | None:
        child = next_member(self.search, seen, self.valid)
        if child is None:
            return None
        return Draft(
            MEMBER, child.of, child.rounds, child.why, child.run, {}, child.step, child.member
        )

    def confirmation(self, seen: Seen) -> Draft | None:
        """Return the first run that is missing of the best ones with other seeds."""
        confirm = self.search.config.confirm
        if confirm is None:
            return None
        known = {item.digest for item in seen.items}
        for item in best_items(self.search, seen)[: confirm.best]:
            for seed in confirm.seeds:
                run = self.run_of({**item.point, "seed": seed})
                if run.digest not in known:
                    return Draft(CONFIRM, item.number, item.rounds, f"seed {seed}", run)
        return None

    def point(self, seen: Seen) -> Draft:
        """Return a new point. Raises InputError if none can be found."""
        points = seen.of_kind(POINT)
        known = {item.digest: item.number for item in points}
        first = (*self.search.points, *self.search.known)
        if len(points) < len(first):
            why = GIVEN if len(points) < len(self.search.points) else KNOWN
            return self._drafted(self.run_of(first[len(points)]), why, known, {})
        designed = len(points) - len(first)
        tail = points[-_AGAIN_IN_A_ROW:]
        stuck = len(tail) == _AGAIN_IN_A_ROW and all(item.why == AGAIN for item in tail)
        is_initial = designed < self.search.num_initial or not seen.results
        if self.search.method != "random" and not is_initial and not stuck:
            candidates, notes = self._by_model(data_of(self.search, seen), seen.number)
            found = self._first(candidates, known)
            if found is not None:
                return self._drafted(found, MODEL, known, notes)
        num_keys = len(self.search.space.parameters)
        every = design.candidates(self.search.config.seed, num_keys, designed, seen.number)
        found = self._first(islice(every, design.MOST_TRIES), known)
        if found is None:
            raise InputError(
                f"{self.search.name}: none of {design.MOST_TRIES} points of [search.space] is "
                "valid and not excluded"
            )
        return self._drafted(found, INITIAL if is_initial else "design", known, {})

    def _by_model(self, data: Data, number: int) -> tuple[Iterator[F64], dict[str, Any]]:
        """Return candidates of the model in their order, and what is to be noted."""
        method, config = self.search.method, self.search.config
        most = _MOST_OF_MODEL[method]
        if method == "scbo":
            found = ordered(self.search.space, data, config.seed, number, self.fits)
            said = {"fallback": found.fallback} if found.fallback else {}
            return iter(found.candidates[:most]), {"region": asdict(found.region), **said}
        question = Question(method, self.search.space, data, config.seed, number, most)
        return suggestions(question, self.told), {}

    def _first(self, candidates: Iterator[F64], known: dict[str, int]) -> PlannedRun | None:
        """Return the first valid run that is new, else the first valid one, else None."""
        again: PlannedRun | None = None
        for unit in candidates:
            with contextlib.suppress(InputError):
                run = self.valid(self.search.space.point(unit))
                if run.digest not in known:
                    return run
                again = again or run
        return again

    def valid(self, point: Point) -> PlannedRun:
        """Return the run of a point. Raises InputError for one not valid, or excluded."""
        run = self.run_of(point)
        if is_excluded(flat_keys(run.experiment), self.search.exclude):
            raise InputError(f"{self.search.name}: {describe(point)} is excluded")
        return run

    def _drafted(
        self, run: PlannedRun, why: str, known: dict[str, int], notes: dict[str, Any]
    ) -> Draft:
        rungs = self.search.rungs
        rounds = rungs[0] if rungs else run.num_rounds
        first = known.get(run.digest)
        if first is not None:
            return Draft(POINT, first, rounds, AGAIN, run, notes)
        return Draft(POINT, None, rounds, why, run, notes)
