"""The manifest: every run of a sweep with its complete configuration, frozen under its name.

Planning again adds the points that are new. A run that is known keeps its entry, the engine chosen
at its first planning included; a run whose point is gone stays in the manifest, is no longer worked
on, and keeps its files. Of a search the manifest holds what it looks for; its runs are those of its
proposals, and grow while others work.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any  # Any: values of an experiment's keys are of any TOML type

from hpcfed.base.atomic import replacing
from hpcfed.config import Experiment
from hpcfed.config.file import build_experiment, digest
from hpcfed.config.own import code_digests, own_code
from hpcfed.config.search import Search, from_table
from hpcfed.config.tables import Point, checked
from hpcfed.config.tree import set_key
from hpcfed.errors import InputError
from hpcfed.records import proposals
from hpcfed.records.names import run_name
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.sweepfolder import MANIFEST_FORMAT, Paths
from hpcfed.sweep.planning import engines
from hpcfed.sweep.planning.grid import (
    SEED,
    ValidPoint,
    cells,
    describe,
    keys_that_vary,
    name_of,
    resolved,
)
from hpcfed.sweep.planning.resources import Resources, Site, check_time_limit, find_site
from hpcfed.sweep.planning.sweepfile import Sweep

SCHEMA_VERSION = 1


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
        """Rounds of the whole run."""
        return int(self.config["server"]["rounds"])


@dataclass(frozen=True)
class Manifest:
    """All runs of a sweep.

    Attributes:
        keys: dotted keys that vary, seed last.
        zipped: groups of keys that move together.
    """

    name: str
    keys: tuple[str, ...]
    zipped: tuple[tuple[str, ...], ...]
    resources: Resources
    site: Site
    runs: tuple[PlannedRun, ...]
    search: Search | None = None

    @property
    def current(self) -> tuple[PlannedRun, ...]:
        """The runs of the sweep file as it was planned last."""
        return tuple(run for run in self.runs if run.current)

    @property
    def dropped(self) -> tuple[PlannedRun, ...]:
        """The runs whose points the sweep file had once; what they left stays where it is."""
        return tuple(run for run in self.runs if not run.current)

    def experiment(self, digest: str) -> Experiment:
        """Return a run's experiment as it is to be run: threads are the resources'."""
        run = next((run for run in self.runs if run.digest == digest), None)
        if run is None:
            raise InputError(f"{self.name} has no run {digest}")
        if _has_other_code(run):
            modules = ", ".join(own_code(run.experiment).values())
            raise InputError(
                f"{self.name}: the code of {modules} is another one than when run {digest} was "
                "planned; plan the sweep again, or put the code back"
            )
        client = run.experiment.client.model_copy(update={"threads": self.resources.threads})
        return run.experiment.model_copy(update={"client": client})


def _has_other_code(run: PlannedRun) -> bool:
    if not own_code(run.experiment):
        return False
    if run.code is not None:
        return code_digests(run.experiment) != run.code
    return name_of(run.experiment) != run.digest


@dataclass(frozen=True)
class Planning:
    """A manifest, and how it came about: points that are new, known, and gone."""

    manifest: Manifest
    num_new: int
    num_known: int
    num_gone: int


def plan(sweep: Sweep, paths: Paths, resolve_engine: Callable[[Experiment], str]) -> Planning:
    """Expand and validate ``sweep`` and merge it with what is planned in the folder already.

    Writes nothing. Raises InputError for an invalid point, resources that cannot be enough, or a
    folder of something else.
    """
    site = find_site(sweep.resources.site, sweep.path.parent)
    check_time_limit(sweep.resources, site, sweep.path)
    if sweep.search is not None:
        return _plan_search(sweep, sweep.search, site, paths, resolve_engine)
    known = {run.asked: run for run in _earlier(sweep, paths)}
    runs = {}
    for cell in cells(sweep):
        earlier = known.get(cell.name)
        run = _run(cell, resolve_engine) if earlier is None else earlier
        runs[run.digest] = dataclasses.replace(run, current=True, point=cell.point)
    engines.check(list(runs.values()), sweep.resources, sweep.path)
    gone = [run for run in known.values() if run.digest not in runs]
    kept = [dataclasses.replace(run, current=False) for run in gone]
    num_known = len(runs.keys() & {run.digest for run in known.values()})
    manifest = Manifest(
        name=sweep.name,
        keys=tuple(keys_that_vary(sweep)),
        zipped=tuple(axis.keys for axis in sweep.axes if len(axis.keys) > 1),
        resources=sweep.resources,
        site=site,
        runs=(*runs.values(), *kept),
    )
    return Planning(manifest, len(runs) - num_known, num_known, len(kept))


def corners(search: Search, resolve_engine: Callable[[Experiment], str]) -> list[PlannedRun]:
    """Return runs at both ends of each range, which plan checks. Raises InputError."""
    found: list[PlannedRun] = []
    problems: dict[str, Point] = {}
    for point in search.space.corners:
        try:
            found.append(run_of(search, point, resolve_engine))
        except InputError as error:
            problems.setdefault(str(error), point)
    if problems:
        lines = [f"  {describe(point)}:\n    {error}" for error, point in problems.items()]
        raise InputError("\n".join([f"{search.name}: not all of [search.space] is valid", *lines]))
    return found


def run_of(search: Search, point: Point, resolve_engine: Callable[[Experiment], str]) -> PlannedRun:
    """Return the run of a point of the space. Raises InputError for one that is not valid."""
    tree = copy.deepcopy(search.base)
    for key, value in point.items():
        set_key(tree, key, value)
    tree["name"] = search.name
    experiment = build_experiment(tree, search.name)
    cell = ValidPoint(point, experiment, name_of(experiment))
    found = _run(cell, resolve_engine)
    return dataclasses.replace(found, code=code_digests(experiment))


def _plan_search(
    sweep: Sweep,
    search: Search,
    site: Site,
    paths: Paths,
    resolve_engine: Callable[[Experiment], str],
) -> Planning:
    ends = corners(search, resolve_engine)
    engines.check(ends, sweep.resources, sweep.path)
    _earlier(sweep, paths)
    runs = proposed_runs(paths, search.section)
    known = [run for run in runs if run.current]
    manifest = Manifest(
        name=sweep.name,
        keys=(*search.space.keys, SEED),
        zipped=(),
        resources=sweep.resources,
        site=site,
        runs=runs,
        search=search,
    )
    return Planning(manifest, 0, len(known), len(runs) - len(known))


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


def write_manifest(paths: Paths, manifest: Manifest, sweep_text: str) -> None:
    """Make the folder; replace manifest and copy of the sweep file. Raises InputError."""
    head = {
        "format": MANIFEST_FORMAT,
        "schema_version": SCHEMA_VERSION,
        "name": manifest.name,
        "keys": manifest.keys,
        "zipped": manifest.zipped,
        "resources": manifest.resources.model_dump(mode="json"),
        "site": manifest.site.model_dump(mode="json"),
    }
    if manifest.search is not None:
        head["search"] = manifest.search.as_table()
    own = manifest.runs if manifest.search is None else ()
    lines = [json.dumps(_entry(run), ensure_ascii=False) for run in own]
    text = json.dumps(head)[:-1] + ',\n"runs": [\n' + ",\n".join(lines) + "\n]}\n"
    try:
        for folder in (paths.runs, paths.claims, paths.logs, paths.arrays):
            folder.mkdir(parents=True, exist_ok=True)
        for path, content in ((paths.sweep, sweep_text), (paths.manifest, text)):
            replace_text(path, content)
    except OSError as error:
        raise InputError(
            f"{paths.out}: the plan cannot be written: {error.strerror}; choose another folder "
            "with --out"
        ) from None


def replace_text(path: Path, content: str) -> None:
    """Replace a file whole, unless it holds this text already. Raises OSError."""
    data = content.encode()
    if not path.is_file() or path.read_bytes() != data:
        with replacing(path) as stream:
            stream.write(data)


def read_manifest(paths: Paths) -> Manifest:
    """Read a manifest. Raises InputError if there is none, or none that can be read."""
    path = paths.manifest
    if not path.is_file():
        raise InputError(f"{paths.out}: no sweep is planned here; run hpcfed sweep plan first")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != MANIFEST_FORMAT or content["schema_version"] > SCHEMA_VERSION:
            raise InputError(f"{path}: not a manifest that this version of hpcfed reads")
        search = from_table(content["search"], str(path)) if "search" in content else None
        return Manifest(
            name=content["name"],
            keys=tuple(content["keys"]),
            zipped=tuple(map(tuple, content["zipped"])),
            resources=checked(Resources, content["resources"], str(path)),
            site=checked(Site, content["site"], str(path)),
            runs=_runs(content["runs"], path)
            if search is None
            else proposed_runs(paths, search.section),
            search=search,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as a manifest: {error}") from None


def _runs(entries: list[dict[str, Any]], path: Path) -> tuple[PlannedRun, ...]:
    return tuple(
        PlannedRun(**{**entry, "digest": run_name(entry["digest"], path)}) for entry in entries
    )


def _earlier(sweep: Sweep, paths: Paths) -> tuple[PlannedRun, ...]:
    if paths.out.exists() and not paths.out.is_dir():
        raise InputError(f"{paths.out}: is a file; choose another folder with --out")
    if (paths.out / RUN_FILE).exists():
        raise InputError(f"{paths.out}: holds a run; choose another folder with --out")
    if not paths.manifest.exists():
        return ()
    earlier = read_manifest(paths)
    if earlier.name != sweep.name:
        raise InputError(
            f"{paths.out}: holds the sweep {earlier.name}, this one is {sweep.name}; choose "
            "another folder with --out"
        )
    return earlier.runs


def _run(cell: ValidPoint, resolve_engine: Callable[[Experiment], str]) -> PlannedRun:
    experiment = resolved(cell.experiment, resolve_engine)
    config = experiment.model_dump(mode="json", exclude_none=True)
    return PlannedRun(name_of(experiment), cell.name, True, digest(experiment), cell.point, config)


def _entry(run: PlannedRun) -> dict[str, Any]:
    # dataclasses.asdict would copy the cached experiment's tables deeply for nothing
    names = [field.name for field in dataclasses.fields(run)]
    return {name: getattr(run, name) for name in names if name not in ("code", "parent")}
