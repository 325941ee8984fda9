"""Opening run files: without a lock, telling what cannot be reached now from what is damaged.

Run files are replaced by rename, so a reader always has a whole one and needs no lock; another
process may hold one. A file begins with a block in front of HDF5's own beginning that holds the
SHA-256 of what follows: HDF5 reads some damaged files for ever. Files of older versions have none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import h5py

from hpcfed.errors import InputError

BLOCK_BYTES = 512  # the smallest that HDF5 allows before itself
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_BLOCK = "hpcfed run file, SHA-256 of the HDF5 content that follows: {}\n"
# what HDF5, h5py and our own reading raise where a file's content is not what it must be
_BROKEN = (
    *(OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, IndexError),
    *(OverflowError, MemoryError),
)


class UnavailableFileError(InputError):
    """A file that cannot be opened or read now, for a reason that is not its content's."""


class DamagedFileError(InputError):
    """A file that opens, and whose content is not a run's."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a run file for reading; what goes wrong until the end of the block is one of ours.

    Raises UnavailableFileError where the system refuses (no permission, an error of the disk or of
    the network, a file that is not there), DamagedFileError where the content is broken; neither
    names the path. An InputError of the block passes through.
    """
    try:
        with path.open("rb") as stream:
            _check(stream)
        with _without_lock(path) as file:
            yield file
    except InputError:
        raise
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:
            text = f"cannot be opened now ({error.strerror or error}); it is left as it is"
            raise UnavailableFileError(text) from None
        text = " ".join(str(error).split()) or type(error).__name__
        raise DamagedFileError(f"cannot be read as a run file: {text}") from None


def block(content: memoryview) -> bytes:
    """Return the block for HDF5 ``content``, as long as BLOCK_BYTES."""
    return _BLOCK.format(hashlib.sha256(content).hexdigest()).encode().ljust(BLOCK_BYTES, b"\0")


def _check(stream: BufferedReader) -> None:
    head = stream.read(BLOCK_BYTES)
    if head.startswith(_SIGNATURE):
        return  # of an older version
    digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if head != _BLOCK.format(digest).encode().ljust(BLOCK_BYTES, b"\0"):
        raise DamagedFileError(
            "cannot be read as a run file: it is not as it was written (damaged, or edited)"
        )


def _without_lock(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "locking" not in str(error):
            raise
        return h5py.File(path, "r+")  # this process has it open already, by its own rules
