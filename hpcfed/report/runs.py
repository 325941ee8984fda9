"""The runs at or below a path, whatever it is: a run file, a folder, or a collected sweep.

What cannot be read is listed with its reason and left out. R rounds.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.tree import Value, frozen_keys
from hpcfed.errors import InputError
from hpcfed.records import origins
from hpcfed.records.columns import Columns, read_columns
from hpcfed.records.log import uplink_bytes
from hpcfed.records.origins import Made
from hpcfed.records.planned import (
    Foreseen,
    ForeseenRun,
    divide,
    read_failures,
    read_plan,
)
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.state import status_of
from hpcfed.records.sweepfolder import COLLECTED, Paths
from hpcfed.report.collected import read_collected
from hpcfed.report.values import value_text

F64 = NDArray[np.float64]

SEED = "seed"


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        file: the run file.
        label: how it is named in tables: its folder below the path that was asked for.
        keys: the resolved configuration, by dotted key.
        columns: what it recorded.
    """

    file: Path
    label: str
    keys: Mapping[str, Value]
    columns: Columns

    @property
    def rounds(self) -> dict[str, F64]:
        """One (R,) column per name of ``records.ROUND_FIELDS``."""
        return self.columns.rounds

    @property
    def digest(self) -> str:
        """The name of its folder: in a sweep the digest by which the manifest knows it."""
        return self.file.parent.name

    @property
    def num_rounds(self) -> int:
        """R, rounds done."""
        return len(self.rounds["train_loss"])

    @property
    def verdict(self) -> str:
        """Why a finished run has ended before its last round; "" where it has not."""
        return str(self.columns.attributes.get("verdict", ""))

    @property
    def status(self) -> str:
        """running, stopped, finished or failed."""
        return status_of(self.columns.attributes)

    @property
    def error(self) -> str:
        """Why the run failed, or nothing."""
        return str(self.columns.attributes.get("error", ""))

    @property
    def seed(self) -> Value:
        """The seed of the run."""
        return self.keys.get(SEED)

    @property
    def num_ranks(self) -> int:
        """Ranks of the last start; 0 if there was none."""
        return int(self.columns.attempt.get("num_ranks", 0))

    def final(self, name: str) -> float:
        """Return a column's value after the last round; NaN if there is none."""
        column = self.rounds[name]
        return float(column[-1]) if len(column) else math.nan

    def uplink_bytes(self) -> F64:
        """Return the bytes sent up so far, after each round (R,), each in its cheapest way."""
        return np.cumsum(uplink_bytes(self.rounds))


@dataclass(frozen=True)
class Skipped:
    """A file that is left out, and why."""

    label: str
    reason: str


@dataclass(frozen=True)
class Found:
    """Everything found at ``root``; ``planned`` is empty where no sweep was planned.

    ``failures`` maps the folder names of runs that a sweep gave up to the reason; ``dropped`` are
    the run files of points that a sweep file had once.
    """

    root: Path
    runs: tuple[Run, ...]
    skipped: tuple[Skipped, ...]
    planned: tuple[ForeseenRun, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[Path, ...] = ()

    @property
    def missing(self) -> tuple[ForeseenRun, ...]:
        """Planned runs that have left no readable run file yet."""
        known = {run.digest for run in self.runs}
        return tuple(p for p in self.planned if p.digest not in known)

    def finished(self) -> Found:
        """Return the finished runs alone; the others are listed as skipped."""
        done = tuple(run for run in self.runs if run.status == "finished")
        others = [
            Skipped(r.label, f"{r.status} after {r.num_rounds} rounds{r.error and ': '}{r.error}")
            for r in self.runs
            if r.status != "finished"
        ]
        return replace(self, runs=done, skipped=(*self.skipped, *others))

    def where(self, conditions: Mapping[str, Value]) -> Found:
        """Return the runs and plans whose keys have these values.

        Raises InputError for a key that none of them has, and for a value that none has.
        """
        items = [*(r.keys for r in self.runs), *(p.keys for p in self.planned)]
        for key, value in conditions.items() if items else ():
            check_key(key, items)
            _check_value(key, value, [keys[key] for keys in items if key in keys])
        return replace(
            self,
            runs=tuple(r for r in self.runs if _agrees(r.keys, conditions)),
            planned=tuple(p for p in self.planned if _agrees(p.keys, conditions)),
        )


def find(path: Path) -> Found:
    """Return all runs at or below ``path``. Raises InputError if there is nothing there."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if path.suffix == COLLECTED:
        return _collected(path)
    if path.is_file():
        return read_files(path.parent, [path])
    files = divide(path, sorted(path.rglob(RUN_FILE)))
    found, plan = read_files(path, files.counted), read_plan(path)
    skipped = [Skipped(Paths(path).manifest.name, plan.problem)] if plan.problem else []
    skipped += [Skipped(_label(path, file), "no run of this sweep") for file in files.strange]
    return replace(
        found,
        skipped=(*skipped, *found.skipped),
        planned=plan.runs,
        failures=_failures(path, plan),
        dropped=files.dropped,
    )


def _collected(path: Path) -> Found:
    root = path.parent
    plan, paths = read_plan(root), Paths(root)
    runs = []
    for item in read_collected(path, plan.runs):
        file = paths.run_file(item.digest)
        runs.append(Run(file, _label(root, file), item.keys, item.columns))
    skipped = (Skipped(paths.manifest.name, plan.problem),) if plan.problem else ()
    counted = tuple(run for run in runs if plan.holds(run.digest))
    dropped = tuple(run.file for run in runs if not plan.holds(run.digest))
    return Found(root, counted, skipped, plan.runs, _failures(root, plan), dropped)


def _failures(root: Path, plan: Foreseen) -> dict[str, str]:
    return {name: text for name, text in read_failures(root).items() if plan.holds(name)}


def read_files(root: Path, files: Sequence[Path]) -> Found:
    """Read run files; labels are relative to ``root``."""
    runs, skipped = [], []
    for file in files:
        label = _label(root, file)
        try:
            columns = read_columns(file)
            runs.append(Run(file, label, configuration(columns), columns))
        except InputError as error:
            skipped.append(Skipped(label, str(error)))
    return _together(Found(root, tuple(runs), tuple(skipped)))


def _together(found: Found) -> Found:
    """Leave out the runs that were made of other things under the same names."""
    strangers = origins.apart(
        [Made(run.label, run.keys, run.columns.attributes) for run in found.runs]
    )
    return replace(
        found,
        runs=tuple(run for run in found.runs if run.label not in strangers),
        skipped=(*found.skipped, *(Skipped(*item) for item in strangers.items())),
    )


def configuration(columns: Columns) -> dict[str, Value]:
    """Return the resolved configuration by dotted key. Raises InputError if it is no TOML."""
    try:
        tree = tomllib.loads(columns.attributes["config_toml"])
    except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"its configuration cannot be read: {error}") from None
    return frozen_keys(tree)


def check_key(key: str, items: Sequence[Mapping[str, Value]]) -> None:
    """Raise InputError, naming keys that are near, where none of ``items`` has this key."""
    known = sorted({name for keys in items for name in keys})
    if known and key not in known:
        tails = {name.rpartition(".")[2]: name for name in known}
        near = difflib.get_close_matches(key, known, n=2)
        near += [tails[n] for n in difflib.get_close_matches(key.rpartition(".")[2], tails, n=1)]
        hint = f"; did you mean {' or '.join(dict.fromkeys(near))}?" if near else ""
        raise InputError(f"{key}: no run here has this key{hint}")


def _check_value(key: str, value: Value, values: Sequence[Value]) -> None:
    if value not in values:
        found = sorted({value_text(v) for v in values})
        more = f" and {len(found) - 10} more" if len(found) > 10 else ""
        raise InputError(
            f"{key}: no run here has {value_text(value)}; found {', '.join(found[:10])}{more}"
        )


def _agrees(keys: Mapping[str, Value], conditions: Mapping[str, Value]) -> bool:
    return all(keys.get(key) == value for key, value in conditions.items())


def _label(root: Path, file: Path) -> str:
    place = file.parent if file.name == RUN_FILE else file
    relative = place.relative_to(root)
    return str(relative) if relative != Path() else root.resolve().name
