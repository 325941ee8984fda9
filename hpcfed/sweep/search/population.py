"""Population based training: members that train, copy each other, and change what they copy.

Jaderberg and others 2017 (arXiv 1711.09846, sections 4.1.1 and 4.3.1). A member's next generation
is a run of its own, a fork: it begins with its parent's run at a round, whole (parameters, server
moments, memories of clients), and trains on with its own configuration. Its name says parent, round
and configuration, so the lineage is a tree of names, and no file is ever changed. What becomes of a
member is a function of all scores of a generation and of the words of (seed, step, member): timing
and the number of workers do not matter. "as-they-come" takes the newest score of each member
instead; a proposal records which these were.

A member that violates a constraint is always replaced and never copied; where all do, those whose
runs have ended begin anew at another point.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any  # Any: values of an experiment's keys are of any TOML type

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config.search import PopulationConfig, Search
from hpcfed.config.space import Parameter, Space
from hpcfed.config.tables import Point
from hpcfed.errors import InputError
from hpcfed.records import names
from hpcfed.records.results import is_feasible, order
from hpcfed.records.searched import MEMBER, Item, Seen
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.search import design

F64 = NDArray[np.float64]

_SIGNIFICANT = 0.05  # of Welch's test
_LAST_SCORES = 10
_FIRST_STREAM = 2  # members' streams are numbered from here


@dataclass(frozen=True)
class Child:
    """A member's next generation: its run until ``rounds``, and the proposal that it forks."""

    run: PlannedRun
    of: int | None
    rounds: int
    why: str
    step: int
    member: int


def next_member(search: Search, seen: Seen, run_of: Callable[[Point], PlannedRun]) -> Child | None:
    """Return the next member's run; None while scores are missing, and at the end."""
    config = search.population
    newest = {item.member: item for item in seen.of_kind(MEMBER)}
    for member in range(config.members):
        if member not in newest:
            return _anew(search, seen, run_of, 0, member, config.interval)
    for member in sorted(newest, key=lambda k: (newest[k].step, k)):
        item = newest[member]
        scored = _scored(seen, config, item.step)
        if item.rounds >= search.num_rounds or scored is None or member not in scored:
            continue
        return _child(search, seen, run_of, scored, member)
    return None


def _scored(seen: Seen, config: PopulationConfig, step: int) -> dict[int, Item] | None:
    """Return the proposals that a decision after ``step`` compares, by member."""
    found: dict[int, Item] = {}
    for item in seen.of_kind(MEMBER):
        known = item.number in seen.results
        if config.mode == "as-they-come":
            if known:
                found[item.member] = item
        elif item.step == step:
            if not known and item.number not in seen.left_out:
                return None
            found[item.member] = item
    return found


def _child(
    search: Search,
    seen: Seen,
    run_of: Callable[[Point], PlannedRun],
    scored: dict[int, Item],
    member: int,
) -> Child:
    config = search.population
    item = scored[member]
    step, stream = item.step + 1, Stream(search.config.seed, Purpose.SEARCH, item.step + 1,
                                         _FIRST_STREAM + member)  # fmt: skip
    words = iter(stream.uniforms(1 + 2 * len(search.space.parameters)).tolist())
    source = _source(search, seen, config, scored, member, next(words))
    if source is None:  # nobody to copy, and nothing to go on with
        return _anew(search, seen, run_of, step, member, item.rounds + config.interval)
    parent = scored[source]
    if source == member:
        point, why = parent.point, "goes on"
    else:
        point, why = explored(search.space, config, parent.point, words), f"copied {source}"
    try:
        run = run_of(point)
    except InputError:  # two changes that are not valid together
        point, run = parent.point, run_of(parent.point)
    run = fork_of(run, parent)
    return Child(run, parent.number, parent.rounds + config.interval, why, step, member)


def fork_of(run: PlannedRun, parent: Item) -> PlannedRun:
    """Return the run of a configuration that begins with its parent's at the parent's round."""
    text = f"{parent.digest} {parent.rounds} {run.digest}"
    digest = hashlib.sha256(text.encode()).hexdigest()[: names.LENGTH]
    return replace(run, digest=digest, parent=(parent.digest, parent.rounds))


def _anew(
    search: Search,
    seen: Seen,
    run_of: Callable[[Point], PlannedRun],
    step: int,
    member: int,
    rounds: int,
) -> Child:
    """Return a member's run from round 0, at a point of the design that is valid."""
    if step == 0 and member < len(search.points):
        run = run_of(search.points[member])
        return Child(run, None, rounds, "given", step, member)
    config = search.population
    index = step * config.members + member
    num_keys = len(search.space.parameters)
    candidates = design.candidates(search.config.seed, num_keys, index, seen.number)
    for _, unit in zip(range(design.MOST_TRIES), candidates, strict=False):
        try:
            run = run_of(search.space.point(unit))
        except InputError:
            continue
        return Child(run, None, rounds, "initial" if step == 0 else "anew", step, member)
    raise InputError(f"{search.name}: no point of [search.space] is valid")


def _source(
    search: Search,
    seen: Seen,
    config: PopulationConfig,
    scored: dict[int, Item],
    member: int,
    uniform: float,
) -> int | None:
    """Return whom a member copies, itself where it goes on, None where nobody can be copied."""
    ranks = {k: _rank(search, seen, item) for k, item in scored.items()}
    feasible = sorted((k for k in scored if ranks[k][0] == 0), key=lambda k: (ranks[k], k))
    if member not in feasible:
        if feasible:
            top = feasible[: _number(config, len(scored))]
            return top[int(uniform * len(top))]
        return None if _has_ended(seen, scored[member]) else member
    if config.exploit == "truncation":
        number = _number(config, len(scored))
        every = sorted(scored, key=lambda k: (ranks[k], k))
        top = feasible[:number]
        return top[int(uniform * len(top))] if member in every[-number:] else member
    others = [k for k in sorted(scored) if k != member]
    if not others:
        return member
    other = others[int(uniform * len(others))]
    if config.exploit == "tournament":
        return other if ranks[other] < ranks[member] else member
    return other if _is_better(search, seen, scored[other], scored[member]) else member


def _number(config: PopulationConfig, members: int) -> int:
    return max(1, int(config.quantile * members))


def _rank(search: Search, seen: Seen, item: Item) -> tuple[float, float]:
    if item.number not in seen.results:  # given up
        return float("inf"), 0.0
    return order(search, seen.results[item.number])


def _has_ended(seen: Seen, item: Item) -> bool:
    result = seen.results.get(item.number)
    return result is None or result.num_rounds < item.rounds or bool(result.verdict)


def _is_better(search: Search, seen: Seen, one: Item, other: Item) -> bool:
    """Say whether a member's last scores are better by Welch's test (4.1.1)."""
    from scipy.stats import ttest_ind

    goal = search.goals[0]
    results = seen.results[one.number], seen.results[other.number]
    if not is_feasible(search, results[0]):
        return False
    mine, theirs = (np.array(r.scores.get(goal.name, ()))[-_LAST_SCORES:] for r in results)
    if min(len(mine), len(theirs)) < 2 or goal.sign * (mine.mean() - theirs.mean()) >= 0:
        return False
    if mine.std() == 0 and theirs.std() == 0:
        return True  # no chance is in it
    return bool(ttest_ind(mine, theirs, equal_var=False).pvalue < _SIGNIFICANT)


def explored(space: Space, config: PopulationConfig, point: Point, words: Iterator[float]) -> Point:
    """Return a copied point changed: each key times a factor, or drawn anew; within its range.

    Of choices the next or the one before is taken. Uses two of the uniform ``words`` a key.
    """
    drawn = {parameter.key: (next(words), next(words)) for parameter in space.parameters}

    def choose(parameter: Parameter) -> Any:
        kind, word = drawn[parameter.key]
        if kind < config.resample or parameter.key not in point:
            return parameter.value(word)
        return _perturbed(parameter, point[parameter.key], config.factors, word)

    return space.point_by(choose)


def _perturbed(parameter: Parameter, value: Any, factors: Sequence[float], word: float) -> Any:
    if parameter.choices:
        place = parameter.choices.index(value) + (1 if word < 0.5 else -1)
        return parameter.choices[min(max(place, 0), len(parameter.choices) - 1)]
    changed = value * factors[int(word * len(factors))]
    inside = min(max(changed, parameter.low), parameter.high)
    return parameter.value(parameter.unit(round(inside) if parameter.is_whole else inside))
