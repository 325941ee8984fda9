"""How far a search is, in numbers and in a line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from hpcfed.config.search import Search
from hpcfed.records.ranking import best_items
from hpcfed.records.results import Result
from hpcfed.records.searched import MEMBER, POINT, PROMOTION, Item
from hpcfed.sweep.search.folder import SearchFolder


@dataclass(frozen=True)
class Summary:
    """A search so far.

    Attributes:
        num_seen: points that have a result.
        num_ended: results with a verdict, by verdict.
        num_open: proposals without a result that were not given up.
        best: the best feasible one, with its result.
    """

    num_seen: int
    num_ended: dict[str, int]
    num_open: int
    num_left_out: int
    best: tuple[Item, Result] | None


def summary(folder: SearchFolder) -> Summary:
    """Return how far a search is; ``folder`` has been read."""
    seen = folder.everything()
    points = seen.of_kind(POINT, MEMBER)
    known = [folder.results[item.number] for item in points if item.number in folder.results]
    best = next(iter(best_items(folder.search, seen)), None)
    return Summary(
        num_seen=len(known),
        num_ended=dict(Counter(result.verdict for result in known if result.verdict)),
        num_open=len(folder.open_items()),
        num_left_out=len(folder.left_out),
        best=None if best is None else (best, folder.results[best.number]),
    )


def line(search: Search, found: Summary) -> str:
    """Return a search so far in a line."""
    total = num_points(search)
    parts = [f"{found.num_seen}{f'/{total}' if total else ''} points"]
    if found.best is not None:
        item, result = found.best
        figures = ", ".join(f"{goal.name} {result.figures[goal.name]:.4g}" for goal in search.goals)
        parts.append(f"best {figures} (number {item.number})")
    elif found.num_seen:
        parts.append("none feasible")
    parts += [
        f"{number / found.num_seen:.0%} {verdict}"
        for verdict, number in sorted(found.num_ended.items())
    ]
    return ", ".join(parts)


def num_points(search: Search) -> int | None:
    """Return how many points the budget has, runs of all generations of a population."""
    if search.method != "population":
        tried = search.config.evaluations
        return None if tried is None else tried + len(search.known)
    return search.population.members * (search.num_rounds // search.population.interval)


def rungs(folder: SearchFolder) -> str:
    """Return how many runs have reached each rung, "" without rungs."""
    seen = folder.everything()
    reached = {
        rung: len(
            {
                item.digest
                for item in seen.of_kind(POINT, PROMOTION)
                if item.rounds == rung and item.number in folder.results
            }
        )
        for rung in folder.search.rungs
    }
    return ", ".join(f"{number} at {rung} rounds" for rung, number in reached.items())


def plan_lines(search: Search) -> Iterator[str]:
    """Yield what a search varies and what it may spend."""
    config = search.config
    goals = " and ".join(f"{'least' if g.sign > 0 else 'most'} {g.name}" for g in search.goals)
    yield f"looks for {goals} over {len(search.space.parameters)} keys:"
    for parameter in search.space.parameters:
        yield f"  {parameter}"
    points = num_points(search)
    budget = [f"{points} points"] if points else []
    budget += [f"{config.core_hours:g} core-hours"] if config.core_hours else []
    first = f", {len(search.points)} given" if search.points else ""
    model = (
        ""
        if search.method in ("random", "population")
        else (f", {search.num_initial} of a design before the model")
    )
    yield f"budget: {' or '.join(budget)}{first}{model}"
    if search.rungs:
        yield f"pauses after {', '.join(map(str, search.rungs))} rounds"
