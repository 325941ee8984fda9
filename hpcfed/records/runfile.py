"""The run file: log and checkpoint in one HDF5 file that is whole at any moment.

The root builds the file in memory and replaces the old one atomically, so a reader sees the old
file or the new one, never a part. R rounds, N clients, K classes, G groups, L hidden layers, P
parameters. Units and meaning are attributes of each dataset; dimension scales make it open in
xarray (h5netcdf) without this code.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # Any: an HDF5 attribute is of any scalar type

import h5py
import numpy as np
from numpy.typing import NDArray

from hpcfed.base.atomic import replacing
from hpcfed.errors import InputError
from hpcfed.records.columns import figures_of, participations_of, rounds_of
from hpcfed.records.log import NO_GROUPS, NOTHING, Log
from hpcfed.records.reading import BLOCK_BYTES, DamagedFileError, block, opened
from hpcfed.records.schema import (
    ACTIVITY_FIELDS,
    ANSWER_FIELDS,
    CLIENT_FIELDS,
    CURVES,
    LATE_FIELDS,
    NAMED,
    RUN_FILE,
    check,
)
from hpcfed.records.writing import fill

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
        answers: what the network says of each sample, by set and name; empty where not kept.
        curves: how it does with other depths, over other windows and after so many steps, by the
            names of ``schema.CURVES`` and of their columns; without those that nobody asked for.
    """

    attributes: dict[str, Any]
    log: Log
    clients: dict[str, Array]
    evaluation: dict[str, Any]
    params: Array
    layout: tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]
    checkpoint: dict[str, Any]
    attempts: list[dict[str, Any]]
    answers: dict[str, dict[str, Array]] = field(default_factory=dict)
    curves: dict[str, dict[str, Array]] = field(default_factory=dict)


def write_record(path: Path, record: Record, before: Callable[[], None] = lambda: None) -> None:
    """Replace the run file at ``path`` atomically. Raises OSError, leaving the old file whole.

    ``before`` is called right before and may raise.
    """
    image = io.BytesIO()
    with h5py.File(image, "w", userblock_size=BLOCK_BYTES) as built:
        fill(built, record)
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


def _read(file: h5py.File) -> Record:
    layout = file["model/params"].attrs
    attempts = {k: _texts(v) for k, v in file["attempts"].items() if k != "attempt"}
    num_attempts = len(file["attempts/attempt"])
    for name, value in (("lost", ""), ("seconds_lost", 0.0)):  # files written before there were any
        attempts.setdefault(name, [value] * num_attempts)
    return Record(
        attributes={k: v for k, v in file.attrs.items() if k not in ("format", "schema_version")},
        log=_read_log(file),
        clients={n: _texts(file["clients"][n]) for n in CLIENT_FIELDS if n in file["clients"]},
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
        answers={
            name: {column: part[column][()] for column in ANSWER_FIELDS if column in part}
            for name, part in file.get("answers", {}).items()
        },
        curves={
            name: {column: file[name][column][()] for column in fields if column in file[name]}
            for name, fields in CURVES.items()
            if name in file
        },
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
        _read_groups(file, num_rounds),
    )


def _read_activity(file: h5py.File, num_rounds: int) -> list[Array]:
    if "activity" not in file:
        return [NOTHING] * num_rounds
    return list(np.stack([file["activity"][name][()] for name in ACTIVITY_FIELDS], 2))


def _read_groups(file: h5py.File, num_rounds: int) -> list[Array]:
    if "groups" not in file:
        return [NO_GROUPS] * num_rounds
    return list(file["groups/sent"][()])


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
