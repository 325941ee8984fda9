"""What error feedback keeps per client, in a file of its own beside the run file.

The file is (N, P) float32 in NumPy's format, named for its round; it is written before the run
file that names it, and files that no run file names are removed after. Only the root touches the
disk. Rows travel as integers with zeros from everyone else, so that a sum is a copy of the bits.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from hpcfed.base.atomic import full_disk_stops, remove_leftovers, replacing
from hpcfed.errors import InputError
from hpcfed.federation.mpi.transport import Transport

F32 = NDArray[np.float32]
Residuals = dict[int, F32]
Shape = tuple[int, int]

_BLOCK_BYTES = 32 << 20


def file_name(round_index: int) -> str:
    """Return the name of the residuals' file after ``round_index`` rounds."""
    return f"residuals-{round_index}.npy"


def save(transport: Transport, path: Path, residuals: Residuals, shape: Shape) -> None:
    """Write all ranks' residuals, (N, P), to ``path`` at the root; every rank calls this."""
    is_root = transport.rank == 0
    with contextlib.ExitStack() as stack:
        begin = partial(_begun, stack, path, shape) if is_root else _nothing
        stream = transport.together("writing residuals", begin)
        for rows in _blocks(shape):
            block = np.zeros((len(rows), shape[1]), np.float32)
            for client in residuals.keys() & set(rows):
                block[client - rows.start] = residuals[client]
            transport.sum_at_root(block.view(np.int32))
            append = _nothing if stream is None else partial(_append, path, stream, block)
            transport.together("writing residuals", append)
        transport.together("writing residuals", partial(_close, stack, path))


def load(transport: Transport, path: Path, mine: set[int], shape: Shape) -> Residuals:
    """Read the residuals of the clients in ``mine`` from the root's file; every rank calls this."""
    stored = transport.together(
        "reading residuals", lambda: _stored(path, shape) if transport.rank == 0 else None
    )
    found: Residuals = {}
    for rows in _blocks(shape):
        block = np.empty((len(rows), shape[1]), np.float32)
        if stored is not None:
            block[:] = stored[rows.start : rows.stop]
        transport.broadcast(block)
        found |= {client: block[client - rows.start].copy() for client in mine & set(rows)}
    return found


def remove_older(folder: Path, keep: str) -> None:
    """Remove the residuals of rounds before those of ``keep``, and what killed writers left.

    Later ones are of who has taken the run over from this process.
    """
    if not keep:
        return
    for path in folder.glob("residuals-*.npy"):
        if _round_of(path.name) < _round_of(keep):
            path.unlink(missing_ok=True)
    remove_leftovers(folder, "residuals-*.npy")


def _round_of(name: str) -> float:
    digits = name.removeprefix("residuals-").removesuffix(".npy")
    return int(digits) if digits.isdecimal() else math.inf


def _blocks(shape: Shape) -> Iterator[range]:
    step = max(1, _BLOCK_BYTES // (4 * shape[1]))
    return (range(start, min(start + step, shape[0])) for start in range(0, shape[0], step))


def _begun(stack: contextlib.ExitStack, path: Path, shape: Shape) -> BinaryIO:
    """Open the file that is to become ``path`` when ``stack`` is closed, and write its header."""
    with full_disk_stops(path):
        stream = stack.enter_context(replacing(path))
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        npy.write_array_header_2_0(stream, header)
    return stream


def _append(path: Path, stream: BinaryIO, block: F32) -> None:
    with full_disk_stops(path):
        stream.write(block.data)


def _close(stack: contextlib.ExitStack, path: Path) -> None:
    with full_disk_stops(path):
        stack.close()


def _nothing() -> None:
    return None


def _stored(path: Path, shape: Shape) -> F32:
    try:
        stored = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: residuals of error feedback cannot be read: {error}") from None
    if stored.shape != shape or stored.dtype != np.float32:
        raise InputError(f"{path}: holds {stored.shape} {stored.dtype}, expected {shape} float32")
    return np.asarray(stored)
