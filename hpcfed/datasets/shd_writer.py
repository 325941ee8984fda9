"""Spikes to a file of the layout of the Spiking Heidelberg Digits (arXiv:1910.07407).

``spikes/times`` (s) and ``spikes/units`` hold one variable-length row per sample, ``labels`` an
index into ``extra/keys``, ``extra/speaker`` an index into ``extra/meta_info/name``; the attribute
``num_channels`` says how many channels there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import h5py
import numpy as np
from numpy.typing import NDArray

from hpcfed.base.atomic import replacing

LONGEST_FLOAT16_S = 2.0  # float16 steps by 1 ms up to here and by 2 ms beyond


@dataclass(frozen=True)
class SpikeRow:
    """One sample: times (E,) in s, units (E,) uint16, and indices of its class and its speaker."""

    times: NDArray[np.floating]
    units: NDArray[np.uint16]
    label: int
    speaker: int


def write_shd(
    target: Path | IO[bytes],
    rows: Sequence[SpikeRow],
    keys: Sequence[str],
    speaker_names: Sequence[str],
    num_channels: int,
) -> None:
    """Write ``rows`` with class names ``keys``; a path is replaced at once when all is on disk.

    Times are float16 as in the original, float32 if a spike is later than 2 s. The same rows give
    the same bytes.
    """
    if not isinstance(target, Path):
        _fill(target, rows, (keys, speaker_names), num_channels)
        return
    with replacing(target) as stream:
        _fill(stream, rows, (keys, speaker_names), num_channels)


def _fill(
    stream: IO[bytes],
    rows: Sequence[SpikeRow],
    names: tuple[Sequence[str], Sequence[str]],
    num_channels: int,
) -> None:
    latest = max((float(row.times.max()) for row in rows if len(row.times)), default=0.0)
    dtype = np.dtype(np.float16 if latest <= LONGEST_FLOAT16_S else np.float32)
    with h5py.File(stream, "w") as file:
        file.attrs["num_channels"] = num_channels
        times = file.create_dataset("spikes/times", (len(rows),), h5py.vlen_dtype(dtype))
        units = file.create_dataset("spikes/units", (len(rows),), h5py.vlen_dtype(np.dtype("u2")))
        for i, row in enumerate(rows):
            times[i], units[i] = row.times.astype(dtype), row.units.astype(np.uint16)
        file["labels"] = np.array([row.label for row in rows], np.uint16)
        file["extra/speaker"] = np.array([row.speaker for row in rows], np.uint16)
        file["extra/keys"] = _encoded(names[0])
        file["extra/meta_info/name"] = _encoded(names[1])


def _encoded(names: Sequence[str]) -> NDArray[np.bytes_]:
    return np.array([name.encode() for name in names], dtype="S")
