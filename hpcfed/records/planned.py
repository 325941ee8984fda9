"""What a sweep foresees and what it gave up: its manifest and failure marks, read leniently.

Runs whose points a changed sweep file has dropped keep their files, but count nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any  # Any: JSON values are of any type until they are checked

from hpcfed.config.search import from_table
from hpcfed.config.tree import Value, frozen_keys
from hpcfed.errors import InputError
from hpcfed.records import proposals
from hpcfed.records.names import run_name
from hpcfed.records.searched import Searched
from hpcfed.records.sweepfolder import MANIFEST_FORMAT, Paths


@dataclass(frozen=True)
class ForeseenRun:
    """A run of a sweep's manifest: the name of its folder, and its resolved configuration."""

    digest: str
    keys: dict[str, Value]


@dataclass(frozen=True)
class Foreseen:
    """What a manifest says: the runs of the sweep file, those it has dropped, what is wrong."""

    runs: tuple[ForeseenRun, ...] = ()
    dropped: Set[str] = frozenset()
    problem: str = ""

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(run.digest for run in self.runs)

    def holds(self, digest: str) -> bool:
        """Say whether a run is of the sweep file; without a manifest every run counts."""
        return not self.runs or digest in self._names


def read_plan(folder: Path) -> Foreseen:
    """Return what the manifest in ``folder`` foresees; nothing where there is none."""
    path = Paths(folder).manifest
    if not path.is_file():
        return Foreseen()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != MANIFEST_FORMAT:
            return Foreseen(problem="not a manifest of hpcfed")
        listed = [*content["runs"], *_proposed(folder, content.get("search"))]
        every = {run_name(entry["digest"], path): entry for entry in listed}
        runs = tuple(
            ForeseenRun(name, frozen_keys(entry["config"]))
            for name, entry in every.items()
            if entry.get("current", True)
        )
        return Foreseen(runs, every.keys() - {run.digest for run in runs})
    except InputError as error:
        return Foreseen(problem=str(error))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Foreseen(problem=f"cannot be read as a manifest: {error}")


def read_search(folder: Path) -> Searched | None:
    """Return the search in ``folder`` with what its runs say; None where there is none.

    Raises InputError for files that cannot be read.
    """
    path = Paths(folder).manifest
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        table = content["search"] if content["format"] == MANIFEST_FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if table is None:
        return None
    found = Searched(from_table(table, str(path)), Paths(folder))
    found.read()
    return found


def _proposed(folder: Path, search: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield the runs that a search has proposed, those of its present section last."""
    if search is None:
        return
    present, root = search["section"], Paths(folder).proposals
    for section in sorted(proposals.sections(root), key=lambda name: name == present):
        for entry in proposals.read_all(root / section):
            yield {**entry["run"], "current": section == present}


@dataclass(frozen=True)
class Division:
    """Run files: those that count, those of dropped points, and those that no manifest knows."""

    counted: tuple[Path, ...]
    dropped: tuple[Path, ...] = ()
    strange: tuple[Path, ...] = ()


def divide(root: Path, files: Sequence[Path]) -> Division:
    """Divide the run files below ``root`` by the manifests of their sweeps.

    What lies in no sweep counts, and so does what was asked for by itself.
    """
    plans: dict[Path, Foreseen] = {}
    counted: list[Path] = []
    dropped: list[Path] = []
    strange: list[Path] = []
    for file in files:
        folder, digest = file.parent.parent, file.parent.name
        if folder not in plans:
            place = folder.resolve()
            is_of_sweep = place == Paths(place.parent).runs
            plans[folder] = read_plan(place.parent) if is_of_sweep else Foreseen()
        plan = plans[folder]
        if root in (file, file.parent) or plan.holds(digest):
            counted.append(file)
        else:
            (dropped if digest in plan.dropped else strange).append(file)
    return Division(tuple(counted), tuple(dropped), tuple(strange))


def read_failures(folder: Path) -> dict[str, str]:
    """Return why runs of the sweep in ``folder`` were given up, by the name of their folder."""
    failures = {}
    paths = Paths(folder)
    for path in sorted(paths.failure(run.name) for run in paths.runs.glob("*")):
        if not path.exists():
            continue
        try:
            mark: Any = json.loads(path.read_text(encoding="utf-8"))
            text = _text(mark)
        except (OSError, ValueError) as error:
            text = f"its mark cannot be read: {error}"
        failures[path.parent.name] = text
    return failures


def _text(mark: Any) -> str:
    if not isinstance(mark, dict):
        return str(mark)
    parts = str(mark.get("error", "")), str(mark.get("log") or "")
    return "\n".join(part for part in parts if part) or "no reason was left"
