"""A search as it lies on disk: proposals that are written once, and what their runs say.

Nothing that has been read is read again: proposals do not change, and neither does what a run has
come to after a number of rounds.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import Any  # Any: JSON values are of any type

from hpcfed.base.versions import versions
from hpcfed.errors import InputError
from hpcfed.records import proposals
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import PlannedRun, run_of_entry
from hpcfed.sweep.planning.searchfile import Search
from hpcfed.sweep.search.propose import Draft
from hpcfed.sweep.search.seen import Item, Result, Seen, item_of, read_result

# what a proposal's bits depend on
PACKAGES = ("hpcfed", "numpy", "scipy", "optuna", "torch", "gpytorch", "botorch")


@dataclass(frozen=True)
class Snapshot:
    """What a proposal is made from: lower numbers that have no result, or never will."""

    number: int
    pending: tuple[int, ...]
    left_out: tuple[int, ...]


class SearchFolder:
    """The proposals of the present section of a search, and their results."""

    def __init__(self, search: Search, paths: Paths) -> None:
        self.search, self.paths = search, paths
        self.folder = paths.proposals / search.section
        self.entries: list[dict[str, Any]] = []
        self.items: list[Item] = []
        self.results: dict[int, Result] = {}

    def read(self) -> None:
        """Read what has come since. Raises InputError for files that cannot be read."""
        self.entries += proposals.read_from(self.folder, len(self.entries))
        self.items += [item_of(entry, self.folder) for entry in self.entries[len(self.items) :]]
        names = tuple(goal.name for goal in self.search.goals)
        for item in self.items:
            if item.number not in self.results:
                found = read_result(self.paths.run_file(item.digest), item, names)
                if found is not None:
                    self.results[item.number] = found

    @property
    def left_out(self) -> set[int]:
        """Numbers whose runs were given up."""
        return {
            item.number
            for item in self.items
            if item.number not in self.results and self.paths.failure(item.digest).exists()
        }

    def open_items(self) -> list[Item]:
        """Return what has no result and was not given up."""
        left_out = self.left_out
        return [
            item
            for item in self.items
            if item.number not in self.results and item.number not in left_out
        ]

    def run(self, number: int) -> PlannedRun:
        """Return the run of a proposal, as far as it asks for."""
        return run_of_entry(self.entries[number], self.folder)

    def snapshot(self) -> Snapshot:
        """Return what the next proposal may be made from."""
        left_out = self.left_out
        pending = {item.number for item in self.items} - self.results.keys() - left_out
        return Snapshot(len(self.items), tuple(sorted(pending)), tuple(sorted(left_out)))

    def seen(self, snapshot: Snapshot) -> Seen:
        """Return what a proposal with this snapshot sees. Raises InputError if results are gone."""
        hidden = {*snapshot.pending, *snapshot.left_out}
        observed = [number for number in range(snapshot.number) if number not in hidden]
        if gone := [number for number in observed if number not in self.results]:
            digest = self.items[gone[0]].digest
            raise InputError(
                f"{self.paths.run_file(digest)}: the result of proposal {gone[0]} is gone"
            )
        results = {number: self.results[number] for number in observed}
        left_out = frozenset(snapshot.left_out)
        return Seen(tuple(self.items[: snapshot.number]), results, left_out)

    def everything(self) -> Seen:
        """Return all proposals with all results that there are."""
        return Seen(tuple(self.items), dict(self.results), frozenset(self.left_out))

    def spent_core_hours(self, cores: int, numbers: Set[int] | None = None) -> float:
        """Return what runs have taken so far, each once."""
        longest: dict[str, float] = {}
        for item in self.items:
            if item.number in self.results and (numbers is None or item.number in numbers):
                seconds = self.results[item.number].seconds
                longest[item.digest] = max(longest.get(item.digest, 0.0), seconds)
        return sum(longest.values()) * cores / 3600

    def place(self, draft: Draft, snapshot: Snapshot) -> bool:
        """Write a proposal; False if somebody else has taken its number. Raises OSError."""
        run = draft.run if not self.search.pauses else _until(draft.run, draft.rounds)
        content = {
            "number": snapshot.number,
            "kind": draft.kind,
            "of": draft.of,
            "rounds": draft.rounds,
            "why": draft.why,
            "pending": list(snapshot.pending),
            "left_out": list(snapshot.left_out),
            "step": draft.step,
            "member": draft.member,
            "method": self.search.method,
            **draft.notes,
            "versions": versions(PACKAGES),
            "run": {k: v for k, v in _entry(run).items() if k != "current"},
        }
        return proposals.place(self.folder, content)


def _until(run: PlannedRun, rounds: int) -> PlannedRun:
    server = {**run.config["server"], "rounds": rounds}
    return replace(run, config={**run.config, "server": server})


def _entry(run: PlannedRun) -> dict[str, Any]:
    fields = ("digest", "asked", "config_digest", "point", "config", "code", "parent")
    return {name: getattr(run, name) for name in fields}
