"""A search as it goes on: what a proposal may see, and how one is written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any  # Any: JSON values are of any type

from hpcfed.base.versions import versions
from hpcfed.errors import InputError
from hpcfed.records import proposals
from hpcfed.records.searched import Searched, Seen
from hpcfed.sweep.planning.planned_run import PlannedRun, run_of_entry
from hpcfed.sweep.search.propose import Draft

# what a proposal's bits depend on
PACKAGES = ("hpcfed", "numpy", "scipy", "optuna", "torch", "gpytorch", "botorch")


@dataclass(frozen=True)
class Snapshot:
    """What a proposal is made from: lower numbers that have no result, or never will."""

    number: int
    pending: tuple[int, ...]
    left_out: tuple[int, ...]


class SearchFolder(Searched):
    """A search that goes on: what proposals may see, and where they are written."""

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
