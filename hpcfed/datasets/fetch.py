"""Download data sets with checksum, resume and progress; let tonic download its own.

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
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import IO, cast

from hpcfed.base.atomic import replacing
from hpcfed.datasets.places import KNOWN, candidates, data_root
from hpcfed.datasets.remote import BASE_URL, REMOTE, REMOTE_IMAGES, RemoteFile, RemoteImages
from hpcfed.errors import InputError

_ATTEMPTS = 5
_PAUSE_S = 1.0  # times the number of attempts since something arrived
_TIMEOUT_S = 60
_BLOCK_BYTES = 1 << 20


Progress = Callable[[str, int, int | None], None]  # what, bytes so far, bytes in all if known


def fetch(
    name: str,
    root: str | None = None,
    *,
    base_url: str | None = None,
    remote: tuple[RemoteFile, ...] = REMOTE,
) -> list[Path]:
    """Bring all files of ``name`` below ``root`` and return the paths.

    A name is that of a set of ``remote``, of REMOTE_IMAGES, or "tonic:NAME".

    Files that are there already are left alone. ``base_url`` (else ``HPCFED_DATA_URL``) replaces
    the official place. Raises InputError if it cannot be done, saying how to go on.
    """
    if name.startswith("tonic:"):
        from hpcfed.datasets.tonic_sets import download

        return [download(name.removeprefix("tonic:"), data_root(root))]
    given = base_url or os.environ.get("HPCFED_DATA_URL")
    if name in REMOTE_IMAGES:
        place = REMOTE_IMAGES[name]
        url = (given or place.url).rstrip("/") + "/"
        with _progress_bar() as progress:
            folder = data_root(root) / name
            return [path for f in place.files for path in _bring_images(f, folder, url, progress)]
    files = [file for file in remote if file.name == name]
    if not files:
        known = ", ".join(dict.fromkeys([*(file.name for file in remote), *REMOTE_IMAGES]))
        raise InputError(
            f"data fetch {name}: expected {known} or tonic:NAME"
            + (" (it is part of hpcfed)" if name in KNOWN else "")
        )
    url = given or BASE_URL
    with _progress_bar() as progress:
        return [_bring(file, data_root(root), url.rstrip("/") + "/", progress) for file in files]


def _bring_images(file: RemoteImages, folder: Path, url: str, progress: Progress) -> Iterator[Path]:
    """Bring a file into ``folder``; of an archive its batches and names, each when it is whole."""
    is_archive = file.name.endswith(".tar.gz")
    there = [folder / name for name in file.holds or (file.name,)]
    if not all(path.is_file() for path in there):
        with _disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f".{file.name}.part"
            with _only_us(part):
                download(url + file.name, part, progress)
                _check_md5(part, file.name, file.md5, url)
                if is_archive:
                    _unpack_tar(part, there)
                    part.unlink()
                else:
                    part.replace(there[0])
    yield from there


def _unpack_tar(archive: Path, wanted: Sequence[Path]) -> None:
    """Unpack the files of these names, in whatever folder of the archive they are."""
    try:
        with tarfile.open(archive) as packed:
            members = {Path(m.name).name: m for m in packed.getmembers() if m.isfile()}
            for target in wanted:
                if target.name not in members:
                    raise InputError(f"{archive}: holds no {target.name}; remove it, fetch again")
                source = packed.extractfile(members[target.name])
                with cast("IO[bytes]", source) as stream, replacing(target) as sink:
                    shutil.copyfileobj(stream, sink, _BLOCK_BYTES)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError) as error:
        raise InputError(
            f"{archive}: cannot be unpacked ({error}); remove it, fetch again"
        ) from None


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
            _check_md5(part, file.archive, file.md5, url)
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


def _check_md5(part: Path, name: str, expected: str, url: str) -> None:
    with part.open("rb") as stream:
        # A checksum, no signature: allowed where security rules forbid MD5 otherwise.
        md5 = partial(hashlib.md5, usedforsecurity=False)
        found = hashlib.file_digest(stream, md5).hexdigest()
    if found != expected:
        part.unlink()
        raise InputError(
            f"{url}{name}: MD5 of the download is {found}, expected {expected}; it was "
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
