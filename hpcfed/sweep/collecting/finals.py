"""The final values of all runs as a tidy table: one row per run, one column per key or value."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any  # Any: a row holds values of several types

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.atomic import replacing
from hpcfed.config.tree import flatten
from hpcfed.records.columns import Columns
from hpcfed.records.log import WAYS
from hpcfed.records.results import is_feasible, violations
from hpcfed.records.searched import Searched
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.collecting.axes import RUN, axes_of, coordinate
from hpcfed.sweep.planning.manifest import Manifest
from hpcfed.sweep.planning.planned_run import PlannedRun

_EVALUATED = ("train_loss", "validation_accuracy", "validation_loss", "test_accuracy", "test_loss")
_SUMS = ("uplink_values", *(f"uplink_bytes_{way}" for way in WAYS),
         "downlink_bytes", "num_participants", "num_rejected")  # fmt: skip
_SECONDS = ("seconds_train", "seconds_communicate", "seconds_wait", "seconds_evaluate",
            "seconds_write")  # fmt: skip


def write(
    paths: Paths, manifest: Manifest, runs: Sequence[PlannedRun], columns: Mapping[str, Columns]
) -> None:
    """Replace sweep.csv and sweep.parquet. Raises OSError."""
    import pandas

    dimensions = axes_of(manifest, runs).dimensions
    keys = [key for dimension in dimensions for key in dimension.keys if key != RUN]
    settings = [dict(flatten(run.config)) for run in runs]
    table = {"digest": np.array([run.digest for run in runs], object)}
    table |= {key: coordinate(key, [setting.get(key) for setting in settings]) for key in keys}
    judged = _judged(paths, manifest)
    rows = [_values(columns[run.digest]) | judged.get(run.digest, {}) for run in runs]
    names = list(dict.fromkeys(name for row in rows for name in row))
    frame = pandas.DataFrame({**table, **{name: [row.get(name) for row in rows] for name in names}})
    with replacing(paths.table(".csv")) as stream:
        stream.write(frame.to_csv(index=False).encode())
    image = io.BytesIO()
    frame.to_parquet(image, index=False)
    with replacing(paths.table(".parquet")) as stream:
        stream.write(image.getbuffer())


def _judged(paths: Paths, manifest: Manifest) -> dict[str, dict[str, Any]]:
    """Return how a search judges each of its runs: number, why, feasible and constraints."""
    if manifest.search is None:
        return {}
    searched = Searched(manifest.search, paths)
    searched.read()
    found: dict[str, dict[str, Any]] = {}
    for item in searched.items:
        row: dict[str, Any] = {"number": item.number, "why": item.why}
        if (result := searched.results.get(item.number)) is not None:
            row["feasible"] = int(is_feasible(manifest.search, result))
            c = violations(manifest.search, result)
            row |= {f"c_{name}": value for name, value in c.items()}
        found[item.digest] = row
    return found


def _values(columns: Columns) -> dict[str, Any]:
    """Return the final values of one run: the last known of a figure, the sum of a cost."""
    rounds, validation = columns.rounds, columns.rounds["validation_accuracy"]
    values: dict[str, Any] = {
        "status": str(columns.attributes.get("status", "")),
        "verdict": str(columns.attributes.get("verdict", "")),
        "num_rounds": len(rounds["params_digest"]),
        "num_clients": columns.num_clients,
    }
    values |= {name: _last(rounds[name]) for name in _EVALUATED}
    known = bool(np.isfinite(validation).any())
    best = int(np.nanargmax(validation)) if known else -1
    values["best_round"] = best + 1 if known else 0
    values["best_validation_accuracy"] = float(validation[best]) if known else np.nan
    values["test_accuracy_at_best"] = float(rounds["test_accuracy"][best]) if known else np.nan
    values |= {name: float(rounds[name].sum()) for name in (*_SUMS, *_SECONDS)}
    digests = rounds["params_digest"]
    values["params_digest"] = bytes(digests[-1]).decode() if len(digests) else ""
    return values


def _last(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else np.nan
