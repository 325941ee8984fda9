"""Files of SHD's layout become events, and what is wrong with a file is said with its name."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from shd_files import TIMES, UNITS, write_file

from hpcfed.datasets.shd import ShdFile, count_samples, read_shd
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet

QUARTERS = Binning(1.0, 4)


def read(path: Path, binning: Binning = QUARTERS) -> EventSet:
    return read_shd(ShdFile(path.name, path), binning)


def test_spikes_land_in_the_bins_of_their_seconds(tmp_path: Path) -> None:
    events = read(write_file(tmp_path / "tiny.h5"))
    assert events.channels.tolist() == [3, 0, 2, 1, 1, 4]
    assert events.bin_offsets.tolist() == [[0, 1, 2, 2, 3], [0, 1, 1, 2, 2], [0, 0, 0, 0, 1]]
    assert events.sample_offsets.tolist() == [0, 3, 5, 6]
    assert events.labels.tolist() == [0, 1, 1]
    assert events.groups.tolist() == [0, 1, 1]
    assert events.class_names == ("zero", "one")
    assert events.group_names == ("speaker 0", "speaker 1")
    assert count_samples(ShdFile("tiny", tmp_path / "tiny.h5")) == 3


def test_bytes_and_path_give_the_same_events(tmp_path: Path) -> None:
    path = write_file(tmp_path / "tiny.h5")
    inside = read_shd(ShdFile("inside", path.read_bytes()), QUARTERS)
    np.testing.assert_array_equal(inside.dense(np.arange(3)), read(path).dense(np.arange(3)))


@pytest.mark.parametrize(("times", "units"), [("f2", "u2"), ("f4", "u1"), ("f8", "i8")])
def test_every_dtype_gives_the_same_events(tmp_path: Path, times: str, units: str) -> None:
    path = write_file(tmp_path / "tiny.h5", times_dtype=times, units_dtype=units)
    assert read(path).channels.tolist() == [3, 0, 2, 1, 1, 4]


def test_rows_beyond_one_slice_are_read_in_order(tmp_path: Path) -> None:
    num_samples = 600
    rows = [[index % 700] for index in range(num_samples)]
    labels = [0] * num_samples
    path = write_file(
        tmp_path / "long.h5", [[0.5]] * num_samples, rows, labels=labels, speakers=None
    )
    assert read(path).channels.tolist() == [row[0] for row in rows]


def test_two_spikes_in_one_bin_are_one_event_or_a_count(tmp_path: Path) -> None:
    path = write_file(tmp_path / "tiny.h5")
    counted = read(path, Binning(1.0, 4, counts=True))
    assert counted.counts is not None
    assert counted.counts.tolist() == [1, 2, 1, 1, 1, 1]
    assert read(path).counts is None


def test_spikes_from_duration_on_are_cut_and_counted(tmp_path: Path) -> None:
    events = read(write_file(tmp_path / "tiny.h5"), Binning(0.75, 3))
    assert events.num_cut == 2
    assert events.num_events.tolist() == [2, 2, 0]


def test_a_file_without_speakers_is_one_group_and_without_keys_numbered(tmp_path: Path) -> None:
    events = read(write_file(tmp_path / "ssc.h5", speakers=None, keys=None))
    assert events.group_names == ("all",)
    assert events.groups.tolist() == [0, 0, 0]
    assert events.class_names == ("label 0", "label 1")


def test_speakers_bear_their_names(tmp_path: Path) -> None:
    path = write_file(tmp_path / "tiny.h5")
    with h5py.File(path, "a") as file:
        file["extra/meta_info/name"] = np.array([b"ada", b"ben"])
    assert read(path).group_names == ("ada", "ben")


def test_channels_are_the_attribute_else_700_else_what_occurs(tmp_path: Path) -> None:
    path = write_file(tmp_path / "tiny.h5")
    assert read(path).num_channels == 700
    with h5py.File(path, "a") as file:
        file.attrs["num_channels"] = 140
    assert read(path).num_channels == 140
    wide = write_file(tmp_path / "wide.h5", [[0.1]], [[800]], labels=[0], speakers=None)
    assert read(wide).num_channels == 801


def test_more_than_65536_channels_fit(tmp_path: Path) -> None:
    path = write_file(
        tmp_path / "wide.h5", [[0.1]], [[70000]], labels=[0], speakers=None, units_dtype="u4"
    )
    assert read(path).channels.tolist() == [70000]


def damaged(path: Path, cut: int) -> Path:
    path.write_bytes(path.read_bytes()[:cut])
    return path


def without(path: Path, key: str) -> Path:
    with h5py.File(path, "a") as file:
        del file[key]
    return path


def text(path: Path) -> Path:
    path.write_text("spikes, they said")
    return path


WRONG = {
    "no such file": lambda p: p,
    "is a folder": lambda p: p.parent,
    "is empty": lambda p: damaged(write_file(p), 0),
    "not an HDF5 file": text,
    "truncated": lambda p: damaged(write_file(p), 3000),
    "labels missing": lambda p: without(write_file(p), "labels"),
    "spikes/times and spikes/units missing": lambda p: without(write_file(p), "spikes"),
    "lengths disagree": lambda p: write_file(p, labels=(0, 1)),
    "extra/speaker 2": lambda p: write_file(p, speakers=(0, 1)),
    "holds no samples": lambda p: write_file(p, [], [], labels=[], speakers=[]),
    "sample 2 has label 7, expected 0 to 1": lambda p: write_file(p, labels=(0, 1, 7)),
    "sample 0 has label -1": lambda p: write_file(p, labels=(-1, 1, 0)),
    "sample 1 has no spikes": lambda p: write_file(p, [[0.1], [], [0.1]], [[1], [], [1]]),
    "sample 1 has 1 spike times but 2 channels": lambda p: write_file(
        p, [[0.1], [0.1], [0.1]], [[1], [1, 2], [1]]
    ),
    "sample 0 has spike times that are not finite": lambda p: write_file(
        p, [[np.nan, 0, 0, 0], *TIMES[1:]]
    ),
    "sample 2 has spike times that are not finite": lambda p: write_file(p, [*TIMES[:2], [np.inf]]),
    "sample 2 has a negative spike time": lambda p: write_file(p, [*TIMES[:2], [-0.5]]),
    "sample 2 has channel -4": lambda p: write_file(p, units=[*UNITS[:2], [-4]], units_dtype="i4"),
    "no spike lies before 1 s": lambda p: write_file(p, [[2.0]], [[1]], labels=[0], speakers=[0]),
    "spikes/units holds float32": lambda p: write_file(p, units_dtype="f4"),
}


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, message: str) -> None:
    path = WRONG[message](tmp_path / "bad.h5")
    with pytest.raises(InputError) as raised:
        read(path)
    assert str(raised.value).startswith(path.name)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_unit_beyond_the_stated_channels_is_refused(tmp_path: Path) -> None:
    path = write_file(tmp_path / "bad.h5")
    with h5py.File(path, "a") as file:
        file.attrs["num_channels"] = 4
    with pytest.raises(
        InputError, match=r"sample 2 has channel 4, the data set has channels 0 to 3"
    ):
        read(path)
