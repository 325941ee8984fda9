"""Planning a search: both ends of every range are checked, and what runs there are is found."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

from hpcfed.config import Experiment
from hpcfed.config.search import Search
from hpcfed.config.tables import Point
from hpcfed.config.tree import flatten
from hpcfed.errors import InputError
from hpcfed.records.state import glance
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning import engines
from hpcfed.sweep.planning.grid import SEED, describe
from hpcfed.sweep.planning.manifest import Manifest, Planning, earlier_manifest
from hpcfed.sweep.planning.planned_run import PlannedRun, proposed_runs, run_of
from hpcfed.sweep.planning.resources import check_time_limit, find_site
from hpcfed.sweep.planning.sweepfile import Sweep


def plan_search(
    sweep: Sweep, search: Search, paths: Paths, resolve_engine: Callable[[Experiment], str]
) -> Planning:
    """Plan a search, in a folder that may hold an earlier one, or a grid. Writes nothing.

    Raises InputError for a range that is not valid at both ends, resources that cannot be enough,
    or a folder of something else.
    """
    site = find_site(sweep.resources.site, sweep.path.parent)
    check_time_limit(sweep.resources, site, sweep.path)
    ends = tuple(corners(search, resolve_engine))
    engines.check(ends, sweep.resources, sweep.path)
    search = dataclasses.replace(search, known=_known(search, sweep, paths, resolve_engine))
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
    return Planning(manifest, 0, len(known), len(runs) - len(known), ends)


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


def _known(
    search: Search, sweep: Sweep, paths: Paths, resolve_engine: Callable[[Experiment], str]
) -> tuple[Point, ...]:
    """Return the points of runs that are there already, of another search or of a grid."""
    earlier = earlier_manifest(sweep, paths)
    if earlier is None:
        return ()
    before = earlier.search
    if before is not None and dataclasses.replace(before, known=()).section == search.section:
        return before.known  # it is the same search
    found: dict[str, Point] = {}
    for run in earlier.runs:
        state = glance(paths.run_file(run.digest))
        if state is None or not state.is_done(run.num_rounds) or run.parent is not None:
            continue
        keys = dict(flatten(run.config))
        point = {key: keys[key] for key in search.space.keys if key in keys}
        with contextlib.suppress(ValueError, InputError):  # outside of the space
            point = search.space.point(search.space.unit(_switched_on(search, point)))
            if run_of(search, point, resolve_engine).digest == run.digest:
                found[run.digest] = point
    return tuple(found.values())


def _switched_on(search: Search, point: Point) -> Point:
    """Return a configuration's keys without those that are switched off in the space."""
    off = {
        parameter.key
        for parameter in search.space.parameters
        if any(point.get(key) not in values for key, values in parameter.when.items())
    }
    return {key: value for key, value in point.items() if key not in off}
