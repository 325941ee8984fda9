"""The manifest: every run of a sweep with its complete configuration, frozen under its name.

Planning again adds the points that are new. A run that is known keeps its entry, the engine chosen
at its first planning included; a run whose point is gone stays in the manifest, is no longer worked
on, and keeps its files. Of a search the manifest holds what it looks for; its runs are those of its
proposals, and grow while others work.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: values of an experiment's keys are of any TOML type

from hpcfed.base.atomic import replacing
from hpcfed.config import Experiment
from hpcfed.config.own import code_digests, own_code
from hpcfed.config.search import Search, from_table
from hpcfed.config.tables import checked
from hpcfed.errors import InputError
from hpcfed.records.names import run_name
from hpcfed.records.schema import RUN_FILE
from hpcfed.records.sweepfolder import MANIFEST_FORMAT, Paths
from hpcfed.sweep.planning import engines
from hpcfed.sweep.planning.grid import cells, keys_that_vary, name_of
from hpcfed.sweep.planning.planned_run import PlannedRun, proposed_runs, run_of_cell
from hpcfed.sweep.planning.resources import Resources, Site, check_time_limit, find_site
from hpcfed.sweep.planning.sweepfile import Sweep

SCHEMA_VERSION = 1


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
    """A manifest, and how it came about: points that are new, known, and gone.

    ``checked`` are all runs, or of a search those at the ends of its ranges.
    """

    manifest: Manifest
    num_new: int
    num_known: int
    num_gone: int
    checked: tuple[PlannedRun, ...]


def plan(sweep: Sweep, paths: Paths, resolve_engine: Callable[[Experiment], str]) -> Planning:
    """Expand and validate ``sweep`` and merge it with what is planned in the folder already.

    Writes nothing. Raises InputError for an invalid point, resources that cannot be enough, or a
    folder of something else.
    """
    site = find_site(sweep.resources.site, sweep.path.parent)
    check_time_limit(sweep.resources, site, sweep.path)
    earlier_plan = earlier_manifest(sweep, paths)
    known = {run.asked: run for run in (earlier_plan.runs if earlier_plan else ())}
    runs = {}
    for cell in cells(sweep):
        earlier = known.get(cell.name)
        run = run_of_cell(cell, resolve_engine) if earlier is None else earlier
        runs[run.digest] = dataclasses.replace(run, current=True, point=cell.point)
    engines.check(list(runs.values()), sweep.resources, sweep.path)
    gone = [run for run in known.values() if run.digest not in runs]
    kept = [dataclasses.replace(run, current=False) for run in gone]
    cases = tuple(dict.fromkeys(key for case in sweep.cases for key in case))
    num_known = len(runs.keys() & {run.digest for run in known.values()})
    manifest = Manifest(
        name=sweep.name,
        keys=tuple(keys_that_vary(sweep)),
        zipped=tuple(keys for keys in (*(a.keys for a in sweep.axes), cases) if len(keys) > 1),
        resources=sweep.resources,
        site=site,
        runs=(*runs.values(), *kept),
    )
    return Planning(manifest, len(runs) - num_known, num_known, len(kept), manifest.current)


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


def earlier_manifest(sweep: Sweep, paths: Paths) -> Manifest | None:
    """Return what is planned in the folder already. Raises InputError for something else's."""
    if paths.out.exists() and not paths.out.is_dir():
        raise InputError(f"{paths.out}: is a file; choose another folder with --out")
    if (paths.out / RUN_FILE).exists():
        raise InputError(f"{paths.out}: holds a run; choose another folder with --out")
    if not paths.manifest.exists():
        return None
    earlier = read_manifest(paths)
    if earlier.name != sweep.name:
        raise InputError(
            f"{paths.out}: holds the sweep {earlier.name}, this one is {sweep.name}; choose "
            "another folder with --out"
        )
    return earlier


def _entry(run: PlannedRun) -> dict[str, Any]:
    # dataclasses.asdict would copy the cached experiment's tables deeply for nothing
    names = [field.name for field in dataclasses.fields(run)]
    return {name: getattr(run, name) for name in names if name not in ("code", "parent")}
