"""Which points of a search are the best, in one order or as a front, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence

from hpcfed.config.search import Search
from hpcfed.records.results import is_feasible, order, values
from hpcfed.records.searched import CONFIRM, MEMBER, POINT, PROMOTION, Item, Seen


def best_items(search: Search, seen: Seen) -> list[Item]:
    """Return the feasible points, the best first; of the highest rung, or generation, that has any.

    For two goals these are the points of the front, by the first.
    """
    latest: dict[str, Item] = {}
    for item in seen.of_kind(POINT, PROMOTION, MEMBER):
        if item.number in seen.results:
            latest[item.digest] = item
    feasible = [i for i in latest.values() if is_feasible(search, seen.results[i.number])]
    top = max((item.rounds for item in feasible), default=0)
    found = [item for item in feasible if not search.pauses or item.rounds == top]
    if len(search.goals) > 1:
        found = _front(search, seen, found)
    return sorted(found, key=lambda i: (order(search, seen.results[i.number]), i.number))


def same_point(seen: Seen, item: Item) -> list[Item]:
    """Return ``item`` and the runs of its point with other seeds that have a result."""
    same = {i.number for i in seen.items if i.digest == item.digest}
    again = (i for i in seen.of_kind(CONFIRM) if i.of in same)
    return [item, *(i for i in again if i.number in seen.results)]


def _front(search: Search, seen: Seen, items: list[Item]) -> list[Item]:
    placed = {item.number: values(search, seen.results[item.number]) for item in items}
    return [i for i in items if not any(_beats(v, placed[i.number]) for v in placed.values())]


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def lineage(items: Sequence[Item], item: Item) -> list[Item]:
    """Return the proposals of a population that lead to ``item``, the first one first."""
    found = [item]
    while found[-1].of is not None:
        found.append(items[found[-1].of])
    return found[::-1]
