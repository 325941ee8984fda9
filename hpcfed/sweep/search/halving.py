"""Successive halving without waiting: who goes on to the next rung.

Li and others 2020 (arXiv 1810.05934): of all runs that have reached a rung, the best 1 / eta go on;
the highest rung comes first. A run pauses with its server state and its clients' memories, and goes
on as if it had never paused, to the bit. Who violates a constraint does not go on.
"""

from __future__ import annotations

from itertools import pairwise

from hpcfed.config.search import Search
from hpcfed.records.results import is_feasible, order
from hpcfed.records.searched import POINT, PROMOTION, Item, Seen


def promotion(search: Search, seen: Seen) -> tuple[Item, int] | None:
    """Return the proposal whose run is to go on, and until which round; None if none is."""
    if search.config.halving is None:
        return None
    rungs, eta = search.rungs, search.config.halving.eta
    asked = {(item.digest, item.rounds) for item in seen.of_kind(PROMOTION)}
    for low, high in reversed(list(pairwise(rungs))):
        there = _at(seen, low)
        best = sorted(
            (item for item in there if is_feasible(search, seen.results[item.number])),
            key=lambda item: (order(search, seen.results[item.number]), item.number),
        )
        for item in best[: len(there) // eta]:
            if (item.digest, high) not in asked:
                return item, high
    return None


def _at(seen: Seen, rounds: int) -> list[Item]:
    """Return the first proposal of each run that has a result at a rung."""
    found: dict[str, Item] = {}
    for item in seen.of_kind(POINT, PROMOTION):
        if item.rounds == rounds and item.number in seen.results:
            found.setdefault(item.digest, item)
    return list(found.values())
