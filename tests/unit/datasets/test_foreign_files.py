"""Files of other people: right values, or one clear line; nothing grows with a number in a file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from shd_files import write_file

from hpcfed.datasets.shd import ShdFile, read_shd
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet

QUARTERS = Binning(1.0, 4)


def read(path: Path, binning: Binning = QUARTERS) -> EventSet:
    return read_shd(ShdFile(path.name, path), binning)


def changed(path: Path, key: str, value: object) -> Path:
    """Put a data set in the place of another one."""
    with h5py.File(path, "a") as file:
        if key in file:
            del file[key]
        file[key] = value
    return path


@pytest.mark.parametrize("key", ["times", "units"])
def test_rows_of_the_other_byte_order_are_refused(tmp_path: Path, key: str) -> None:
    kinds = {"times_dtype": "f4", "units_dtype": "u2"}
    path = write_file(tmp_path / "a.h5", **(kinds | {f"{key}_dtype": ">" + kinds[f"{key}_dtype"]}))
    with pytest.raises(InputError, match=rf"^a.h5: spikes/{key} .* byte order"):
        read(path)


def test_labels_of_the_other_byte_order_are_right(tmp_path: Path) -> None:
    path = changed(write_file(tmp_path / "a.h5"), "labels", np.array([0, 1, 1], ">i4"))
    assert read(path).labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("value", [7, 7.0, np.array([7]), np.array([[7.0]]), np.array(7, ">u2")])
def test_the_number_of_channels_may_stand_in_an_array_of_one(tmp_path: Path, value: object) -> None:
    path = write_file(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file.attrs["num_channels"] = value
    assert read(path).num_channels == 7


@pytest.mark.parametrize("value", ["7", 0, -5, 7.5, np.nan, 10**12, np.array([7, 7]), np.array([])])
def test_what_is_no_number_of_channels_is_refused(tmp_path: Path, value: object) -> None:
    path = write_file(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file.attrs["num_channels"] = value
    with pytest.raises(InputError, match="attribute num_channels"):
        read(path)


NAMES = ("größe", "eins")


@pytest.mark.parametrize(
    "keys",
    [
        np.array([name.encode() for name in NAMES]),
        np.array([[name.encode()] for name in NAMES]),
        np.array([name.encode("latin-1") for name in NAMES]),
        np.array([name.encode("utf-16-le") for name in NAMES]),
        np.array([name.encode("utf-16") for name in NAMES]),
        np.array([name.encode("utf-16-be") for name in NAMES]),
    ],
    ids=["row", "column", "latin-1", "utf-16-le", "utf-16", "utf-16-be"],
)
def test_names_of_classes_in_any_usual_form_are_right(tmp_path: Path, keys: np.ndarray) -> None:
    assert read(changed(write_file(tmp_path / "a.h5"), "extra/keys", keys)).class_names == NAMES


def test_names_in_a_table_are_refused_and_empty_ones_are_none(tmp_path: Path) -> None:
    path = changed(write_file(tmp_path / "a.h5"), "extra/keys", np.full((2, 2), b"x"))
    with pytest.raises(InputError, match=r"extra/keys has the shape \(2, 2\)"):
        read(path)
    path = changed(path, "extra/keys", np.array([b"", b""], "S1"))
    assert read(path).class_names == ("label 0", "label 1")


def test_speakers_are_those_that_occur(tmp_path: Path) -> None:
    hashes = np.array([3735928559, 305419896, 3735928559], "u4")
    events = read(changed(write_file(tmp_path / "a.h5"), "extra/speaker", hashes))
    assert events.groups.tolist() == [1, 0, 1]
    assert events.group_names == ("speaker 305419896", "speaker 3735928559")


@pytest.mark.parametrize("label", [4096, 65535, 2**62, 2**63 + 1])
def test_a_label_that_no_class_can_have_is_refused_by_name(tmp_path: Path, label: int) -> None:
    path = write_file(tmp_path / "a.h5", keys=None)
    with pytest.raises(InputError, match=f"{label}"):
        read(changed(path, "labels", np.array([0, label, 1], np.uint64)))


def test_what_lies_in_another_file_is_refused(tmp_path: Path) -> None:
    other = write_file(tmp_path / "other.h5")
    path = write_file(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        del file["labels"]
        file["labels"] = h5py.ExternalLink(str(other), "/labels")
    with pytest.raises(InputError, match="/labels is a link to another file"):
        read(path)
    path = write_file(tmp_path / "b.h5")
    with h5py.File(path, "a") as file:
        del file["spikes"]
        file["spikes"] = h5py.ExternalLink(str(other), "/spikes")
    with pytest.raises(InputError, match="/spikes is a link to another file"):
        read(path)
    (tmp_path / "raw").write_bytes(bytes(6))
    path = write_file(tmp_path / "c.h5")
    with h5py.File(path, "a") as file:
        del file["labels"]
        file.create_dataset("labels", (3,), "u2", external=[(str(tmp_path / "raw"), 0, 6)])
    with pytest.raises(InputError, match="labels lies in another file"):
        read(path)


@pytest.mark.parametrize(
    ("scale", "unit"), [(1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")]
)
def test_times_in_another_unit_are_refused_and_the_unit_is_named(
    tmp_path: Path, scale: float, unit: str
) -> None:
    rng = np.random.default_rng(0)
    times = [[0.0, *np.sort(rng.uniform(0.02, 1.0, 60)) * scale] for _ in range(3)]
    units = [[0] * 61] * 3
    for dtype in ("f8", "i8"):
        path = write_file(tmp_path / f"{dtype}.h5", times, units, times_dtype=dtype)
        with pytest.raises(InputError, match=f"times are probably {unit}"):
            read(path)


def test_a_deliberate_cut_is_counted_and_no_more(tmp_path: Path) -> None:
    times = [np.linspace(0, 1, 100, endpoint=False)] * 3
    path = write_file(tmp_path / "a.h5", times, [[0] * 100] * 3, times_dtype="f8")
    assert read(path, Binning(0.05, 4)).num_cut == 3 * 95
    assert read(path, Binning(0.7, 4)).num_cut == 3 * 30


@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_damaged_files_are_read_or_refused_in_one_line(tmp_path: Path, seed: int) -> None:
    rng, whole = np.random.default_rng(seed), write_file(tmp_path / "a.h5").read_bytes()
    path, refused = tmp_path / "b.h5", 0
    for _ in range(100):
        content = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, len(content), rng.integers(1, 30))
        content[places] = rng.integers(0, 256, len(places))
        path.write_bytes(content.tobytes())
        try:
            events = read(path)
        except InputError as error:
            refused += 1
            assert str(error).startswith("b.h5: ")
            assert "\n" not in str(error)
        else:
            assert events.channels.max(initial=0) < events.num_channels
    assert refused > 10
