"""Rasters, rates, silent neurons, operations and energy of one run."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpcfed.config.tree import Value, frozen_keys
from hpcfed.errors import InputError
from hpcfed.records.runfile import Record, read_record
from hpcfed.report.figures import energy, spikes
from hpcfed.report.figures.spikes_figure import draw
from hpcfed.report.plots.asked import Asked, Lines, written

COLUMNS = {
    ".csv": energy.COLUMNS,
    "_energy.csv": energy.ENERGY_COLUMNS,
    "_neurons.csv": spikes.NEURON_COLUMNS,
}


@dataclass(frozen=True)
class Counting:
    """How spikes are counted.

    Attributes:
        table: energies of operations; None: 32-bit floating point in 45 nm.
        anns: runs of ANNs whose energy stands beside.
        saturated: a neuron is saturated that spikes in this part of the bins.
    """

    table: energy.Energy | None = None
    anns: Sequence[Path] = ()
    saturated: float = 0.9


def table_of(accumulate_pj: float | None, multiply_accumulate_pj: float | None) -> energy.Energy:
    """Return the table of energies, pJ, None as by default.

    Raises InputError for those that are negative or not finite.
    """
    default = energy.CONSTANTS["float32"]
    given = (accumulate_pj, multiply_accumulate_pj)
    known = (default.accumulate_pj, default.multiply_accumulate_pj)
    first, second = (k if g is None else g for g, k in zip(given, known, strict=True))
    if not all(0 <= energy_pj < math.inf for energy_pj in (first, second)):
        raise InputError(
            "--accumulate-pj and --multiply-accumulate-pj: give finite numbers, not negative"
        )
    return energy.Energy(first, second)


def write(asked: Asked, counting: Counting) -> Lines:
    """Write the picture and its tables."""
    if not 0 < counting.saturated <= 1:
        raise InputError(
            f"--saturated {counting.saturated:g}: give a fraction, above 0 and at most 1"
        )
    picture, record = asked.picture("spikes"), read_record(asked.path)
    keys, table = _keys(record), counting.table or table_of(None, None)
    anns = [_ann(path) for path in counting.anns]
    known = table in energy.CONSTANTS.values()
    counts = energy.operations(record, keys)
    yield from written(
        picture, lambda: draw(record, keys, table, counting.saturated), COLUMNS,
        {
            ".csv": energy.rows(counts, table),
            "_energy.csv": energy.energy_rows(
                counts, anns, energy.CONSTANTS if known else {"given": table}
            ),
            "_neurons.csv": spikes.neuron_rows(spikes.layers(record), counting.saturated),
        },
    )  # fmt: skip


def _ann(path: Path) -> tuple[str, float]:
    """Return the name of an ANN's run and its multiply-accumulates a sample."""
    record = read_record(path)
    return str(path), energy.ann_operations(record, _keys(record))


def _keys(record: Record) -> dict[str, Value]:
    return frozen_keys(tomllib.loads(record.attributes["config_toml"]))
