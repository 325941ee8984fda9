"""From the name of a data set to what can be read: a digest, and a function that gives events.

Nothing is read here but the bytes that make the digest: with it, the events may come from the
cache.
"""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any  # Any: EventSet or ImageSet, as the source has them

import numpy as np

from hpcfed.config import DataConfig
from hpcfed.datasets.cache import CacheKey, cached
from hpcfed.datasets.places import EMBEDDED, SPLITS, data_root, find_file, unknown_name
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet
from hpcfed.samples.images import ImageSet


@dataclass(frozen=True)
class Source:
    """One split: its name in messages, SHA-256 of its bytes (hex), and how to read and bin it."""

    name: str
    digest: str
    read: Callable[[Binning], Any]
    binned: bool = True

    def samples(self, binning: Binning) -> EventSet | ImageSet:
        """Return the samples, from the cache if they are there."""
        key = CacheKey(self.digest, binning if self.binned else None)
        return cached(key, lambda: self.read(binning))


@dataclass(frozen=True)
class Sources:
    """The splits; samples of ``train`` from ``num_training`` on, if given, are for validation."""

    train: Source
    test: Source | None
    num_training: int | None = None


def find_sources(config: DataConfig) -> Sources:
    """Find the files of ``config.dataset``. Raises InputError if they are missing."""
    name, root = config.dataset, data_root(config.root)
    if name in (EMBEDDED, *SPLITS) or name.startswith("tonic:"):
        check_no_test(config)
    if name == EMBEDDED:
        return Sources(_embedded("train"), _embedded("test"))
    if name in SPLITS:
        return _downloaded(name, root)
    if name.startswith("tonic:"):
        return _tonic(name.removeprefix("tonic:"), root)
    return _files(config)


def check_no_test(config: DataConfig) -> None:
    """Check that nobody gave a test file to a set that has its own. Raises InputError."""
    if config.test is not None:
        raise InputError(
            f'data.test = "{config.test}": data.dataset = "{config.dataset}" has a test split of '
            "its own; leave data.test out"
        )


def file_source(path: Path) -> Source:
    """Return the source of a file of SHD's layout."""
    return Source(str(path), _file_digest(path), lambda binning: _read(str(path), path, binning))


def joined(first: Source, second: Source) -> Source:
    """Return the samples of two sources as one source, the first's before the second's."""
    digest = hashlib.sha256(f"{first.digest}+{second.digest}".encode()).hexdigest()
    name = f"{first.name} and {second.name}"
    return Source(name, digest, lambda b: _concatenate(first.read(b), second.read(b), second.name))


def _embedded(split: str) -> Source:
    file = f"{EMBEDDED}-{split}.h5.xz"
    packed = resources.files("hpcfed.datasets").joinpath("data", file).read_bytes()
    digest = hashlib.sha256(packed).hexdigest()
    return Source(file, digest, lambda binning: _read(file, lzma.decompress(packed), binning))


def _downloaded(name: str, root: Path) -> Sources:
    paths = {split: find_file(name, split, root) for split in SPLITS[name]}
    train, test = file_source(paths["train"]), file_source(paths["test"])
    if "valid" not in paths:
        return Sources(train, test)
    from hpcfed.datasets.shd import ShdFile, count_samples

    num_training = count_samples(ShdFile(train.name, paths["train"]))
    return Sources(joined(train, file_source(paths["valid"])), test, num_training)


def _files(config: DataConfig) -> Sources:
    path = Path(config.dataset).expanduser()
    if not path.exists() and not path.suffix and len(path.parts) == 1:
        raise unknown_name(config.dataset)
    test = None if config.test is None else file_source(Path(config.test).expanduser())
    return Sources(file_source(path), test)


def _tonic(name: str, root: Path) -> Sources:
    from hpcfed.datasets.tonic_sets import find_splits

    if name.lower() in SPLITS:  # tonic's files are of SHD's layout, below its own folder
        return _downloaded(name.lower(), root)
    train, test = find_splits(name, root)
    return Sources(
        Source(f"tonic:{train.name} (train)", train.digest(), train.read),
        None if test is None else Source(f"tonic:{train.name} (test)", test.digest(), test.read),
    )


def _read(name: str, content: Path | bytes, binning: Binning) -> EventSet:
    from hpcfed.datasets.shd import ShdFile, read_shd  # h5py takes 0.15 s; the cache needs none

    return read_shd(ShdFile(name, content), binning)


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected an HDF5 file of SHD's layout") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _concatenate(first: EventSet, second: EventSet, name: str) -> EventSet:
    if first.class_names != second.class_names:
        raise InputError(f"{name}: its classes differ from the training file's")
    both = (first, second)
    group_names = tuple(dict.fromkeys([*first.group_names, *second.group_names]))
    groups = [
        np.array([group_names.index(name) for name in events.group_names], np.int64)[events.groups]
        for events in both
    ]
    counts = [events.counts for events in both if events.counts is not None]
    return replace(
        first,
        channels=np.concatenate([events.channels for events in both]),
        counts=np.concatenate(counts) if counts else None,
        bin_offsets=np.concatenate([events.bin_offsets for events in both]),
        sample_offsets=np.concatenate(
            [first.sample_offsets, second.sample_offsets[1:] + first.sample_offsets[-1]]
        ),
        labels=np.concatenate([events.labels for events in both]),
        groups=np.concatenate(groups),
        group_names=group_names,
        num_channels=max(events.num_channels for events in both),
        num_cut=sum(events.num_cut for events in both),
        latest=max(events.latest for events in both),
    )
