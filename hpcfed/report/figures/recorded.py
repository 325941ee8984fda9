"""Settings of finished runs with a table of their last network each: by depth, window or steps.

A setting is all runs that differ in their seeds alone. W rows of a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # Any: arrays of several dtypes

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.records.runfile import Record, read_record
from hpcfed.report.curves import Curves, group
from hpcfed.report.drawing import MARKERS, MOST_COLOURS, Look, colours, told_apart
from hpcfed.report.figures.uncertainty.bytes import names
from hpcfed.report.runs import Found, Run
from hpcfed.report.statistics import Mean, limits_of, mean_over_seeds

F64 = NDArray[np.float64]
Array = NDArray[Any]


@dataclass(frozen=True)
class Setting:
    """One setting's finished runs, what their files hold, and the table of each."""

    name: str
    curves: Curves
    records: tuple[Record, ...]
    tables: tuple[Mapping[str, Array], ...]

    @property
    def metric(self) -> str:
        """Accuracy on test, or on validation where no run was tested."""
        tested = any(np.isfinite(run.final("test_accuracy")) for run in self.curves.runs)
        return "test_accuracy" if tested else "validation_accuracy"

    def column(self, name: str) -> list[Any]:
        """Return a column (W,) of the first run's table; nothing without a table."""
        return list(self.tables[0].get(name, ()))

    def values(self, place: int, name: str) -> F64:
        """Return what each run's table has in a row."""
        return np.array([float(table[name][place]) for table in self.tables])

    def at(self, place: int, name: str) -> Mean:
        """Return that over seeds."""
        return mean_over_seeds(self.values(place, name), limits_of(name))


def settings(found: Found, table: str, how: str) -> list[Setting]:
    """Return the settings whose runs have ``table``, and all others.

    Raises InputError, which says ``how`` one is made, where no run has it.
    """
    groups = [one for one in group(found.finished()) if all(r.file.is_file() for r in one.runs)]
    given = []
    named = zip(names([curves.runs[0].keys for curves in groups]), groups, strict=True)
    for name, curves in named:
        records = tuple(read_record(run.file) for run in curves.runs)
        tables = tuple(record.curves.get(table, {}) for record in records)
        given.append(Setting(name or _name(curves), curves, records, tables))
    if not any(setting.tables[0] for setting in given):
        raise InputError(f"{found.root}: no finished run was evaluated over {table}; {how}")
    return given


def is_asked(found: Found, key: str) -> bool:
    """Say whether a finished run of ``found`` was asked for a table by ``key``."""
    return any(_asked(run, key) for run in found.finished().runs)


def looks(found: Sequence[Setting]) -> list[tuple[Setting, str, Look]]:
    """Return each setting with its text and how it is drawn. Raises InputError for too many."""
    if len(found) > MOST_COLOURS:
        raise InputError(
            f"{len(found)} settings cannot be told apart in one picture (at most "
            f"{MOST_COLOURS}); choose some with --where KEY=VALUE"
        )
    texts = told_apart([setting.name for setting in found])
    pairs = enumerate(zip(found, texts, colours(len(found)), strict=True))
    return [
        (setting, text, {"color": colour, "marker": MARKERS[place % len(MARKERS)]})
        for place, (setting, text, colour) in pairs
    ]


def bars(means: Sequence[Mean]) -> F64:
    """Return how far intervals reach below and above their means, (2, n), in percent."""
    ends = [(mean.mean - mean.low, mean.high - mean.mean) for mean in means]
    return 100 * np.nan_to_num(np.array(ends, np.float64).T)


def seeds_text(found: Sequence[Setting]) -> str:
    """Return how many seeds settings have: "3", or "3 to 5"."""
    seeds = sorted({len(setting.records) for setting in found})
    return f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"


def _asked(run: Run, key: str) -> bool:
    return run.num_rounds > 0 and run.file.is_file() and bool(run.keys.get(key))


def _name(curves: Curves) -> str:
    """Return the name of the only setting."""
    return str(curves.runs[0].keys.get("name", "run"))
