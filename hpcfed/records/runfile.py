"""The run file: log and checkpoint in one HDF5 file that is whole at any moment.

The root builds the file in memory and replaces the old one atomically, so a reader sees the old
file or the new one, never a part. R rounds, N clients, K classes, G groups, L hidden layers, P
parameters. Units and meaning are attributes of each dataset; dimension scales make it open in
xarray (h5netcdf) without this code.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: an HDF5 attribute is of any scalar type

import h5py
import numpy as np
from numpy.typing import NDArray

from hpcfed.base.atomic import replacing
from hpcfed.errors import InputError
from hpcfed.records.columns import figures_of, participations_of, rounds_of
from hpcfed.records.log import NOTHING, Log
from hpcfed.records.reading import BLOCK_BYTES, DamagedFileError, block, opened
from hpcfed.records.schema import (
    ACTIVITY_FIELDS,
    ATTEMPT_FIELDS,
    AXES,
    CHECKPOINT_FIELDS,
    EVALUATION_FIELDS,
    FORMAT,
    LATE_FIELDS,
    NAMED,
    PARTICIPATION_FIELDS,
    ROUND_FIELDS,
    ROUND_MEANING,
    RUN_FILE,
    SCHEMA_VERSION,
    check,
)

Array = NDArray[Any]


@dataclass(frozen=True)
class Record:
    """Everything a run file holds.

    Attributes:
        attributes: of the root group, without format and schema_version.
        clients: fixed (N,) columns: num_samples int64, group str.
        evaluation: of the last evaluation: name -> array, and ``example_spikes`` -> arrays.
        params: (P,) float32; ``layout`` holds the names and shapes of its matrices.
        checkpoint: server optimiser state and round.
        attempts: one entry per start.
    """

    attributes: dict[str, Any]
    log: Log
    clients: dict[str, Array]
    evaluation: dict[str, Any]
    params: Array
    layout: tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]
    checkpoint: dict[str, Any]
    attempts: list[dict[str, Any]]


def write_record(path: Path, record: Record, before: Callable[[], None] = lambda: None) -> None:
    """Replace the run file at ``path`` atomically. Raises OSError, leaving the old file whole.

    ``before`` is called right before and may raise.
    """
    image = io.BytesIO()
    with h5py.File(image, "w", userblock_size=BLOCK_BYTES) as built:
        _fill(built, record)
    content = image.getbuffer()
    with replacing(path, before) as file:
        file.write(block(content[BLOCK_BYTES:]))
        file.write(content[BLOCK_BYTES:])


def read_record(path: Path) -> Record:
    """Read a run file back. Raises InputError for a file that is missing, foreign or newer."""
    path = path / RUN_FILE if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"{path}: no such run file")
    try:
        return _whole(path)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def is_damaged(path: Path) -> bool:
    """Say whether a run file is there, can be opened, and does not hold what a run's must."""
    try:
        _whole(path)
    except DamagedFileError:
        return True
    except InputError:
        return False
    return False


def _whole(path: Path) -> Record:
    with opened(path) as file:
        check(file.attrs)
        return _read(file)


def _fill(file: h5py.File, record: Record) -> None:
    file.attrs["format"], file.attrs["schema_version"] = FORMAT, SCHEMA_VERSION
    file.attrs.update(record.attributes)
    log = record.log
    rounds = file.create_group("rounds")
    scale = _round_scale(rounds, log.num_rounds)
    for name, (dtype, unit, meaning) in {**ROUND_FIELDS, **log.figures}.items():
        _put(rounds, name, np.array(log.rounds[name], dtype), (unit, meaning), (scale,))
    _fill_participations(file.create_group("participations"), log)
    if len({part.shape for part in log.activity}) == 1 and log.activity[0].size:
        _fill_activity(file.create_group("activity"), log)
    if sum(map(len, log.late)):
        _fill_late(file.create_group("late"), log)
    clients = file.create_group("clients")
    scale = _scale(clients, "client", len(record.clients["num_samples"]))
    texts = {"num_samples": "training samples", "group": "largest group among its samples"}
    for name, column in record.clients.items():
        _put(clients, name, column, ("1", texts[name]), (scale,))
    _fill_evaluation(file.create_group("evaluation"), record.evaluation)
    model = file.create_group("model")
    params = model.create_dataset("params", data=record.params)
    params.dims[0].attach_scale(_dimension(model, "parameter", len(record.params)))
    params.attrs["units"] = "1"
    params.attrs["names"] = list(record.layout[0])
    params.attrs["shapes"] = [json.dumps(shape) for shape in record.layout[1]]
    params.attrs["description"] = "flat float32 parameters; arrays (out, ...), row-major, in order"
    checkpoint = file.create_group("checkpoint")
    for name, value in record.checkpoint.items():
        checkpoint[name] = value
        checkpoint[name].attrs["units"] = "1"
        checkpoint[name].attrs["description"] = CHECKPOINT_FIELDS[name]
        for axis, length in enumerate(np.shape(value)):
            scale = _dimension(checkpoint, ("moment", "parameter")[axis], length)
            checkpoint[name].dims[axis].attach_scale(scale)
    _fill_attempts(file.create_group("attempts"), record.attempts)


def _fill_participations(group: h5py.Group, log: Log) -> None:
    columns = log.rows()
    scale = _scale(group, "participation", len(columns["client"]))
    for name, (_, unit, meaning) in {**PARTICIPATION_FIELDS, **log.figures}.items():
        data = _put(group, name, columns[name], (unit, meaning), (scale,))
        if name not in ("round", "client"):
            data.attrs["coordinates"] = "round client"


def _fill_activity(group: h5py.Group, log: Log) -> None:
    counts = np.stack(log.activity)  # (R, L, 3)
    scales = (_round_scale(group, log.num_rounds), _scale(group, "layer", counts.shape[1]))
    for index, (name, (dtype, unit, meaning)) in enumerate(ACTIVITY_FIELDS.items()):
        _put(group, name, counts[..., index].astype(dtype), (unit, meaning), scales)


def _fill_late(group: h5py.Group, log: Log) -> None:
    columns = log.late_rows()
    scale = _scale(group, "selection", len(columns["client"]))
    for name, (dtype, unit, meaning) in LATE_FIELDS.items():
        _put(group, name, columns[name].astype(dtype), (unit, meaning), (scale,))


def _fill_evaluation(group: h5py.Group, evaluation: Mapping[str, Any]) -> None:
    if not evaluation:
        return
    group.attrs["split"], group.attrs["round"] = evaluation["split"], evaluation["round"]
    scales = {
        name: _put(group, name, evaluation[name], ("", f"names along {name}"), ())
        for name in NAMED
        if name in evaluation
    }
    for name, scale in scales.items():
        scale.make_scale(name)
    for name, (dimensions, unit, meaning) in EVALUATION_FIELDS.items():
        if name not in evaluation:
            continue  # not every engine gives confidences, and schema 1 had none
        axes = tuple(scales[dimension] for dimension in dimensions)
        _put(group, name, np.asarray(evaluation[name]), (unit, meaning), axes)
    _fill_examples(group.create_group("example_spikes"), evaluation["example_spikes"])


def _fill_examples(group: h5py.Group, examples: Mapping[str, Array]) -> None:
    """Write a few samples' input and spikes; each axis has a scale, which xarray asks for."""
    found: dict[str, h5py.Dataset] = {}
    for name, values in examples.items():
        axes = ("sample", *AXES[values.ndim]) if name == "input" else ("sample", "bin", name)
        if name.startswith("hidden"):
            axes = ("sample", "bin", f"{name}_neuron")
        names = axes[: values.ndim]
        for axis, length in zip(names, values.shape, strict=True):
            if axis not in found:
                found[axis] = _scale(group, axis, length)
        meaning = "label" if name == "label" else f"by ({', '.join(names)})"
        _put(group, name, values, ("1", meaning), tuple(found[axis] for axis in names))


def _fill_attempts(group: h5py.Group, attempts: list[dict[str, Any]]) -> None:
    scale = _scale(group, "attempt", len(attempts))
    for name, meaning in ATTEMPT_FIELDS.items():
        column = _column([attempt[name] for attempt in attempts])
        unit = "s" if name.startswith("seconds_") else "1"
        _put(group, name, column, (unit, meaning), (scale,))


def _round_scale(group: h5py.Group, num_rounds: int) -> h5py.Dataset:
    data = _scale(group, "round", num_rounds, first=1)
    data.attrs["units"], data.attrs["description"] = "1", ROUND_MEANING
    return data


def _scale(group: h5py.Group, name: str, length: int, first: int = 0) -> h5py.Dataset:
    data = group.create_dataset(name, data=np.arange(first, first + length))
    data.make_scale(name)
    return data


def _dimension(group: h5py.Group, name: str, length: int) -> h5py.Dataset:
    """Return a dimension that has a name and a length and no values, as netCDF writes it."""
    data = group.create_dataset(name, (length,), ">f4")
    data.make_scale(f"This is a netCDF dimension but not a netCDF variable.{length:10d}")
    return data


def _put(
    group: h5py.Group,
    name: str,
    values: Array,
    text: tuple[str, str],
    scales: tuple[h5py.Dataset, ...],
) -> h5py.Dataset:
    options = {"compression": "gzip", "shuffle": True} if values.nbytes > 1 << 14 else {}
    if values.dtype.kind in "OU":
        options = {"dtype": h5py.string_dtype()}
        values = values.astype(object)
    data = group.create_dataset(name, data=values, **options)
    data.attrs["units"], data.attrs["description"] = text
    for axis, scale in enumerate(scales):
        data.dims[axis].attach_scale(scale)
    return data


def _column(values: list[Any]) -> Array:
    return np.array(values, dtype=object if isinstance(values[0], str) else None)


def _read(file: h5py.File) -> Record:
    layout = file["model/params"].attrs
    attempts = {k: _texts(v) for k, v in file["attempts"].items() if k != "attempt"}
    num_attempts = len(file["attempts/attempt"])
    for name, value in (("lost", ""), ("seconds_lost", 0.0)):  # files written before there were any
        attempts.setdefault(name, [value] * num_attempts)
    return Record(
        attributes={k: v for k, v in file.attrs.items() if k not in ("format", "schema_version")},
        log=_read_log(file),
        clients={n: _texts(file["clients"][n]) for n in ("num_samples", "group")},
        evaluation=_read_evaluation(file["evaluation"]),
        params=file["model/params"][()],
        layout=(
            tuple(str(name) for name in layout["names"]),
            tuple(_shape(shape) for shape in layout["shapes"]),
        ),
        checkpoint={
            "memory" if k == "residuals" else k: _texts(v)  # its name in schema 1
            for k, v in file["checkpoint"].items()
            if not v.is_scale
        },
        attempts=[{k: v[i] for k, v in attempts.items()} for i in range(num_attempts)],
    )


def _read_log(file: h5py.File) -> Log:
    columns, rows = rounds_of(file), participations_of(file)
    num_rounds = len(columns["params_digest"])
    ends = np.searchsorted(rows.pop("round"), np.arange(1, num_rounds), "right")
    return Log(
        figures_of(file),
        {name: list(column) for name, column in columns.items()},
        {name: np.split(column, ends)[:num_rounds] for name, column in rows.items()},
        _read_late(file, num_rounds),
        _read_activity(file, num_rounds),
    )


def _read_activity(file: h5py.File, num_rounds: int) -> list[Array]:
    if "activity" not in file:
        return [NOTHING] * num_rounds
    return list(np.stack([file["activity"][name][()] for name in ACTIVITY_FIELDS], 2))


def _read_late(file: h5py.File, num_rounds: int) -> list[Array]:
    if "late" not in file:
        return [np.empty(0, np.int64)] * num_rounds
    rounds, clients = (file["late"][name][()] for name in LATE_FIELDS)
    ends = np.searchsorted(rounds, np.arange(1, num_rounds), "right")
    return np.split(clients, ends)[:num_rounds]


def _shape(stored: Any) -> tuple[int, ...]:
    """Return a part's shape: a text in schema 2, a row of two numbers in schema 1."""
    return tuple(map(int, json.loads(stored) if isinstance(stored, str) else stored))


def _read_evaluation(group: h5py.Group) -> dict[str, Any]:
    found: dict[str, Any] = dict(group.attrs)
    for name, item in group.items():
        if isinstance(item, h5py.Dataset) and item.is_scale and name not in NAMED:
            continue  # made anew when written
        found[name] = _read_evaluation(item) if isinstance(item, h5py.Group) else _texts(item)
    return found


def _texts(data: h5py.Dataset) -> Any:
    if h5py.check_string_dtype(data.dtype) is None:
        return data[()]
    text = data.asstr()[()]
    return text if data.shape == () else np.asarray(text, object)
