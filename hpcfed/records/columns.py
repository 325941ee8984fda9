"""The columns of a run file that tables and figures need, read without the rest.

A run file of 100 rounds and 100 clients takes milliseconds this way, and no memory for parameters
and checkpoint; a thousand of them fit. R rounds, N clients.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: an HDF5 attribute is of any scalar type

import h5py
import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.records.reading import opened
from hpcfed.records.runfile import FORMAT, ROUND_FIELDS, SCHEMA_VERSION

F64 = NDArray[np.float64]
NUMERIC_FIELDS = tuple(n for n, (dtype, _, _) in ROUND_FIELDS.items() if not dtype.startswith("S"))


@dataclass(frozen=True)
class Columns:
    """One run in columns.

    Attributes:
        attributes: of the root group, without format and schema_version.
        rounds: name -> (R,) float64, every numeric column of ``records.ROUND_FIELDS``.
        num_clients: N.
        num_samples: training samples of all clients.
        num_params: P.
        attempt: the last start's row; empty without one.
        num_attempts: starts.
    """

    attributes: dict[str, Any]
    rounds: dict[str, F64]
    num_clients: int
    num_samples: int
    num_params: int
    attempt: dict[str, Any]
    num_attempts: int


def read_columns(path: Path) -> Columns:
    """Read ``path``. Raises InputError, without the path, saying why it cannot be used."""
    with opened(path) as file:
        check(file.attrs)
        return _read(file)


def check(attributes: Any) -> None:
    """Raise InputError unless a root group with these attributes is that of a run file we read."""
    if attributes.get("format") != FORMAT:
        raise InputError("not a run file of hpcfed")
    version = attributes.get("schema_version")
    if version != SCHEMA_VERSION:
        age = "a newer" if version is not None and version > SCHEMA_VERSION else "an older"
        raise InputError(
            f"schema version {version} of {age} hpcfed; this one reads {SCHEMA_VERSION}"
        )


def _read(file: h5py.File) -> Columns:
    rounds = file["rounds"]
    columns = {name: np.asarray(rounds[name][()], np.float64) for name in NUMERIC_FIELDS}
    if len({len(column) for column in columns.values()}) > 1:
        raise InputError("its columns differ in length")
    num_samples = file["clients/num_samples"][()]
    attempts = file["attempts"]
    num_attempts = len(attempts["attempt"])
    last = {n: _scalar(attempts[n][-1]) for n in attempts} if num_attempts else {}
    return Columns(
        attributes={k: v for k, v in file.attrs.items() if k not in ("format", "schema_version")},
        rounds=columns,
        num_clients=len(num_samples),
        num_samples=int(num_samples.sum()),
        num_params=int(file["model/params"].shape[0]),
        attempt=last,
        num_attempts=num_attempts,
    )


def _scalar(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value.item()
