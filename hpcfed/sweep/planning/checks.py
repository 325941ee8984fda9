"""What a plan can only know with the data: does every point fit them?

Each different combination of data, partition and participation is looked at once, before any run
starts. Data that are not here may be where the runs will be: that is said, not refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any  # Any: values of an experiment's keys are of any TOML type

from hpcfed import datasets
from hpcfed.clients.participation import drop_probabilities
from hpcfed.clients.partition import partition
from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.sweep.planning.grid import describe
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.tracking.tracker import check_installed


def check_against_data(runs: Iterable[PlannedRun]) -> list[str]:
    """Check what the data decide. Returns what is to be said of what is not on this machine.

    Raises InputError naming the first point that does not fit.
    """
    unusable = _not_tracked(runs := list(runs))
    for group in grouped(runs, ("data",)):
        try:
            data = datasets.load(group[0].experiment.data)
        except InputError as error:
            unusable.append(str(error))
            continue
        for alike in grouped(group, ("partition", "participation")):
            _check(alike[0], data)
    return unusable


def _not_tracked(runs: Iterable[PlannedRun]) -> list[str]:
    """Return what is to be said of trackers that are not installed here."""
    asked = {name for run in runs for name in run.experiment.run.track or ()}
    try:
        check_installed(sorted(asked))
    except InputError as error:
        return [str(error)]
    return []


def _check(run: PlannedRun, data: datasets.Data) -> None:
    experiment: Experiment = run.experiment
    labels, groups = data.train.labels[data.train_ids], data.train.groups[data.train_ids]
    try:
        clients = partition(experiment.partition, labels, groups, experiment.seed)
        drop_probabilities(experiment.participation.drop_probability, len(clients))
    except InputError as error:
        raise InputError(f"{describe(run.point)}: {error}") from None


def grouped(runs: Iterable[PlannedRun], tables: tuple[str, ...]) -> Iterator[list[PlannedRun]]:
    """Yield the runs that agree in these tables of their configuration."""
    groups: dict[str, list[PlannedRun]] = {}
    for run in runs:
        chosen: list[Any] = [run.config.get(table) for table in tables]
        groups.setdefault(json.dumps(chosen, sort_keys=True), []).append(run)
    yield from groups.values()
