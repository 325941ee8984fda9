"""The file of what clients keep from round to round, beside the run file.

It is two arrays in NumPy's format, one after the other: the clients (m,) int64 and their
vectors (m, Q) float32. It is named for its round and written before the run file that names it;
files that no run file names are removed after. Only the root touches the disk. Rows travel as
integers with zeros from everyone else, so that a sum is a copy of the bits.
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
from hpcfed.clients.memory import Memory
from hpcfed.errors import InputError
from hpcfed.federation.mpi.transport import Transport

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

_BLOCK_BYTES = 32 << 20
_OLD = "residuals-{}.npy"  # (N, P), all clients: what runs of schema 1 have
_NAME = "memory-{}.npy"


def file_name(round_index: int) -> str:
    """Return the name of the memories' file after ``round_index`` rounds."""
    return _NAME.format(round_index)


def check_name(name: str, round_index: int) -> None:
    """Raise InputError for a name that no run gives: a file of somebody else's may say any path."""
    if name not in (file_name(round_index), _OLD.format(round_index)):
        raise InputError(
            f"its run file names {name!r} for its clients' memory, expected "
            f"{file_name(round_index)}"
        )


def save(transport: Transport, path: Path, memory: Memory, num_clients: int) -> None:
    """Write all ranks' memories to ``path`` at the root; every rank calls this."""
    has_one = np.zeros(num_clients, np.int32)
    has_one[list(memory.rows)] = 1
    transport.sum_at_root(has_one)
    clients = np.flatnonzero(transport.broadcast(has_one))
    with contextlib.ExitStack() as stack:
        begin = partial(_begun, stack, path, clients, memory.size)
        begin_here = begin if transport.rank == 0 else _nothing
        stream = transport.together("writing memory", begin_here)
        for some in _blocks(clients, memory.size):
            block = np.zeros((len(some), memory.size), np.float32)
            for place, client in enumerate(some.tolist()):
                if client in memory.rows:
                    block[place] = memory.rows[client]
            transport.sum_at_root(block.view(np.int32))
            append = _nothing if stream is None else partial(_append, path, stream, block)
            transport.together("writing memory", append)
        transport.together("writing memory", partial(_close, stack, path))


def load(transport: Transport, path: Path, mine: set[int], memory: Memory) -> None:
    """Read the memories of the clients in ``mine`` from the root's file; every rank calls this."""
    stored = transport.together(
        "reading memory", lambda: _stored(path, memory.size) if transport.rank == 0 else None
    )
    count = transport.broadcast(np.array([0 if stored is None else len(stored[0])]))
    clients = np.empty(int(count[0]), np.int64)
    if stored is not None:
        clients[:] = stored[0]
    transport.broadcast(clients)
    begin = 0
    for some in _blocks(clients, memory.size):
        block = np.empty((len(some), memory.size), np.float32)
        if stored is not None:
            block[:] = stored[1][begin : begin + len(some)]
        begin += len(some)
        transport.broadcast(block)
        for client, row in zip(some.tolist(), block, strict=True):
            if client in mine:
                memory.rows[client] = row.copy()


def remove_older(folder: Path, keep: str) -> None:
    """Remove the memories of rounds before those of ``keep``, and what killed writers left.

    Later ones are of who has taken the run over from this process.
    """
    if not keep:
        return
    for pattern in (_NAME.format("*"), _OLD.format("*")):
        for path in folder.glob(pattern):
            if _round_of(path.name) < _round_of(keep):
                path.unlink(missing_ok=True)
        remove_leftovers(folder, pattern)


def _round_of(name: str) -> float:
    digits = name.removesuffix(".npy").partition("-")[2]
    return int(digits) if digits.isdecimal() else math.inf


def _blocks(clients: I64, size: int) -> Iterator[I64]:
    step = max(1, _BLOCK_BYTES // (4 * size))
    return (clients[start : start + step] for start in range(0, len(clients), step))


def _begun(stack: contextlib.ExitStack, path: Path, clients: I64, size: int) -> BinaryIO:
    """Open the file that becomes ``path`` when ``stack`` is closed, and write its beginning."""
    with full_disk_stops(path):
        stream = stack.enter_context(replacing(path))
        npy.write_array(stream, clients, version=(2, 0), allow_pickle=False)
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(clients), size)}
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


def _stored(path: Path, size: int) -> tuple[I64, F32]:
    """Return the clients (m,) of a file and their memories (m, size), mapped from the disk."""
    try:
        with path.open("rb") as stream:
            first = npy.read_array(stream, allow_pickle=False)
            if first.ndim == 2:  # of schema 1
                clients, rows = np.arange(len(first)), first
            else:
                npy.read_magic(stream)
                shape, _, dtype = npy.read_array_header_2_0(stream)
                clients = first
                rows = _mapped(path, stream.tell(), shape, dtype)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: the clients' memory cannot be read: {error}") from None
    if rows.shape != (len(clients), size) or rows.dtype != np.float32:
        raise InputError(
            f"{path}: holds {rows.shape} {rows.dtype}, expected {(len(clients), size)} float32"
        )
    return np.asarray(clients, np.int64), rows


def _mapped(path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype[np.float32]) -> F32:
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape)
