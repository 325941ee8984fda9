"""Tiny files of SHD's layout, with spikes that can be binned by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

TIMES = ([0.0, 0.25, 0.25, 0.75], [0.5, 0.125], [0.875])
UNITS = ([3, 0, 0, 2], [1, 1], [4])
LABELS = (0, 1, 1)
SPEAKERS = (0, 1, 1)


def write_file(
    path: Path,
    times: Sequence[Sequence[float]] = TIMES,
    units: Sequence[Sequence[int]] = UNITS,
    *,
    labels: Sequence[int] = LABELS,
    speakers: Sequence[int] | None = SPEAKERS,
    keys: Sequence[str] | None = ("zero", "one"),
    times_dtype: str = "f2",
    units_dtype: str = "u2",
) -> Path:
    """Write the rows as they are, right or wrong, and return ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, rows, dtype in (("times", times, times_dtype), ("units", units, units_dtype)):
            row_dtype = h5py.vlen_dtype(np.dtype(dtype))
            dataset = file.create_dataset(f"spikes/{name}", (len(rows),), row_dtype)
            for index, row in enumerate(rows):
                dataset[index] = np.array(row, dtype)
        file["labels"] = np.array(labels, np.dtype("u2") if min(labels, default=0) >= 0 else "i2")
        if speakers is not None:
            file["extra/speaker"] = np.array(speakers, "u2")
        if keys is not None:
            file["extra/keys"] = np.array([key.encode() for key in keys], "S")
    return path


def write_classes(path: Path, labels: Sequence[int], num_classes: int) -> Path:
    """Write a file with one spike a sample, in the channel of its label."""
    return write_file(
        path,
        [[0.1]] * len(labels),
        [[label] for label in labels],
        labels=labels,
        speakers=[index % 2 for index in range(len(labels))],
        keys=[f"class {k}" for k in range(num_classes)],
    )
