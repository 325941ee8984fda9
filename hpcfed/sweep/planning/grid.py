"""From a sweep to its points: cases times the product of all axes, explicit points, less excluded.

A point is named by what it does: the digest of its resolved configuration, all keys but those that
leave no trace in what a run records. Two points of one digest are one run.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # Any: values of an experiment's keys are of any TOML type

from hpcfed.config import Experiment
from hpcfed.config.file import build_experiment, flat_keys
from hpcfed.config.own import code_digests
from hpcfed.config.tables import Point
from hpcfed.config.tree import flatten, set_key
from hpcfed.errors import InputError
from hpcfed.records import names
from hpcfed.sweep.planning.sweepfile import Sweep

# where and how carefully a run is made; its numbers and its length are the same
TRACELESS = (
    "name",
    "client.threads",
    "data.root",
    "run.checkpoint_seconds",
    "run.max_restarts",
    "run.on_rank_failure",
    "run.watchdog_min",
)
SEED = "seed"
_MAX_PROBLEMS = 5


@dataclass(frozen=True)
class ValidPoint:
    """A valid point of the sweep: what was asked, the experiment as asked, and its name."""

    point: Point
    experiment: Experiment
    name: str


def expand(sweep: Sweep) -> list[Point]:
    """Return every point that is not excluded, dotted keys to values, the first axis slowest."""
    return [point for point, _ in _kept(sweep)]


def _kept(sweep: Sweep) -> Iterator[tuple[Point, Experiment | InputError]]:
    """Yield every point that is not excluded, with its experiment or what is wrong with it."""
    for point in _every_point(sweep):
        tree = _tree(sweep, point)
        try:
            found: Experiment | InputError = build_experiment(tree, str(sweep.path))
        except InputError as error:
            found = error
        if not _excluded(found, tree, sweep):
            yield point, found


def _every_point(sweep: Sweep) -> list[Point]:
    steps = [[dict(zip(axis.keys, row, strict=True)) for row in axis.rows] for axis in sweep.axes]
    product: Iterator[tuple[Point, ...]] = itertools.product(*steps)
    points = [{k: v for step in combined for k, v in step.items()} for combined in product]
    if sweep.cases:
        points = [case | point for case in sweep.cases for point in points]
    elif not sweep.axes and sweep.points:
        points = []
    _check_axes(sweep)
    return [*points, *sweep.points]


def keys_that_vary(sweep: Sweep) -> list[str]:
    """Return the keys of all axes and points in the order of the file, seed last."""
    keys = [key for case in sweep.cases for key in case]
    keys += [key for axis in sweep.axes for key in axis.keys]
    keys += [key for point in sweep.points for key in point]
    return [key for key in dict.fromkeys(keys) if key != SEED] + [SEED]


def cells(sweep: Sweep) -> list[ValidPoint]:
    """Validate every point. Raises InputError naming points that are wrong, each with its reason.

    Points of the same digest are one cell; if a key that leaves no trace is what tells them apart,
    that is an error.
    """
    found: dict[str, ValidPoint] = {}
    problems: dict[str, list[str]] = {}
    for point, experiment in _kept(sweep):
        if isinstance(experiment, InputError):
            problems.setdefault(str(experiment), []).append(describe(point))
            continue
        cell = ValidPoint(point, experiment, name_of(experiment))
        twin = found.setdefault(cell.name, cell)
        if told_apart := [k for k in TRACELESS if point.get(k) != twin.point.get(k)]:
            raise InputError(
                f"{sweep.path}: {told_apart[0]} cannot change what a run records, so it cannot vary"
            )
    if problems:
        raise InputError(_problems(sweep, problems))
    if not found:
        raise InputError(f"{sweep.path}: no point is left; see [exclude]")
    return list(found.values())


def name_of(experiment: Experiment) -> str:
    """Return the name of a run: a digest of every key that leaves a trace."""
    keys = {k: v for k, v in flat_keys(experiment).items() if k not in TRACELESS}
    keys |= {f"code of {key}": code for key, code in code_digests(experiment).items()}
    text = json.dumps(keys, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[: names.LENGTH]


def describe(point: Point) -> str:
    """Return a point as people read it."""
    parts = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in point.items())
    return ", ".join(parts) or "the base experiment"


def resolved(experiment: Experiment, resolve_engine: Callable[[Experiment], str]) -> Experiment:
    """Return the experiment with its engine chosen."""
    client = experiment.client.model_copy(update={"engine": resolve_engine(experiment)})
    return experiment.model_copy(update={"client": client})


def _tree(sweep: Sweep, point: Point) -> dict[str, Any]:
    """Return the experiment of a point, nested, before it is validated."""
    tree = copy.deepcopy(sweep.base)
    for key, value in point.items():
        set_key(tree, key, value)
    tree["name"] = sweep.name
    return tree


def _check_axes(sweep: Sweep) -> None:
    keys = [key for axis in sweep.axes for key in axis.keys]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise InputError(f"{sweep.path}: {twice[0]} is in [grid] and [zip], or twice in [zip]")
    if both := [key for case in sweep.cases for key in case if key in keys]:
        raise InputError(f"{sweep.path}: {both[0]} is in [[cases]] and in [grid] or [zip]")


def _excluded(found: Experiment | InputError, tree: dict[str, Any], sweep: Sweep) -> bool:
    """Say whether a point's resolved keys, defaults included, match a table of [exclude].

    One that is not valid may be left out as well: by what it asks for, over the defaults.
    """
    if not sweep.exclude:
        return False
    if isinstance(found, InputError):
        keys = flat_keys(Experiment()) | dict(flatten(tree))
    else:
        keys = flat_keys(found)
    return is_excluded(keys, sweep.exclude)


def is_excluded(keys: Mapping[str, Any], tables: Sequence[Point]) -> bool:
    """Say whether an experiment's keys, defaults included, match one of the tables."""
    return any(table and _matches(keys, table) for table in tables)


def _matches(keys: Mapping[str, Any], table: Point) -> bool:
    return all(_among(keys.get(key), wanted) for key, wanted in table.items())


def _among(value: object, wanted: object) -> bool:
    return value == wanted or (isinstance(wanted, list) and value in wanted)


def _problems(sweep: Sweep, problems: dict[str, list[str]]) -> str:
    number = sum(map(len, problems.values()))
    lines = [f"{sweep.path}: {number} points are not valid; nothing has been started"]
    for message, points in list(problems.items())[:_MAX_PROBLEMS]:
        others = f" and {len(points) - 1} more" if len(points) > 1 else ""
        lines.append(f"  {points[0]}{others}:\n    {message}")
    if len(problems) > _MAX_PROBLEMS:
        lines.append(f"  ... and {len(problems) - _MAX_PROBLEMS} more kinds of problem")
    return "\n".join(lines)
