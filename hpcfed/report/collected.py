"""Runs from a collected sweep, sweep.nc: thousands of runs from one file.

The file holds every column of /rounds over the sweep's dimensions; configurations come from the
manifest beside it, or, where there is none, from the file's own coordinates alone. Ranks and
provenance are not collected. C cells, R rounds, N clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: attributes are of any scalar type

import numpy as np
from numpy.typing import NDArray

from hpcfed.config.tree import Value
from hpcfed.errors import InputError
from hpcfed.records.columns import NUMERIC_FIELDS, Columns, read_columns
from hpcfed.records.names import run_name
from hpcfed.records.planned import ForeseenRun
from hpcfed.records.sweepfolder import COLLECTED_FORMAT, Paths

if TYPE_CHECKING:
    import xarray

NOT_KEYS = ("round", "run")
ABOUT = ("status", "verdict", "engine", "data_digest", "config_digest")
BYTES_PER_PARAMETER = 4  # the downlink is the full model, float32, to each participant


@dataclass(frozen=True)
class CollectedRun:
    """One run of sweep.nc."""

    digest: str
    keys: Mapping[str, Value]
    columns: Columns


def read_collected(path: Path, planned: tuple[ForeseenRun, ...]) -> list[CollectedRun]:
    """Return the runs in ``path``. Raises InputError if it is no collected sweep."""
    import xarray

    try:
        with (
            xarray.open_dataset(path, engine="h5netcdf") as root,
            xarray.open_dataset(path, engine="h5netcdf", group="clients") as clients,
        ):
            if root.attrs.get("format") != COLLECTED_FORMAT:
                raise InputError(f"{path}: not a collected sweep of hpcfed")
            return _split(root, clients["num_samples"], planned, path)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as a collected sweep: {error}") from None


def _split(
    root: xarray.Dataset, samples: xarray.DataArray, planned: tuple[ForeseenRun, ...], path: Path
) -> list[CollectedRun]:
    cells = root["digest"].dims
    digests = root["digest"].to_numpy().reshape(-1)
    num_rounds = root["num_rounds"].to_numpy().reshape(-1)
    rounds = {name: _rows(root[name]) for name in NUMERIC_FIELDS}
    about = {name: root[name].to_numpy().reshape(-1) for name in ABOUT if name in root}
    coordinates = _keys(root, cells)
    known = {item.digest: item.keys for item in planned}
    per_client = _rows(samples)
    found = []
    for place in np.flatnonzero(digests != "").tolist():
        digest, count = run_name(digests[place], path), int(num_rounds[place])
        columns = {name: rows[place, :count] for name, rows in rounds.items()}
        attributes = {name: str(texts[place]) for name, texts in about.items()}
        attributes["error"] = _error(path.parent, digest, attributes.get("status", ""))
        keys = known.get(digest) or {key: values[place] for key, values in coordinates.items()}
        mine = per_client[place][np.isfinite(per_client[place])]
        size = _num_params(columns)
        whole = Columns(attributes, columns, mine.astype(np.int64), num_params=size)
        found.append(CollectedRun(digest, keys, whole))
    return found


def _rows(array: xarray.DataArray) -> NDArray[np.float64]:
    values = np.asarray(array.to_numpy(), np.float64)
    return values.reshape(-1, values.shape[-1])


def _keys(root: xarray.Dataset, cells: tuple[Any, ...]) -> dict[str, list[Value]]:
    """Return the coordinates of every cell, in the order of the flattened cells."""
    import xarray

    shape = root["digest"]
    found = {}
    for name, values in root.coords.items():
        if name not in NOT_KEYS and set(values.dims) <= set(cells):
            spread = xarray.broadcast(values, shape)[0].transpose(*cells)
            found[str(name)] = spread.to_numpy().reshape(-1).tolist()
    return found


def _num_params(columns: Mapping[str, NDArray[np.float64]]) -> int:
    """Return P, by the size of the model that went to each participant; 0 if it never did."""
    participants = columns["num_participants"]
    at = np.flatnonzero(participants > 0)
    if not len(at):
        return 0
    model_bytes = float(columns["downlink_bytes"][at[0]] / participants[at[0]])
    return round(model_bytes / BYTES_PER_PARAMETER)


def _error(folder: Path, digest: str, status: str) -> str:
    """Return why a run failed; its own file knows, if it still lies there."""
    if status != "failed":
        return ""
    try:
        return str(read_columns(Paths(folder).run_file(digest)).attributes.get("error", ""))
    except InputError:
        return "its run file is not here any more"
