"""A search as its files tell it: numbered proposals, and what their runs have come to.

Nothing that has been read is read again: proposals do not change, and neither does what a run has
come to after a number of rounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any  # Any: JSON values are of any type until they are checked

from hpcfed.config.search import Search
from hpcfed.config.tables import Point
from hpcfed.errors import InputError
from hpcfed.records import proposals
from hpcfed.records.columns import read_columns
from hpcfed.records.reading import DamagedFileError
from hpcfed.records.results import Result, result_of
from hpcfed.records.sweepfolder import Paths

# kinds of proposals: a new point; one that goes on to its next rung; one of the best again, with
# another seed; a member of a population's next generation
POINT, PROMOTION, CONFIRM, MEMBER = "point", "promotion", "confirm", "member"


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
        begins: the round of another run that its run begins with, 0 without one.
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
    begins: int = 0

    @property
    def observed(self) -> set[int]:
        """The lower numbers whose results it was made from."""
        return set(range(self.number)) - set(self.pending) - set(self.left_out)


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


class Searched:
    """The proposals of the present section of a search, and their results."""

    def __init__(self, search: Search, paths: Paths) -> None:
        self.search, self.paths = search, paths
        self.folder = paths.proposals / search.section
        self.entries: list[dict[str, Any]] = []
        self.items: list[Item] = []
        self.results: dict[int, Result] = {}
        self._stamps: dict[str, tuple[int, int]] = {}  # of run files that held no result yet

    def read(self) -> None:
        """Read what has come since. Raises InputError for files that cannot be read."""
        self.entries += proposals.read_from(self.folder, len(self.entries))
        self.items += [item_of(entry, self.folder) for entry in self.entries[len(self.items) :]]
        names = tuple(goal.name for goal in self.search.goals)
        stamps = dict(self._stamps)
        for item in self.items:
            if item.number in self.results:
                continue
            file = self.paths.run_file(item.digest)
            stamp = _stamp(file)
            # a run that goes on is looked at when its file is another one; it may be large
            if stamp is None or self._stamps.get(item.digest) == stamp:
                continue
            found = read_result(file, item, names)
            if found is None:
                stamps[item.digest] = stamp
            else:
                self.results[item.number] = found
        self._stamps = stamps

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


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_mtime_ns, found.st_ino


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
            begins=run["parent"][1] if run.get("parent") else 0,
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"{source}: cannot be read as proposals: {error}") from None


def read_result(path: Path, item: Item, names: tuple[str, ...]) -> Result | None:
    """Return what the run file of ``item`` holds, None without what is asked for.

    ``names`` are those of figures whose evaluations are kept. Raises InputError for another's file.
    """
    try:
        columns = read_columns(path)
    except DamagedFileError:
        return None  # whoever takes the run sets the file aside, and begins anew
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if columns.attributes.get("config_digest") != item.config_digest:
        raise InputError(f"{path}: is of another configuration; remove it")
    verdict, num_rounds = str(columns.attributes.get("verdict", "")), columns.num_rounds
    ended = columns.attributes.get("status") == "finished"
    if num_rounds < item.rounds and not (verdict and ended):
        return None
    return result_of(columns, item.begins, min(item.rounds, num_rounds), verdict, names)
