"""Files that are replaced whole: a reader sees the old content or the new, at any kill."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from hpcfed.errors import StoppedRunError

_LEFTOVER_AGE_S = 3600


@contextlib.contextmanager
def replacing(path: Path, check: Callable[[], None] = lambda: None) -> Iterator[BinaryIO]:
    """Give a stream whose content becomes ``path`` when the block ends without an error.

    The content goes to a sibling whose name is new, is synced, renamed, and the folder synced.
    ``check`` is called right before the renaming and may raise. On an error the sibling is removed
    and ``path`` stays as it was.
    """
    with replacing_path(path, check) as sibling, sibling.open("r+b") as stream:
        yield stream


@contextlib.contextmanager
def replacing_path(path: Path, check: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """Give the sibling of ``replacing`` by its path, for libraries that open files themselves."""
    sibling = _new_sibling(path)
    try:
        yield sibling
        with sibling.open("rb") as stream:
            os.fsync(stream.fileno())
        check()
        sibling.replace(path)
    except BaseException:
        sibling.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _new_sibling(path: Path) -> Path:
    """Make an empty file beside ``path`` whose name nobody else can have made or guessed.

    Process numbers would not do: containers share them. A link planted there is not followed.
    """
    sibling = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(sibling, flags, 0o666))
    return sibling


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove what killed writers of ``name`` (a pattern) left; younger ones may be at work."""
    for leftover in folder.glob(f".{name}.*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_AGE_S:
                leftover.unlink()


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def full_disk_stops(path: Path) -> Iterator[None]:
    """Turn the error of a full disk while writing ``path`` into StoppedRunError."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        raise StoppedRunError(
            f"{path} cannot be written: {error.strerror}; what was there is whole: "
            "free some space and continue with --resume"
        ) from None
