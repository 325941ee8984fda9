"""Event data sets of tonic (tonic.readthedocs.io), read from a folder on disk.

Below the root, each set lies in the folder that tonic itself would make (ROOT/NMNIST, ROOT/SHD).
Loading never downloads, since many ranks load at once: ``hpcfed data fetch tonic:NAME`` does.
The archive that tonic unpacked need not lie beside the files.

A sensor of W x H pixels and P polarities is flattened: channel x + W (y + H p), which is the ravel
of the plane (P, H, W) that two-dimensional sensors have. Times are whole microseconds; on
two-dimensional sensors they count from the sample's first event, as in tonic's own frames. Groups
are the subjects or speakers if the set tells them, else one group.

The order of samples is that of their files' paths below the set's folder, whatever order tonic
found them in (some of its sets take the file system's); samples without a file of their own come in
the order of their content, or as their common file has them. SHD and SSC are files of SHD's layout
and read as such.
"""

from __future__ import annotations

import difflib
import hashlib
import inspect
import os
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # Any: tonic's data sets share no typed interface

import numpy as np
from numpy.typing import NDArray

from hpcfed.datasets.checks import check_duration
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples

I64 = NDArray[np.int64]

_TICKS = 1_000_000  # a second: tonic's times are microseconds
_FOLDERS = {"SMNIST": "smnist"}  # where tonic's own folder is not called as the set
_ARCHIVES = (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar")
_UNREADABLE = (OSError, KeyError, ValueError, TypeError, IndexError, AssertionError, struct.error)
_SUBJECTS = ("speaker", "users", "subjects")  # names that tonic's sets give to who was recorded


@dataclass(frozen=True)
class TonicSplit:
    """One split of a tonic data set on disk."""

    name: str
    train: bool
    root: Path

    @property
    def folder(self) -> Path:
        """The folder that holds the set's files."""
        return self.root / _FOLDERS.get(self.name, self.name)

    def digest(self) -> str:
        """Return SHA-256 (hex) of split, and the names and bytes of all files of the folder."""
        split = "train" if self.train else "test"
        total = hashlib.sha256(f"tonic by path {self.name} {split}".encode())
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            total.update(path.relative_to(self.folder).as_posix().encode())
            with path.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest()

    def read(self, binning: Binning) -> EventSet:
        """Read and bin the split. Raises InputError if it is missing or not labelled events."""
        return read_samples(_open(self), binning, f"tonic:{self.name}", self.folder)


def find_splits(name: str, root: Path) -> tuple[TonicSplit, TonicSplit | None]:
    """Return the training split of ``name`` and the test split, None if tonic knows none.

    Raises InputError if tonic has no set of that name or its folder is missing.
    """
    kind = _find(name)
    train = TonicSplit(kind.__name__, True, root)
    if not train.folder.is_dir():
        raise _missing(train)
    return train, TonicSplit(train.name, False, root) if _has_test(kind) else None


def download(name: str, root: Path) -> Path:
    """Let tonic download all splits of ``name`` below ``root``; return the set's folder."""
    kind = _find(name)
    for train in (True, False) if _has_test(kind) else (True,):
        kind(**_arguments(kind, TonicSplit(kind.__name__, train, root)))
    return TonicSplit(kind.__name__, True, root).folder


def read_samples(dataset: Any, binning: Binning, name: str, folder: Path | None = None) -> EventSet:
    """Bin all samples of a tonic data set object below ``folder``; ``name`` is for messages.

    ``dataset`` has a length, items (structured events with fields t, x and perhaps y and p, and a
    target), ``sensor_size`` (W, H, P), perhaps ``classes`` and who was recorded.
    """
    order = _order(dataset, folder)
    sensor = _sensor(dataset, name)
    targets: list[int | str] = []
    group_names, groups = _groups(dataset)
    try:
        events = bin_samples(
            _flattened(dataset, order, sensor, targets, name),
            np.zeros(len(dataset), np.int64),
            groups[order],
            binning=binning,
            num_channels=int(np.prod(sensor)),
            names=((), group_names),
            ticks=_TICKS,
        )
        check_duration(events, name)
    except InputError as error:
        raise InputError(f"{name}: {str(error).removeprefix(f'{name}: ')}") from None
    class_names, labels = _labels(targets, getattr(dataset, "classes", None), name)
    width, height, polarities = sensor
    plane = (polarities, height, width) if height > 1 else ()
    return replace(events, labels=labels, class_names=class_names, plane=plane)


def _find(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what tonic's own imports say is not about this run
        try:
            import tonic.datasets
        except ImportError as error:
            raise InputError(f"tonic:{name} needs tonic ({error}); install hpcfed[train]") from None
    known = list(tonic.datasets.__all__)
    by_lower_case = {known_name.lower(): known_name for known_name in known}
    if name.lower() in by_lower_case:
        return getattr(tonic.datasets, by_lower_case[name.lower()])
    near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0)
    raise InputError(
        f'data.dataset = "tonic:{name}": tonic has no such set; did you mean {near[0]}?'
    )


def _has_test(kind: Any) -> bool:
    return bool({"train", "split"} & inspect.signature(kind).parameters.keys())


def _arguments(kind: Any, split: TonicSplit) -> dict[str, Any]:
    known = inspect.signature(kind).parameters
    values = {
        "save_to": str(split.root),
        "train": split.train,
        "split": "train" if split.train else "test",
        "single_digits": True,  # N-TIDIGITS: sequences of digits are not classes
    }
    return {key: value for key, value in values.items() if key in known}


def _open(split: TonicSplit) -> Any:
    """Make tonic's object for files that are there, with or without their archive beside them."""
    kind = _find(split.name)

    def is_file_present(self: Any) -> bool:
        if Path(self.location_on_system, self.filename).exists():
            return True
        data = getattr(self, "data_filename", None)
        if isinstance(data, str) and not data.endswith(_ARCHIVES):  # else it becomes a folder
            return Path(self.location_on_system, data).exists()
        return bool(self.filename.endswith(_ARCHIVES))

    def refuse(self: Any) -> None:
        raise _missing(split)

    placed = {"_is_file_present": is_file_present, "download": refuse}
    placed["_copy_and_extract_local_data"] = refuse  # POKERDVS
    try:
        return type(kind.__name__, (kind,), placed)(**_arguments(kind, split))
    except (FileNotFoundError, SystemExit):  # which DVSLip raises where files are missing
        raise _missing(split) from None
    except _UNREADABLE as error:
        raise InputError(f"tonic:{split.name}: {split.folder} cannot be read: {error}") from None


def _missing(split: TonicSplit) -> InputError:
    part = "training" if split.train else "test"
    return InputError(
        f'data.dataset = "tonic:{split.name}": the {part} files are not in {split.folder}; run: '
        f"hpcfed data fetch tonic:{split.name}, or set data.root to the folder that holds "
        f"{split.name}/"
    )


def _order(dataset: Any, folder: Path | None) -> I64:
    """Return the samples' numbers in hpcfed's own order, (S,)."""
    data = getattr(dataset, "data", None)
    if not isinstance(data, list) or len(data) != len(dataset) or not data:
        return np.arange(len(dataset))  # one file holds all
    keys: list[Any] = []
    for item in data:
        if isinstance(item, str | Path):
            keys.append(os.path.relpath(item, folder).replace(os.sep, "/"))
        else:
            keys.append(hashlib.sha256(np.ascontiguousarray(item).tobytes()).hexdigest())
    return np.array(sorted(range(len(keys)), key=lambda index: keys[index]), np.int64)


def _sensor(dataset: Any, name: str) -> tuple[int, int, int]:
    """Return width, height and polarities; of recordings of many sizes the largest of each."""
    sensor = dataset.sensor_size
    if sensor is None and len(dataset):
        width = height = 1
        for index in range(len(dataset)):
            events, _ = _sample(dataset, index, name)
            width = max(width, int(events["x"].max(initial=0)) + 1)
            height = max(height, int(events["y"].max(initial=0)) + 1)
        return width, height, 2
    if not isinstance(sensor, Sequence) or len(sensor) != 3:
        raise InputError(f"{name}: sensor_size is {sensor}; expected width, height, polarities")
    width, height, polarities = (int(size) for size in sensor)
    return width, height, polarities


def _sample(dataset: Any, index: int, name: str) -> tuple[Any, Any]:
    try:
        events, target = dataset[index]
    except ImportError as error:  # tonic imports the reader of a format where it is used
        raise InputError(
            f"{name}: reading its files needs the package {error.name or error}; pip install it"
        ) from None
    except (*_UNREADABLE, NotImplementedError) as error:
        raise InputError(f"{name}: sample {index} cannot be read: {error}") from None
    return events, target


def _flattened(
    dataset: Any, order: I64, sensor: tuple[int, int, int], targets: list[int | str], name: str
) -> Iterator[tuple[I64, I64]]:
    """Yield microseconds and channels of each sample, and append its target to ``targets``."""
    width, height, polarities = sensor
    for index in order.tolist():
        events, target = _sample(dataset, index, name)
        fields = getattr(getattr(events, "dtype", None), "names", None) or ()
        if not {"t", "x"} <= set(fields):
            raise InputError(
                f"{name}: sample {index} is not an array of events with fields t and x"
            )
        targets.append(_target(target, index, name))
        x = events["x"].astype(np.int64)
        y = events["y"].astype(np.int64) if "y" in fields and height > 1 else 0
        p = (events["p"] > 0).astype(np.int64) if "p" in fields and polarities > 1 else 0
        if len(x) and (x.min() < 0 or x.max() >= width or np.min(y) < 0 or np.max(y) >= height):
            raise InputError(f"{name}: sample {index} has events outside {width} x {height} pixels")
        times = events["t"].astype(np.int64)
        start = times.min() if height > 1 and len(times) else 0
        yield times - start, x + width * (y + height * p)


def _target(target: Any, index: int, name: str) -> int | str:
    if isinstance(target, bytes | np.bytes_):
        return target.decode()
    if isinstance(target, str):
        return str(target)
    if np.ndim(target) == 0 and np.asarray(target).dtype.kind in "iu":
        return int(target)
    raise InputError(f"{name}: sample {index} has no class but {type(target).__name__}")


def _labels(
    targets: list[int | str], classes: Any, name: str
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return class names and labels (S,) int64 from what the set gives as targets and classes."""
    given = [] if classes is None else list(classes)
    names = [c.decode() if isinstance(c, bytes) else str(c) for c in given]
    if all(isinstance(target, int) for target in targets):
        labels = np.array(targets, np.int64)
        names = names or [str(k) for k in range(int(labels.max(initial=0)) + 1)]
        if labels.size and (labels.min() < 0 or labels.max() >= len(names)):
            raise InputError(f"{name}: label {labels.max()}, expected 0 to {len(names) - 1}")
        return tuple(names), labels
    words = [str(target) for target in targets]
    if not set(words) <= set(names):
        names = sorted(set(words))
    return tuple(names), np.array([names.index(word) for word in words], np.int64)


def _groups(dataset: Any) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    for attribute in _SUBJECTS:
        who = getattr(dataset, attribute, None)
        if who is not None and len(who) == len(dataset):
            names, groups = np.unique(np.asarray(who), return_inverse=True)
            return tuple(f"{attribute.rstrip('s')} {name}" for name in names), groups
    return ("all",), np.zeros(len(dataset), np.int64)
