"""Which engine each run takes, and whether that fits the GPUs that are booked for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hpcfed.config.own import own_code
from hpcfed.errors import InputError
from hpcfed.sweep.planning.grid import describe
from hpcfed.sweep.planning.resources import Resources

if TYPE_CHECKING:
    from hpcfed.sweep.planning.planned_run import PlannedRun

_ON_CPU = "event"


def check(runs: Sequence[PlannedRun], resources: Resources, source: object) -> None:
    """Refuse runs of the gpu engine where no GPU is booked. Raises InputError naming one."""
    needy = of_engine(runs).get("gpu", [])
    if needy and not resources.gpus:
        raise InputError(
            f'{source}: client.engine = "gpu" in {len(needy)} runs ({_first(needy)}), but '
            "[resources] gpus = 0, so that they would see no GPU; set gpus = 1"
        )


def of_engine(runs: Sequence[PlannedRun]) -> dict[str, list[PlannedRun]]:
    """Return the runs of each engine, that of most runs first."""
    found: dict[str, list[PlannedRun]] = {}
    for run in runs:
        found.setdefault(run.config["client"]["engine"], []).append(run)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def lines(runs: Sequence[PlannedRun]) -> Iterator[str]:
    """Yield which engine each run takes (one for all, or by points), and what code."""
    engines = of_engine(runs)
    for engine, mine in engines.items():
        which = "all runs" if len(engines) == 1 else f"{len(mine)} runs: {_first(mine)}"
        yield f"engine {engine}: {which}"
    named = {path for run in runs for path in own_code(run.experiment).values()}
    if named:
        modules = sorted({path.partition(":")[0] for path in named})
        yield f"its runs import {', '.join(modules)}"


def warnings(runs: Sequence[PlannedRun], resources: Resources) -> Iterator[str]:
    """Yield what is booked and will not be used."""
    gpus, ranks = resources.gpus, resources.ranks_per_run
    idle = of_engine(runs).get(_ON_CPU, [])
    if gpus and idle:
        yield (
            f"[resources] gpus = {gpus} books GPUs that nothing uses: {len(idle)} of {len(runs)} "
            f"runs take the {_ON_CPU} engine, which trains on CPUs; set gpus = 0, or client.engine "
            '= "gpu"'
        )
    elif gpus > ranks:
        yield (
            f"[resources] gpus = {gpus} for runs of {ranks} ranks, each of which uses one; set "
            f"gpus = {ranks}, or more ranks_per_run"
        )


def _first(runs: Sequence[PlannedRun]) -> str:
    more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return f"{describe(runs[0].point)}{more}"
