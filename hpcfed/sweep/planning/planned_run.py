"""A run of a sweep: its name, its point and its complete configuration, frozen."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any  # Any: values of an experiment's keys are of any TOML type

from hpcfed.config import Experiment
from hpcfed.config.file import build_experiment, digest
from hpcfed.config.own import code_digests
from hpcfed.config.search import Search
from hpcfed.config.tables import Point
from hpcfed.config.tree import set_key
from hpcfed.errors import InputError
from hpcfed.records import proposals
from hpcfed.records.names import run_name
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.grid import ValidPoint, name_of, resolved


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
        digest: its name, a digest of ``config``.
        asked: the same with the engine as it was asked for, possibly "auto".
        current: whether the sweep file still has this point.
        config_digest: what the run file's attribute of this name must be.
        point: dotted keys to values, as the sweep file has them.
        config: the complete configuration, nested.
        code: digests of code of one's own that it needs; None: they are part of the name.
        parent: of a run that is forked: the run and its round that this one begins with.
    """

    digest: str
    asked: str
    current: bool
    config_digest: str
    point: Point
    config: dict[str, Any]
    code: dict[str, str] | None = None
    parent: tuple[str, int] | None = None

    @cached_property
    def experiment(self) -> Experiment:
        """The configuration, validated."""
        return build_experiment(self.config, f"run {self.digest}")

    @property
    def num_rounds(self) -> int:
        """Rounds that it is asked for: of the whole run, or until it pauses."""
        return int(self.config["server"]["rounds"])


def run_of_cell(cell: ValidPoint, resolve_engine: Callable[[Experiment], str]) -> PlannedRun:
    """Return the run of a valid point, its engine chosen."""
    experiment = resolved(cell.experiment, resolve_engine)
    config = experiment.model_dump(mode="json", exclude_none=True)
    return PlannedRun(name_of(experiment), cell.name, True, digest(experiment), cell.point, config)


def run_of(search: Search, point: Point, resolve_engine: Callable[[Experiment], str]) -> PlannedRun:
    """Return the run of a point of the space. Raises InputError for one that is not valid."""
    tree = copy.deepcopy(search.base)
    for key, value in point.items():
        set_key(tree, key, value)
    tree["name"] = search.name
    experiment = build_experiment(tree, search.name)
    cell = ValidPoint(point, experiment, name_of(experiment))
    found = run_of_cell(cell, resolve_engine)
    return dataclasses.replace(found, code=code_digests(experiment))


def proposed_runs(paths: Paths, section: str) -> tuple[PlannedRun, ...]:
    """Return the runs of all proposals, those of other sections of the search not current."""
    found: dict[str, PlannedRun] = {}
    for name in proposals.sections(paths.proposals):
        for entry in proposals.read_all(paths.proposals / name):
            run = run_of_entry(entry, paths.proposals, name == section)
            if run.current or run.digest not in found:
                found[run.digest] = run  # the last one says how far it goes
    return tuple(sorted(found.values(), key=lambda run: not run.current))


def run_of_entry(entry: dict[str, Any], source: Path, current: bool = True) -> PlannedRun:
    """Return the run of a proposal. Raises InputError."""
    try:
        content = entry["run"]
        parent = content["parent"]
        if parent is not None:
            parent = run_name(parent[0], source), int(parent[1])
        digest = run_name(content["digest"], source)
        return PlannedRun(**{**content, "digest": digest, "parent": parent, "current": current})
    except (KeyError, TypeError) as error:
        raise InputError(f"{source}: cannot be read as proposals: {error}") from None
