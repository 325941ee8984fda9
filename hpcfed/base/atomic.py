"""Files that are replaced whole: a reader sees the old content or the new, at any kill."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from hpcfed.errors import StoppedRunError


@contextlib.contextmanager
def replacing(path: Path, check: Callable[[], None] = lambda: None) -> Iterator[BinaryIO]:
    """Give a stream whose content becomes ``path`` when the block ends without an error.

    The content goes to a sibling whose name is unique to this thread, is synced, renamed, and the
    folder synced. ``check`` is called right before the renaming and may raise. On an error the
    sibling is removed and ``path`` stays as it was.
    """
    writer = f"{os.uname().nodename}.{os.getpid()}.{threading.get_native_id()}"
    sibling = path.with_name(f".{path.name}.{writer}.tmp")
    try:
        with sibling.open("w+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        check()
        sibling.replace(path)
    except BaseException:
        sibling.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


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
