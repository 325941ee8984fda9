"""The columns of a run file of any schema, read without the rest.

A run file of 100 rounds and 100 clients takes milliseconds this way, and no memory for parameters
and checkpoint; a thousand of them fit. R rounds, N clients, n participations of all rounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # Any: an HDF5 attribute is of any scalar type

import h5py
import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError
from hpcfed.records.reading import opened
from hpcfed.records.schema import FIGURE, PARTICIPATION_FIELDS, ROUND_FIELDS, Field, check

NUMERIC_FIELDS = tuple(n for n, (dtype, _, _) in ROUND_FIELDS.items() if not dtype.startswith("S"))


@dataclass(frozen=True)
class Columns:
    """One run in columns.

    Attributes:
        attributes: of the root group, without format and schema_version.
        rounds: name -> (R,), the columns of ``schema.ROUND_FIELDS`` and of ``figures``: float64,
            digests S64. What an older schema does not have is NaN.
        num_samples: (N,) int64, training samples of each client.
        participations: name -> (n,), the columns of ``schema.PARTICIPATION_FIELDS`` and of
            ``figures``; empty where not read.
        figures: what the run's rule measures.
        num_params: P, 0 where not known.
        attempt: the last start's row; empty without one.
        num_attempts: starts.
    """

    attributes: dict[str, Any]
    rounds: dict[str, NDArray[Any]]
    num_samples: NDArray[np.int64]
    participations: dict[str, NDArray[Any]] = field(default_factory=dict)
    figures: dict[str, Field] = field(default_factory=dict)
    num_params: int = 0
    attempt: dict[str, Any] = field(default_factory=dict)
    num_attempts: int = 0

    @property
    def num_rounds(self) -> int:
        """R."""
        return len(self.rounds["params_digest"])

    @property
    def num_clients(self) -> int:
        """N."""
        return len(self.num_samples)


def read_columns(path: Path, with_clients: bool = False) -> Columns:
    """Read ``path``. Raises InputError, without the path, saying why it cannot be used."""
    with opened(path) as file:
        check(file.attrs)
        attempts = file["attempts"]
        num_attempts = len(attempts["attempt"])
        return Columns(
            attributes={
                k: v for k, v in file.attrs.items() if k not in ("format", "schema_version")
            },
            rounds={
                name: column if column.dtype.kind == "S" else np.asarray(column, np.float64)
                for name, column in rounds_of(file).items()
            },
            num_samples=file["clients/num_samples"][()],
            participations=participations_of(file) if with_clients else {},
            figures=figures_of(file),
            num_params=int(file["model/params"].shape[0]),
            attempt={n: _scalar(attempts[n][-1]) for n in attempts} if num_attempts else {},
            num_attempts=num_attempts,
        )


def figures_of(file: h5py.File) -> dict[str, Field]:
    """Return the columns of rounds that the run's rule has brought."""
    rounds = file["rounds"]
    others = {name: rounds[name] for name in rounds if name not in ROUND_FIELDS}  # opens no more
    return {
        name: (FIGURE, str(item.attrs["units"]), str(item.attrs["description"]))
        for name, item in others.items()
        if not item.is_scale
    }


def rounds_of(file: h5py.File) -> dict[str, NDArray[Any]]:
    """Return all columns of rounds as they are stored; NaN for what the schema did not have.

    Raises InputError if they differ in length.
    """
    rounds = file["rounds"]
    num_rounds, known = len(rounds["params_digest"]), set(rounds)
    columns = {
        name: _whole(rounds, name) if name in known else np.full(num_rounds, np.nan)
        for name in (*ROUND_FIELDS, *figures_of(file))
    }
    if any(column.shape != (num_rounds,) for column in columns.values()):
        raise InputError("its columns differ in length")
    return columns


def participations_of(file: h5py.File) -> dict[str, NDArray[Any]]:
    """Return all columns of participations (n,), by round and client.

    Raises InputError for rounds and clients that the file does not have.
    """
    if file.attrs["schema_version"] == 1:
        return _of_tables(file["clients"])
    group = file["participations"]
    rows = {name: group[name][()] for name in (*PARTICIPATION_FIELDS, *figures_of(file))}
    limits = {"round": len(file["rounds/params_digest"]) + 1, "client": len(file["clients/client"])}
    for name, least in (("round", 1), ("client", 0)):
        if ((rows[name] < least) | (rows[name] >= limits[name])).any():
            raise InputError(f"its participations have a {name} that it does not have")
    if len({column.shape for column in rows.values()}) > 1:
        raise InputError("its columns differ in length")
    return rows


def _whole(group: h5py.Group, name: str) -> NDArray[Any]:
    """Return a dataset of numbers or of bytes; several times as fast as by its wrapper."""
    dataset = h5py.h5d.open(group.id, name.encode())
    found = np.empty(dataset.shape, dataset.dtype)
    dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, found)
    return found


def _of_tables(clients: h5py.Group) -> dict[str, NDArray[Any]]:
    """Return the participations of schema 1, which had tables (R, N)."""
    took_part = clients["participated"][()] > 0
    rounds, numbers = np.nonzero(took_part)
    rows = {name: clients[name][()][took_part] for name in ("train_loss", "update_norm")}
    return {"round": rounds + 1, "client": numbers, **rows}


def _scalar(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value.item()
