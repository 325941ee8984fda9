"""Samples as one memory-mapped file on node-local storage, shared through the page cache.

A file is named by the digest of its source and the binning (images have none), so its content is a
function of its name: builders may race, the last rename wins, and nothing changes. A file holds a
prefix (magic bytes, size of the header, size of the file, SHA-256 of what follows), a JSON header
(names, and where each array lies), and the arrays of an
:class:`~hpcfed.samples.events.EventSet` or an :class:`~hpcfed.samples.images.ImageSet` as they lie
in memory. A file that is not what its prefix
says is built again. All of it is read to see that once on a node, by whoever opens it first and
leaves a note beside it; every opening looks whether channels, labels and offsets lie within their
bounds, because the kernels that use them do not.

The folder is ``HPCFED_CACHE``, else ``SLURM_TMPDIR``, else one of our own in the system's
temporary folder. Without a folder that can be written, samples stay in memory, with a warning.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple  # Any: a JSON header holds values of several types

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.atomic import replacing
from hpcfed.base.private import private_folder
from hpcfed.datasets.checks import find_problem
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet
from hpcfed.samples.images import ImageSet

_LOG = logging.getLogger("hpcfed")
_MAGIC = b"hpcfed-events-4\n"  # the number is the version of format and content
_PREFIX = struct.Struct("<16sQQ32s")  # magic, bytes of the header and of the file, SHA-256
_ALIGNMENT = 64  # a cache line
_TUPLES = ("class_names", "group_names", "plane")
Cached = EventSet | ImageSet


class _Kind(NamedTuple):
    """How a kind of samples lies in a file: its arrays, its other values, and what makes it."""

    arrays: tuple[str, ...]
    values: tuple[str, ...]
    make: Callable[..., Cached]


_KINDS = {
    "events": _Kind(
        ("channels", "counts", "bin_offsets", "sample_offsets", "labels", "groups"),
        ("num_channels", "duration", "num_cut", "latest", "class_names", "group_names", "plane"),
        EventSet,
    ),
    "images": _Kind(("pixels", "labels", "groups"), ("class_names", "group_names"), ImageSet),
}


@dataclass(frozen=True)
class CacheKey:
    """What a cached set is made of: SHA-256 of the source's bytes (hex), and how it is binned.

    Images are not binned.
    """

    digest: str
    binning: Binning | None

    @property
    def file_name(self) -> str:
        """Name of the cache file: 32 hex digits that stand for source, binning and version."""
        binning = {} if self.binning is None else vars(self.binning)
        parts = (_MAGIC.decode(), self.digest, *map(repr, binning.values()))
        ending = ".images" if self.binning is None else ".events"
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:32] + ending


def cached(key: CacheKey, build: Callable[[], Cached]) -> Cached:
    """Return the samples of ``key`` as a read-only memory map, calling ``build`` if there is none.

    What ``build`` raises passes through. If the cache cannot be used, ``build``'s result is
    returned as it is.
    """
    try:
        path = cache_folder() / key.file_name
    except OSError as error:
        _LOG.warning("event cache not used, samples stay in memory: %s", error)
        return build()
    found = open_samples(path)
    if found is not None:
        return found
    with _one_builder(path):
        found = open_samples(path)
        return found if found is not None else _build(path, build)


def cache_folder() -> Path:
    """Return the cache's folder, made if missing. Raises OSError if it is not ours."""
    for name in ("HPCFED_CACHE", "SLURM_TMPDIR"):
        if folder := os.environ.get(name):
            path = Path(folder).expanduser()
            path.mkdir(parents=True, exist_ok=True)
            return path
    return private_folder()


def write_samples(path: Path, samples: Cached) -> None:
    """Write ``samples`` to ``path`` by a temporary sibling, fsync and rename. Raises OSError."""
    kind = "images" if isinstance(samples, ImageSet) else "events"
    names = _KINDS[kind].arrays
    arrays = {n: np.ascontiguousarray(a) for n in names if (a := getattr(samples, n)) is not None}
    header = _header(samples, kind, arrays)
    size, content = _PREFIX.size + len(header), [memoryview(header)]
    for array in arrays.values():
        content += [
            memoryview(bytes(-size % _ALIGNMENT)),
            array.data if array.size else memoryview(b""),
        ]
        size = _aligned(size) + array.nbytes
    total = hashlib.sha256()
    for piece in content:
        total.update(piece)
    with replacing(path) as stream:
        stream.write(_PREFIX.pack(_MAGIC, len(header), size, total.digest()))
        for piece in content:
            stream.write(piece)


def open_samples(path: Path) -> Cached | None:
    """Map a cache file read-only; None if there is none, or none of this version and whole."""
    try:
        with path.open("rb") as stream:
            magic, header_size, size, digest = _PREFIX.unpack(stream.read(_PREFIX.size))
            if magic != _MAGIC or size != os.fstat(stream.fileno()).st_size or header_size > size:
                return None
            if not _is_checked(path, stream, digest):
                return None
            header = json.loads(stream.read(header_size))
            pages = np.memmap(stream, np.uint8, mode="r", offset=0, shape=(size,))
        found = _samples(header, pages, _aligned(_PREFIX.size + header_size))
    except (OSError, ValueError, KeyError, TypeError, struct.error, InputError):
        return None  # whatever lies there, it is built again
    return None if isinstance(found, EventSet) and find_problem(found) else found


def _is_checked(path: Path, stream: BufferedReader, digest: bytes) -> bool:
    """Say whether a file's content has this digest; a note beside it spares others the reading."""
    status = os.fstat(stream.fileno())
    note, place = path.with_suffix(".checked"), stream.tell()
    what = f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {digest.hex()}"
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if note.read_text(encoding="ascii") == what:
            return True
    found = hashlib.file_digest(stream, "sha256").digest()
    stream.seek(place)
    if found == digest:
        with contextlib.suppress(OSError), replacing(note) as file:
            file.write(what.encode("ascii"))
    return found == digest


def _build(path: Path, build: Callable[[], Cached]) -> Cached:
    samples = build()
    try:
        write_samples(path, samples)
    except OSError as error:
        _LOG.warning("event cache %s not written, samples stay in memory: %s", path, error)
        return samples
    return open_samples(path) or samples


@contextlib.contextmanager
def _one_builder(path: Path) -> Iterator[None]:
    """Let one process of the node build while the others wait; without locks, all build."""
    lock = None
    try:
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in path.parent.glob(f".{path.name}.*.tmp"):  # of a builder that was killed
            left.unlink(missing_ok=True)
    except OSError:
        _LOG.debug("no lock beside %s: builders race, with equal results", path)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _header(samples: Cached, kind: str, arrays: dict[str, NDArray[np.generic]]) -> bytes:
    """Return the JSON header: values, and where each array lies behind it."""
    places, offset = {}, 0
    for name, array in arrays.items():
        offset = _aligned(offset)
        places[name] = (offset, array.shape, array.dtype.str)
        offset += array.nbytes
    values = {name: getattr(samples, name) for name in _KINDS[kind].values}
    values |= {"arrays": places} | ({} if kind == "events" else {"kind": kind})
    return json.dumps(values).encode()


def _samples(header: dict[str, Any], pages: NDArray[np.uint8], begin: int) -> Cached:
    kind = _KINDS[header.get("kind", "events")]
    arrays: dict[str, Any] = dict.fromkeys(kind.arrays)
    for name, (offset, shape, dtype) in header["arrays"].items():
        arrays[name] = np.ndarray(tuple(shape), dtype, pages, begin + offset)
    values = {
        name: tuple(header[name]) if name in _TUPLES else header[name] for name in kind.values
    }
    return kind.make(**arrays, **values)


def _aligned(offset: int) -> int:
    return offset + -offset % _ALIGNMENT
