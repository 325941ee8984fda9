"""Download SHD and SSC with checksum, resume and progress; let tonic download its own sets.

A download grows in FOLDER/.NAME.part; an interrupted one goes on where it stopped (HTTP Range),
and only what has the right checksum is unpacked, to a temporary sibling that is renamed when it is
whole. An archive that was placed by hand beside is unpacked instead. Pooch starts anew after every
interruption and unpacks in place, so the standard library does both here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import hashlib
import os
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import IO, cast

from hpcfed.base.atomic import replacing
from hpcfed.datasets.places import KNOWN, candidates, data_root
from hpcfed.errors import InputError

# The data sets' own page, and the checksums published there (as tonic 1.7 has them).
BASE_URL = "https://zenkelab.org/datasets/"
_ATTEMPTS = 5
_PAUSE_S = 1.0  # times the number of attempts since something arrived
_TIMEOUT_S = 60
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """An archive on the server: data set, split, and MD5 (hex) of the archive."""

    name: str
    split: str
    md5: str

    @property
    def archive(self) -> str:
        """File name on the server."""
        return f"{self.name}_{self.split}.h5.zip"


REMOTE = (
    RemoteFile("shd", "train", "f3252aeb598ac776c1b526422d90eecb"),
    RemoteFile("shd", "test", "1503a5064faa34311c398fb0a1ed0a6f"),
    RemoteFile("ssc", "train", "d102be95e7144fcc0553d1f45ba94170"),
    RemoteFile("ssc", "valid", "b4eee3516a4a90dd0c71a6ac23a8ae43"),
    RemoteFile("ssc", "test", "a35ff1e9cffdd02a20eb850c17c37748"),
)

Progress = Callable[[str, int, int | None], None]  # what, bytes so far, bytes in all if known


def fetch(
    name: str,
    root: str | None = None,
    *,
    base_url: str | None = None,
    remote: tuple[RemoteFile, ...] = REMOTE,
) -> list[Path]:
    """Bring all files of ``name`` ("shd", "ssc" or "tonic:NAME") below ``root``; return the paths.

    Files that are there already are left alone. ``base_url`` (else ``HPCFED_DATA_URL``) replaces
    the official place. Raises InputError if it cannot be done, saying how to go on.
    """
    if name.startswith("tonic:"):
        from hpcfed.datasets.tonic_sets import download

        return [download(name.removeprefix("tonic:"), data_root(root))]
    files = [file for file in remote if file.name == name]
    if not files:
        raise InputError(
            f"data fetch {name}: expected shd, ssc or tonic:NAME"
            + (" (it is part of hpcfed)" if name in KNOWN else "")
        )
    url = base_url or os.environ.get("HPCFED_DATA_URL") or BASE_URL
    with _progress_bar() as progress:
        return [_bring(file, data_root(root), url.rstrip("/") + "/", progress) for file in files]


def _bring(file: RemoteFile, root: Path, url: str, progress: Progress) -> Path:
    paths = candidates(file.name, file.split, root)
    for path in paths:
        if path.is_file():
            return path
    target = paths[0]
    with _disk(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        if placed := _placed_archive(paths):
            unpack(placed, target)
            return target
        part = target.parent / f".{file.archive}.part"
        with _only_us(part):
            download(url + file.archive, part, progress)
            _check_md5(part, file, url)
            unpack(part, target)
            part.unlink()
    return target


def _placed_archive(paths: list[Path]) -> Path | None:
    archives = [path.with_name(path.name + end) for path in paths for end in (".zip", ".gz")]
    return next((path for path in archives if path.is_file()), None)


def download(url: str, part: Path, progress: Progress) -> None:
    """Download ``url`` to ``part``, going on where an earlier download stopped.

    A broken connection is taken up again as long as more arrives; after a few attempts without,
    InputError, and ``part`` stays.
    """
    most, attempts, reason = 0, 0, ""
    while attempts < _ATTEMPTS:
        try:
            if _receive(url, part, _size(part), progress):
                return
            reason = "the connection was closed early"
        except urllib.error.HTTPError as error:
            raise InputError(f"{url}: the server answers {error.code} ({error.reason})") from None
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(getattr(error, "reason", error))
        attempts = 0 if _size(part) > most else attempts + 1
        most = max(most, _size(part))
        time.sleep(_PAUSE_S * attempts)
    raise InputError(
        f"{url}: interrupted after {_mega(most)} ({reason}); fetch again to go on from there"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def unpack(archive: Path, target: Path) -> None:
    """Unpack the one .h5 file of a zip or gzip archive to ``target``, which appears when whole."""
    try:
        with _content(archive) as source, replacing(target) as sink:
            shutil.copyfileobj(source, sink, _BLOCK_BYTES)
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError) as error:
        raise InputError(
            f"{archive}: cannot be unpacked ({error}); remove it, fetch again"
        ) from None


def _receive(url: str, part: Path, have: int, progress: Progress) -> bool:
    """Append to ``part`` what the server sends; True if the file is then as long as announced."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing beyond what we have: the checksum will tell
            return True
        raise
    with response:
        if response.status != 206:  # the server sends all of it again
            have = 0
        length = response.headers.get("Content-Length")
        total = None if length is None else have + int(length)
        _check_space(part.parent, url, None if length is None else int(length))
        with part.open("r+b" if have else "wb") as sink:
            sink.seek(have)
            while block := response.read(_BLOCK_BYTES):
                sink.write(block)
                have += len(block)
                progress(url.rpartition("/")[2], have, total)
    return total is None or have == total


def _check_md5(part: Path, file: RemoteFile, url: str) -> None:
    with part.open("rb") as stream:
        # A checksum, no signature: allowed where security rules forbid MD5 otherwise.
        md5 = partial(hashlib.md5, usedforsecurity=False)
        found = hashlib.file_digest(stream, md5).hexdigest()
    if found != file.md5:
        part.unlink()
        raise InputError(
            f"{url}{file.archive}: MD5 of the download is {found}, expected {file.md5}; it was "
            "removed, fetch again (if that repeats, the server has another file)"
        )


def _check_space(folder: Path, url: str, num_bytes: int | None) -> None:
    free = shutil.disk_usage(folder).free
    if num_bytes is not None and num_bytes > free:
        raise InputError(
            f"{url}: {_mega(num_bytes)} to come, but {folder} has {_mega(free)} free; free space, "
            "or set data.root or HPCFED_DATA to another folder"
        )


@contextlib.contextmanager
def _content(archive: Path) -> Iterator[IO[bytes]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            members = [member for member in packed.namelist() if member.endswith(".h5")]
            if len(members) != 1:
                raise InputError(f"{archive}: holds {len(members)} .h5 files; expected one")
            with packed.open(members[0]) as stream:
                yield stream
    else:
        with gzip.open(archive) as unpacked:
            yield cast("IO[bytes]", unpacked)


@contextlib.contextmanager
def _only_us(part: Path) -> Iterator[None]:
    lock = os.open(part.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
        part.with_suffix(".lock").unlink()
    except BlockingIOError:
        raise InputError(f"{part}: another process is fetching this file; wait for it") from None
    finally:
        os.close(lock)


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Turn what the disk may refuse into one clear message."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"{folder}: the disk is full; free space and fetch again to go on from there"
            ) from None
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None


@contextlib.contextmanager
def _progress_bar() -> Iterator[Progress]:
    from rich import progress as bars
    from rich.console import Console

    console = Console(stderr=True)
    columns = (bars.TextColumn("{task.description}"), bars.BarColumn(), bars.DownloadColumn())
    with bars.Progress(
        *columns, bars.TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        tasks: dict[str, bars.TaskID] = {}

        def show(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        yield show


def _mega(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"
