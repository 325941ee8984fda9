"""Reader of files of the Spiking Heidelberg Digits' layout (Cramer et al. 2020, arXiv:1910.07407).

``spikes/times`` (s) and ``spikes/units`` hold one variable-length row per sample, ``labels`` an
index into ``extra/keys``, ``extra/speaker`` the group of each sample. SSC and our own encodings
have the same layout; a file without speakers is one group. Groups are the speakers that occur, by
number. The number of channels is the file's attribute ``num_channels``, else 700 (the inner ear's),
else one more than the largest unit.

S samples, T time bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # Any: an HDF5 object is of the type that the file gives it

import h5py
import numpy as np
from numpy.typing import NDArray

from hpcfed.datasets.checks import check_duration, numbered_classes
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import I64, EventSet, bin_samples

DEFAULT_CHANNELS = 700
_ROWS_AT_ONCE = 256  # one HDF5 call for many rows: ten times as fast as one call a row
_ONE_GROUP = ("all",)
_MOST_UNNAMED = 4096  # classes, whatever the number of samples: more are no classes but a mistake
_MOST_CHANNELS = 1 << 32


@dataclass(frozen=True)
class ShdFile:
    """A file to read: its name in messages, and where its bytes are."""

    name: str
    content: Path | bytes


@dataclass(frozen=True)
class Header:
    """Everything but the spikes: labels and groups (S,) int64, with their names."""

    labels: I64
    groups: I64
    class_names: tuple[str, ...]
    group_names: tuple[str, ...]
    num_channels: int


def read_shd(source: ShdFile, binning: Binning) -> EventSet:
    """Read and bin all samples of a file. Raises InputError naming the file and what is wrong."""
    with _opened(source) as file:
        header = _header(file)
        events = bin_samples(
            _rows(file),
            header.labels,
            header.groups,
            binning=binning,
            num_channels=header.num_channels,
            names=(header.class_names, header.group_names),
        )
    check_duration(events, source.name)
    if events.num_cut and not len(events.channels):
        raise InputError(
            f"{source.name}: no spike lies before {binning.duration:g} s; "
            "are the times in seconds? Else raise data.duration"
        )
    return events


def count_samples(source: ShdFile) -> int:
    """Return S, the number of labels. Raises InputError naming the file and what is wrong."""
    with _opened(source) as file:
        _check_layout(file)
        return len(file["labels"])


@contextmanager
def _opened(source: ShdFile) -> Iterator[h5py.File]:
    """Open the file and turn everything that its content may raise into an InputError."""
    _check_readable(source)
    try:
        with _open(source.content) as file:
            yield file
    except InputError as error:
        raise InputError(f"{source.name}: {error}") from None
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError) as error:
        raise InputError(f"{source.name}: {_reason(error)}") from None


def _open(content: Path | bytes) -> h5py.File:
    return h5py.File(content, "r") if isinstance(content, Path) else h5py.File.in_memory(content)


def _check_readable(source: ShdFile) -> None:
    content = source.content
    if isinstance(content, Path):
        if content.is_dir():
            raise InputError(f"{source.name}: is a folder; expected an HDF5 file")
        if not content.exists():
            raise InputError(f"{source.name}: no such file; expected an HDF5 file of SHD's layout")
        size = content.stat().st_size
    else:
        size = len(content)
    if size == 0:
        raise InputError(f"{source.name}: the file is empty (0 bytes); fetch or write it again")


def _reason(error: Exception) -> str:
    text = str(error)
    if isinstance(error, PermissionError) or "Permission denied" in text:
        return "may not be read; change its permissions"
    if "truncated" in text:
        return "the HDF5 file is truncated; fetch or write it again"
    if "signature not found" in text:
        return "not an HDF5 file; expected one of SHD's layout"
    return f"cannot be read as HDF5, it may be damaged ({text}); fetch or write it again"


def _header(file: h5py.File) -> Header:
    _check_layout(file)
    labels = _integers(file, "labels")
    class_names = _names(file, "extra/keys") or _numbered(labels)
    if labels.min() < 0 or labels.max() >= len(class_names):
        worst = int(np.argmax((labels < 0) | (labels >= len(class_names))))
        raise InputError(
            f"sample {worst} has label {labels[worst]}, expected 0 to {len(class_names) - 1} "
            "(extra/keys names the classes); correct labels or extra/keys"
        )
    groups, group_names = _groups(file, len(labels))
    return Header(labels, groups, class_names, group_names, _num_channels(file))


def _numbered(labels: I64) -> tuple[str, ...]:
    """Return names for classes that the file does not name, as many as are plausible."""
    limit = max(_MOST_UNNAMED, len(labels))
    if labels.max() >= limit:
        raise InputError(
            f"sample {int(labels.argmax())} has label {labels.max()}, and extra/keys names no "
            f"classes; expected labels below {limit}"
        )
    return numbered_classes(max(int(labels.max()), -1) + 1)


def _check_layout(file: h5py.File) -> None:
    keys = ("spikes/times", "spikes/units", "labels")
    for key in (*keys, "extra/keys", "extra/speaker", "extra/meta_info/name"):
        _check_within(file, key)
    if missing := [key for key in keys if not isinstance(file.get(key), h5py.Dataset)]:
        raise InputError(
            f"{' and '.join(missing)} missing; expected SHD's layout: {', '.join(keys)}"
        )
    for key, kinds, expected in ((keys[0], "fiu", "seconds"), (keys[1], "iu", "whole numbers")):
        row = h5py.check_vlen_dtype(file[key].dtype)
        if row is None or np.dtype(row).kind not in kinds:
            found = file[key].dtype if row is None else row
            raise InputError(f"{key} holds {found}; expected a row of {expected} for each sample")
        if not np.dtype(row).isnative:  # h5py swaps no bytes of such rows, and says nothing
            raise InputError(
                f"{key} holds rows of {np.dtype(row).str}, of the other byte order, which cannot "
                "be read rightly; write it little-endian"
            )
    lengths = {key: len(file[key]) for key in keys}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise InputError(f"lengths disagree ({found}); expected one row and one label a sample")
    if lengths["labels"] == 0:
        raise InputError("holds no samples; expected at least one")


def _groups(file: h5py.File, num_samples: int) -> tuple[I64, tuple[str, ...]]:
    if not isinstance(file.get("extra/speaker"), h5py.Dataset):
        return np.zeros(num_samples, np.int64), _ONE_GROUP
    groups = _integers(file, "extra/speaker")
    if len(groups) != num_samples:
        raise InputError(f"lengths disagree (labels {num_samples}, extra/speaker {len(groups)})")
    if groups.min() < 0:
        raise InputError(f"extra/speaker holds {groups.min()}; expected numbers from 0")
    numbers, groups = np.unique(groups, return_inverse=True)
    names = _names(file, "extra/meta_info/name")
    if len(names) <= numbers[-1]:
        return groups, tuple(f"speaker {number}" for number in numbers)
    return groups, tuple(names[number] for number in numbers)


def _check_within(file: h5py.File, key: str) -> None:
    """Refuse what lies in other files: nothing but the file itself counts in its digest."""
    path = ""
    for part in key.split("/"):
        path = f"{path}/{part}"
        if isinstance(file.get(path, getlink=True), h5py.ExternalLink):
            raise InputError(f"{path} is a link to another file; copy what it links to")
    item = file.get(key)
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
        raise InputError(f"{key} lies in another file; copy it into this one")


def _num_channels(file: h5py.File) -> int:
    if "num_channels" in file.attrs:
        given = np.asarray(file.attrs["num_channels"])
        value = given.reshape(-1)[0] if given.size == 1 and given.dtype.kind in "iuf" else -1
        if not (1 <= value <= _MOST_CHANNELS and value == int(value)):
            raise InputError(
                f"the attribute num_channels is {file.attrs['num_channels']}; expected one whole "
                f"number, 1 to {_MOST_CHANNELS}"
            )
        return int(value)
    rows = (row for some in _slices(file["spikes/units"]) for row in some)
    largest = max((int(row.max()) for row in rows if len(row)), default=0)
    return DEFAULT_CHANNELS if largest < DEFAULT_CHANNELS else largest + 1


def _rows(file: h5py.File) -> Iterator[tuple[NDArray[np.floating], NDArray[np.integer]]]:
    slices = zip(_slices(file["spikes/times"]), _slices(file["spikes/units"]), strict=True)
    for times, units in slices:
        yield from zip(times, units, strict=True)


def _slices(dataset: Any) -> Iterator[Any]:
    for start in range(0, len(dataset), _ROWS_AT_ONCE):
        yield dataset[start : start + _ROWS_AT_ONCE]


def _integers(file: h5py.File, key: str) -> I64:
    dataset = file[key]
    if dataset.dtype.kind not in "iu" or dataset.ndim != 1:
        raise InputError(
            f"{key} is {dataset.ndim}-d {dataset.dtype}; expected a row of whole numbers"
        )
    values = dataset[()]
    if values.size and values.max() > np.iinfo(np.int64).max:
        raise InputError(f"{key} holds {values.max()}; expected whole numbers below 2^63")
    return np.asarray(values, np.int64)


def _names(file: h5py.File, key: str) -> tuple[str, ...]:
    """Return a row (or a column) of names; () where there is none, or where all are empty."""
    dataset = file.get(key)
    if not isinstance(dataset, h5py.Dataset):
        return ()
    if dataset.size != max(dataset.shape, default=0):
        raise InputError(f"{key} has the shape {dataset.shape}; expected a row of names")
    names = tuple(_text(name, key) for name in np.ravel(dataset[()]).tolist())
    return names if any(names) else ()


def _text(raw: object, key: str) -> str:
    """Return a name: as UTF-8, as UTF-16 where it holds zeros, else as Latin-1."""
    if not isinstance(raw, bytes):
        return str(raw)
    try:
        if b"\0" in raw:  # HDF5 takes trailing zeros for padding
            marked, big = raw[:2] in (b"\xff\xfe", b"\xfe\xff"), raw[:1] == b"\0"
            form = "utf-16" if marked else "utf-16-be" if big else "utf-16-le"
            return (raw + b"\0" * (len(raw) % 2)).decode(form)
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.encoding.startswith("utf-16"):
            raise InputError(f"{key} holds {raw!r}; expected names as UTF-8") from None
        return raw.decode("latin-1")
