"""The columns of a run file that tables, figures and sweeps need, read without the rest.

A run file of 100 rounds and 100 clients takes milliseconds this way, and no memory for parameters
and checkpoint; a thousand of them fit. R rounds, N clients.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # Any: an HDF5 attribute is of any scalar type

import h5py
import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.records.reading import opened
from hpcfed.records.schema import CLIENT_FIELDS, ROUND_FIELDS, check

NUMERIC_FIELDS = tuple(n for n, (dtype, _, _) in ROUND_FIELDS.items() if not dtype.startswith("S"))


@dataclass(frozen=True)
class Columns:
    """One run in columns.

    Attributes:
        attributes: of the root group, without format and schema_version.
        rounds: name -> (R,), the columns of ``schema.ROUND_FIELDS``: float64, digests S64.
        num_samples: (N,) int64, training samples of each client.
        clients: name -> (R, N), the columns of ``schema.CLIENT_FIELDS``; empty where not read.
        num_params: P, 0 where not known.
        attempt: the last start's row; empty without one.
        num_attempts: starts.
    """

    attributes: dict[str, Any]
    rounds: dict[str, NDArray[Any]]
    num_samples: NDArray[np.int64]
    clients: dict[str, NDArray[Any]] = field(default_factory=dict)
    num_params: int = 0
    attempt: dict[str, Any] = field(default_factory=dict)
    num_attempts: int = 0

    @property
    def num_clients(self) -> int:
        """N."""
        return len(self.num_samples)


def read_columns(path: Path, with_clients: bool = False) -> Columns:
    """Read ``path``. Raises InputError, without the path, saying why it cannot be used."""
    with opened(path) as file:
        check(file.attrs)
        return _read(file, CLIENT_FIELDS if with_clients else ())


def _read(file: h5py.File, of_clients: Iterable[str]) -> Columns:
    rounds, clients = file["rounds"], file["clients"]
    columns = {
        name: rounds[name][()] if dtype[0] == "S" else np.asarray(rounds[name][()], np.float64)
        for name, (dtype, _, _) in ROUND_FIELDS.items()
    }
    if len({len(column) for column in columns.values()}) > 1:
        raise InputError("its columns differ in length")
    attempts = file["attempts"]
    num_attempts = len(attempts["attempt"])
    last = {n: _scalar(attempts[n][-1]) for n in attempts} if num_attempts else {}
    return Columns(
        attributes={k: v for k, v in file.attrs.items() if k not in ("format", "schema_version")},
        rounds=columns,
        num_samples=clients["num_samples"][()],
        clients={name: clients[name][()] for name in of_clients},
        num_params=int(file["model/params"].shape[0]),
        attempt=last,
        num_attempts=num_attempts,
    )


def _scalar(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value.item()
