"""The dimensions of a collected sweep: which keys vary, their values, and where each run lies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any  # Any: values of an experiment's keys are of any TOML type

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.tree import flatten
from hpcfed.sweep.planning.grid import SEED
from hpcfed.sweep.planning.manifest import Manifest
from hpcfed.sweep.planning.planned_run import PlannedRun

RUN = "run"
# a product this many times larger than the runs, and larger than this many cells, is not stored
_LARGEST_RATIO, _SMALL_CUBE = 10, 5000


@dataclass(frozen=True)
class Dimension:
    """One dimension: its keys, the first one's name is its own, and a row of values per step."""

    keys: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def name(self) -> str:
        """Name of the dimension."""
        return self.keys[0]


@dataclass(frozen=True)
class Axes:
    """Where each of n runs lies.

    Attributes:
        places: (n, D) int64, the index of each run along each dimension.
    """

    dimensions: tuple[Dimension, ...]
    places: NDArray[np.int64]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the dimensions, in order."""
        return tuple(dimension.name for dimension in self.dimensions)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Steps of each dimension."""
        return tuple(len(dimension.rows) for dimension in self.dimensions)

    @cached_property
    def flat(self) -> NDArray[np.int64]:
        """(n,) int64, the place of each run in the product of all dimensions."""
        return np.asarray(np.ravel_multi_index(tuple(self.places.T), self.shape), np.int64)


def axes_of(manifest: Manifest, runs: Sequence[PlannedRun]) -> Axes:
    """Return the axes of ``runs``, by the keys that the sweep file varies."""
    settings = [dict(flatten(run.config)) for run in runs]
    keys = [key for key in manifest.keys if key != SEED]
    groups = [group for group in manifest.zipped if set(group) <= {*keys, SEED}]
    of_group = {
        key: along for group in groups if (along := _along(group, settings)) for key in group
    }
    names = dict.fromkeys(of_group.get(key, (key,)) for key in [*keys, SEED])
    dimensions = tuple(_dimension(group, settings) for group in names)
    cells = np.prod([float(len(d.rows)) for d in dimensions])
    if manifest.search is not None or cells > max(_LARGEST_RATIO * len(runs), _SMALL_CUBE):
        return _one_dimension([*keys, SEED], settings)
    return Axes(dimensions, _places(dimensions, settings))


def coordinate(key: str, values: Sequence[Any]) -> NDArray[Any]:
    """Return a key's values as a coordinate: numbers or truth values as they are, else text.

    Seeds are uint64, whatever their size, so that all of them are whole numbers of one type.
    """
    kinds = {type(value) for value in values}
    if kinds == {int} and key.endswith(SEED):
        return np.array(values, np.uint64)
    if kinds == {bool} or kinds == {int}:
        return np.array(values)
    if kinds <= {int, float}:
        return np.array(values, np.float64)
    return np.array([v if isinstance(v, str) else _text(v) for v in values], object)


def _along(group: tuple[str, ...], settings: Sequence[dict[str, Any]]) -> tuple[str, ...] | None:
    """Return the keys of a [zip] group, first the one whose values can label its steps.

    That is the first that repeats no value; None if each does.
    """
    rows = _dimension(group, settings).rows
    for place, key in enumerate(group):
        if len({_text(row[place]) for row in rows}) == len(rows):
            return (key, *(other for other in group if other != key))
    return None


def _dimension(keys: tuple[str, ...], settings: Sequence[dict[str, Any]]) -> Dimension:
    rows: dict[str, tuple[Any, ...]] = {}
    for setting in settings:
        row = tuple(setting.get(key) for key in keys)
        rows.setdefault(_text(row), row)
    values = list(rows.values())
    if all(isinstance(row[0], int | float) for row in values):
        values.sort(key=lambda row: row[0])
    return Dimension(keys, tuple(values))


def _places(
    dimensions: Sequence[Dimension], settings: Sequence[dict[str, Any]]
) -> NDArray[np.int64]:
    columns = []
    for dimension in dimensions:
        index = {_text(row): place for place, row in enumerate(dimension.rows)}
        columns.append([index[_text(tuple(s.get(k) for k in dimension.keys))] for s in settings])
    return np.array(columns, np.int64).T.reshape(len(settings), len(dimensions))


def _one_dimension(keys: Sequence[str], settings: Sequence[dict[str, Any]]) -> Axes:
    rows = tuple(
        (index, *(setting.get(key) for key in keys)) for index, setting in enumerate(settings)
    )
    places = np.arange(len(settings), dtype=np.int64).reshape(-1, 1)
    return Axes((Dimension((RUN, *keys), rows),), places)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
