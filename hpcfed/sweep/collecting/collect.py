"""All run files of a sweep in one: sweep.nc, and the final values as sweep.csv and sweep.parquet.

At the root of sweep.nc lies every column of /rounds with the dimensions (keys..., seed, round),
under clients the columns of /clients with (keys..., seed, round, client); both open in xarray
through h5netcdf. A dimension has the name of its key, dotted. Keys that move together ([zip]) share
the dimension of the first that repeats no value, the others are coordinates along it; if each of
them does, each has a dimension of its own. What a run has not done, and points that are in no run,
are NaN: ragged sweeps are kept. Where the product of all values is far larger
than the number of runs (a random search), there is one dimension ``run`` instead, with the keys as
coordinates.

Only files that are new or have changed since the last collection are read. R rounds, N clients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcfed.config.tree import flatten
from hpcfed.errors import InputError
from hpcfed.records import origins
from hpcfed.records.columns import Columns, read_columns
from hpcfed.records.names import dropped_text
from hpcfed.records.origins import Made
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.collecting import cube, finals
from hpcfed.sweep.planning.manifest import Manifest
from hpcfed.sweep.planning.planned_run import PlannedRun


@dataclass(frozen=True)
class FoundFile:
    """One run file: whose, and a stamp that changes with its content."""

    run: PlannedRun
    path: Path
    stamp: str


def collect(manifest: Manifest, paths: Paths) -> Iterator[str]:
    """Write sweep.nc, sweep.csv and sweep.parquet; yield what is to be said.

    Raises InputError if there is nothing to collect or nothing can be written.
    """
    found, strange = _find(manifest, paths)
    earlier = cube.read_earlier(paths.collected)
    columns: dict[str, Columns] = {}
    num_read = 0
    for item in found:
        known = earlier.get(item.run.digest, item.stamp)
        if known is None:
            try:
                known = _read(item)
            except InputError as error:
                strange.append(f"{item.path}: {error}")
                continue
            num_read += 1
        columns[item.run.digest] = known
    strangers = _apart(found, columns)
    for text in (*strange, *(f"{path} {reason}" for path, reason in strangers.items())):
        yield f"left out: {text}"
    for item in found:
        if str(item.path) in strangers:
            columns.pop(item.run.digest, None)
    kept = [item for item in found if item.run.digest in columns]
    if not kept:
        raise InputError(f"{paths.out}: there is no run file to collect")
    stamps = {item.run.digest: item.stamp for item in kept}
    runs = [item.run for item in kept]
    try:
        cube.write(paths.collected, manifest, runs, columns, stamps)
        finals.write(paths, manifest, runs, columns)
    except OSError as error:
        raise InputError(f"{paths.out}: cannot be written: {error.strerror}") from None
    left = [folder for run in manifest.dropped if (folder := paths.run(run.digest)).exists()]
    if left:
        yield f"{dropped_text(left)}: {', '.join(folder.name for folder in left)}"
    missing = sum(run.digest not in columns for run in manifest.current)
    yield f"{len(kept)} runs in {paths.collected} ({num_read} read, {missing} missing)"


def _apart(found: Sequence[FoundFile], columns: Mapping[str, Columns]) -> dict[str, str]:
    """Return the run files that were made of other things under the same names, and why."""
    return origins.apart(
        [
            Made(
                str(item.path), dict(flatten(item.run.config)), columns[item.run.digest].attributes
            )
            for item in found
            if item.run.digest in columns
        ]
    )


def _read(item: FoundFile) -> Columns:
    columns = read_columns(item.path, with_clients=True)
    if columns.attributes.get("config_digest") != item.run.config_digest:
        raise InputError("is a run of another configuration")
    return columns


def _find(manifest: Manifest, paths: Paths) -> tuple[list[FoundFile], list[str]]:
    """Return the run files of the sweep file's points, in order, and what is of no sweep."""
    found, strange = [], []
    names = (
        {path.name: path for path in sorted(paths.runs.iterdir())} if paths.runs.is_dir() else {}
    )
    for run in manifest.dropped:
        names.pop(run.digest, None)
    for run in manifest.current:
        names.pop(run.digest, None)
        path = paths.run_file(run.digest)
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        found.append(FoundFile(run, path, f"{status.st_mtime_ns} {status.st_size} {status.st_ino}"))
    strange += [f"{path}: no run of this sweep" for path in names.values()]
    return found, strange
