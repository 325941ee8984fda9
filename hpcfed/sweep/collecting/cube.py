"""sweep.nc: the numbers of all runs as arrays over the sweep's dimensions, read back run by run.

C cells (the product of the sweep's dimensions), R rounds, N clients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: attributes and columns are of any scalar type

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.atomic import replacing_path
from hpcfed.records.columns import Columns
from hpcfed.records.schema import (
    FIGURE,
    PARTICIPATION_FIELDS,
    ROUND_FIELDS,
    ROUND_MEANING,
    Field,
)
from hpcfed.records.sweepfolder import COLLECTED_FORMAT
from hpcfed.sweep.collecting.axes import Axes, axes_of, coordinate
from hpcfed.sweep.planning.manifest import Manifest
from hpcfed.sweep.planning.planned_run import PlannedRun

if TYPE_CHECKING:
    import xarray

VERSION = 2
_ABOUT = {  # name -> (attribute of the run file, meaning)
    "status": ("status", "running, stopped, finished or failed"),
    "verdict": ("verdict", "why a finished run has ended before its last round; empty: it has not"),
    "engine": ("engine", "engine of local training"),
    "data_digest": ("data_digest", "SHA-256 of the data"),
    "config_digest": ("config_digest", "SHA-256 of the keys that can change a result"),
    "origins": ("origins", "SHA-256 of what else the run was made of, as JSON"),
}
# no fill value: NaN says it itself, and xarray would copy every array to put it in
_QUICK = {"zlib": True, "complevel": 1, "shuffle": True, "_FillValue": None}
_DIGEST = 64
_TOOK_PART = ("f4", "1", "1 where the client trained in the round, 0 where not")
MOST_CLIENTS = 10**4  # beyond, the numbers of clients stay in the run files


@dataclass
class Earlier:
    """What was collected before, by digest; empty if nothing, or nothing that can be read."""

    stamps: dict[str, str] = field(default_factory=dict)
    columns: dict[str, Columns] = field(default_factory=dict)

    def get(self, digest: str, stamp: str) -> Columns | None:
        """Return the numbers of a run file that has not changed since."""
        return self.columns.get(digest) if self.stamps.get(digest) == stamp else None


def write(
    path: Path,
    manifest: Manifest,
    runs: Sequence[PlannedRun],
    columns: Mapping[str, Columns],
    stamps: Mapping[str, str],
) -> None:
    """Replace sweep.nc. Raises OSError."""
    axes = axes_of(manifest, runs)
    ordered = [columns[run.digest] for run in runs]
    with replacing_path(path) as sibling:
        root = _root(axes, runs, ordered)
        root.attrs = {"format": COLLECTED_FORMAT, "format_version": VERSION, "name": manifest.name}
        _save(root, sibling, None)
        for part in _clients(axes, ordered):
            _save(part, sibling, "clients")
        _save(_files(stamps), sibling, "files")


def read_earlier(path: Path) -> Earlier:
    """Read what was collected before, run by run."""
    import xarray

    try:
        with (
            xarray.open_dataset(path, engine="h5netcdf") as root,
            xarray.open_dataset(path, engine="h5netcdf", group="clients") as clients,
            xarray.open_dataset(path, engine="h5netcdf", group="files") as files,
        ):
            if (
                root.attrs.get("format") != COLLECTED_FORMAT
                or root.attrs.get("format_version") != VERSION
            ):
                return Earlier()
            stamps = dict(zip(*(files[n].to_numpy() for n in ("digest", "stamp")), strict=True))
            return Earlier(stamps, _split(root.load(), clients.load()))
    except (OSError, KeyError, ValueError, RuntimeError, TypeError):
        return Earlier()  # whatever it is, it is collected anew


def _root(axes: Axes, runs: Sequence[PlannedRun], columns: Sequence[Columns]) -> xarray.Dataset:
    import xarray

    num_rounds = [len(c.rounds["params_digest"]) for c in columns]
    longest, dims = max(num_rounds), (*axes.names, "round")
    variables: dict[str, Any] = {}
    for name, (dtype, unit, meaning) in {**ROUND_FIELDS, **_figures(columns)}.items():
        rows = [c.rounds.get(name, np.empty(0)) for c in columns]
        cells = _text_cells(axes, rows, longest) if dtype[0] == "S" else _cells(axes, rows, longest)
        variables[name] = (dims, cells, {"units": unit, "description": meaning})
    counts = _scatter(axes, np.array(num_rounds, np.int64), 0)
    variables["num_rounds"] = (axes.names, counts, {"units": "1", "description": "rounds done"})
    for name, (attribute, meaning) in _ABOUT.items():
        texts = [str(c.attributes.get(attribute, "")) for c in columns]
        variables[name] = (axes.names, _texts(axes, texts), {"description": meaning})
    digests = _texts(axes, [run.digest for run in runs])
    variables["digest"] = (axes.names, digests, {"description": "name of the run; empty: none"})
    return xarray.Dataset(variables, {**_coordinates(axes), "round": _rounds(longest)})


def _clients(axes: Axes, columns: Sequence[Columns]) -> Iterator[xarray.Dataset]:
    """Yield the columns of clients, one after the other: together they would need much memory."""
    import xarray

    num_rounds = max(len(c.rounds["params_digest"]) for c in columns)
    num_clients = max(len(c.num_samples) for c in columns)
    samples = _cells(axes, [c.num_samples for c in columns], num_clients)
    about = {"units": "1", "description": "training samples"}
    places = {"round": _rounds(num_rounds), "client": np.arange(num_clients)}
    yield xarray.Dataset(
        {"num_samples": ((*axes.names, "client"), samples, about)}, {**_coordinates(axes), **places}
    )
    if num_clients > MOST_CLIENTS:
        return
    for name, (_, unit, meaning) in _client_fields(_figures(columns)).items():
        cells = np.full((*axes.shape, num_rounds, num_clients), np.nan, np.float32)
        flat = cells.reshape(-1, num_rounds, num_clients)
        for place, column in zip(axes.flat, columns, strict=True):
            rows = column.participations
            took_part = name == "participated"
            if took_part:
                flat[place, : len(column.rounds["params_digest"]), : column.num_clients] = 0
            values = 1.0 if took_part else rows.get(name, np.nan)
            flat[place, rows["round"] - 1, rows["client"]] = values
        about = {"units": unit, "description": meaning}
        yield xarray.Dataset({name: ((*axes.names, "round", "client"), cells, about)})


def _figures(columns: Sequence[Columns]) -> dict[str, Field]:
    """Return what the rules of all runs measure."""
    return {name: about for c in columns for name, about in c.figures.items()}


def _client_fields(figures: Mapping[str, Field]) -> dict[str, Field]:
    known = {n: f for n, f in PARTICIPATION_FIELDS.items() if n not in ("round", "client")}
    return {"participated": _TOOK_PART, **known, **figures}


def _files(stamps: Mapping[str, str]) -> xarray.Dataset:
    """Return which run files have been read, so that they need not be read again."""
    import xarray

    columns = {"digest": list(stamps), "stamp": list(stamps.values())}
    return xarray.Dataset({n: ("file", np.array(c, object)) for n, c in columns.items()})


def _coordinates(axes: Axes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for dimension in axes.dimensions:
        for place, key in enumerate(dimension.keys):
            values = coordinate(key, [row[place] for row in dimension.rows])
            found[key] = (dimension.name, values)
    return found


def _cells(axes: Axes, rows: Sequence[NDArray[Any]], length: int) -> NDArray[np.float64]:
    """Return (*C, length) float64, NaN where there is nothing."""
    cells = np.full((*axes.shape, length), np.nan)
    flat = cells.reshape(-1, length)
    for place, row in zip(axes.flat, rows, strict=True):
        flat[place, : len(row)] = row
    return cells


def _text_cells(axes: Axes, rows: Sequence[NDArray[Any]], length: int) -> NDArray[np.bytes_]:
    cells = np.full((*axes.shape, length), b"", f"S{_DIGEST}")
    flat = cells.reshape(-1, length)
    for place, row in zip(axes.flat, rows, strict=True):
        flat[place, : len(row)] = row
    return cells


def _rounds(count: int) -> xarray.Variable:
    import xarray

    about = {"units": "1", "description": ROUND_MEANING}
    return xarray.Variable(("round",), np.arange(1, count + 1), about)


def _scatter(axes: Axes, values: NDArray[Any], fill: Any) -> NDArray[Any]:
    cells = np.full(axes.shape, fill, values.dtype)
    cells.reshape(-1)[axes.flat] = values
    return cells


def _texts(axes: Axes, texts: Sequence[str]) -> NDArray[Any]:
    return _scatter(axes, np.array(texts, object), "")


def _save(dataset: xarray.Dataset, path: Path, group: str | None) -> None:
    encoding = {
        name: dict(_QUICK) for name, item in dataset.data_vars.items() if item.dtype.kind in "fi"
    }
    dataset.to_netcdf(
        path, mode="w" if group is None else "a", group=group, engine="h5netcdf", encoding=encoding
    )


def _split(root: xarray.Dataset, clients: xarray.Dataset) -> dict[str, Columns]:
    found: dict[str, Columns] = {}
    digests = root["digest"].to_numpy().reshape(-1)
    counts = root["num_rounds"].to_numpy().reshape(-1)
    about = {name: root[name].to_numpy().reshape(-1) for name in _ABOUT}
    figures = {
        str(name): (FIGURE, item.attrs["units"], item.attrs["description"])
        for name, item in root.data_vars.items()
        if item.dims[-1:] == ("round",) and name not in ROUND_FIELDS
    }
    rounds = {name: _rows(root[name]) for name in (*ROUND_FIELDS, *figures)}
    per_client = {name: _rows(clients[name], 2) for name in _client_fields(figures)}
    samples = _rows(clients["num_samples"])
    for place in np.flatnonzero(digests != ""):
        digest, count = str(digests[place]), int(counts[place])
        own = {n: f for n, f in figures.items() if np.isfinite(rounds[n][place]).any()}
        at, of = np.nonzero(per_client["participated"][place] == 1)
        rows = {n: per_client[n][place][at, of] for n in _client_fields(own)}
        rows |= {"round": at + 1, "client": of}
        del rows["participated"]
        found[digest] = Columns(
            {attribute: str(about[name][place]) for name, (attribute, _) in _ABOUT.items()},
            {name: rounds[name][place, :count] for name in (*ROUND_FIELDS, *own)},
            samples[place][np.isfinite(samples[place])].astype(np.int64),
            rows,
            own,
        )
    return found


def _rows(array: xarray.DataArray, kept: int = 1) -> NDArray[Any]:
    values: NDArray[Any] = array.to_numpy()
    return values.reshape(-1, *values.shape[-kept:])
