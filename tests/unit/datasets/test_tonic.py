"""tonic's event data sets from a folder on disk, flattened by hand; nothing is downloaded."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from shd_files import write_classes

from hpcfed.config import DataConfig
from hpcfed.datasets import load
from hpcfed.datasets.tonic_sets import find_splits, read_samples
from hpcfed.errors import InputError
from hpcfed.samples.events import Binning

if importlib.util.find_spec("tonic") is None:
    pytest.skip("tonic is not installed (extra: train)", allow_module_level=True)

PIXELS = np.dtype([("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "i1")])
HALVES = Binning(1.0, 2)


@dataclass
class Stub:
    """A data set as tonic's objects behave: a length, items, a sensor."""

    samples: list[tuple[object, object]]
    sensor_size: object = (4, 3, 2)
    classes: object = ("a", "b")

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[object, object]:
        return self.samples[index]


def events_at(*rows: tuple[int, int, int, int]) -> NDArray[np.void]:
    return np.array(list(rows), PIXELS)


def test_pixels_are_flattened_by_row_then_polarity() -> None:
    sample = events_at((3, 2, 0, 0), (0, 0, 600_000, 1), (1, 2, 700_000, 1))
    events = read_samples(Stub([(sample, 1)]), HALVES, "stub")
    assert events.num_channels == 24
    assert events.channels.tolist() == [3 + 4 * 2, 12, 1 + 4 * (2 + 3)]
    assert events.bin_offsets.tolist() == [[0, 1, 3]]
    assert events.labels.tolist() == [1]
    assert events.class_names == ("a", "b")
    assert events.group_names == ("all",)


def test_pixel_times_count_from_the_first_event_and_sound_from_zero() -> None:
    sample = events_at((0, 0, 5_600_000, 0), (1, 0, 5_700_000, 0))
    assert read_samples(Stub([(sample, 0)]), HALVES, "stub").num_cut == 0
    sound = Stub([(events_at((0, 0, 600_000, 1)), 0)], sensor_size=(4, 1, 1))
    assert read_samples(sound, HALVES, "stub").bin_offsets.tolist() == [[0, 0, 1]]


def test_targets_may_be_words() -> None:
    one = events_at((0, 0, 0, 0))
    named = read_samples(Stub([(one, "b"), (one, b"a")]), HALVES, "stub")
    assert named.labels.tolist() == [1, 0]
    own = read_samples(Stub([(one, "cat"), (one, "ant")], classes=None), HALVES, "stub")
    assert (own.class_names, own.labels.tolist()) == (("ant", "cat"), [1, 0])


@pytest.mark.parametrize(
    ("stub", "message"),
    [
        (Stub([(events_at((4, 0, 0, 0)), 0)]), "sample 0 has events outside 4 x 3 pixels"),
        (Stub([(events_at((0, 0, 0, 0)), 2)]), "label 2, expected 0 to 1"),
        (Stub([(events_at((0, 0, 0, 0)), 0.5)]), "sample 0 has no class but float"),
        (Stub([(np.zeros(3), 0)]), "sample 0 is not an array of events"),
        (Stub([(events_at(), 0)]), "sample 0 has no spikes"),
        (Stub([], sensor_size=None), "sensor_size is None"),
    ],
)
def test_what_is_not_a_set_of_labelled_events_is_refused(stub: Stub, message: str) -> None:
    with pytest.raises(InputError, match=f"^stub: {message}"):
        read_samples(stub, HALVES, "stub")


def write_gestures(root: Path) -> None:
    """Write the folders that tonic's DVSGesture unpacks: (n, 4) rows of x, y, p, t in ms."""
    for folder, users in {"ibmGestureTrain": range(1, 11), "ibmGestureTest": range(20, 30)}.items():
        for user in users:
            place = root / "DVSGesture" / folder / f"user{user:02d}_fluorescent"
            place.mkdir(parents=True)
            for label in range(11):
                rows = [[label, user, 0, 100], [127, 127, 1, 350]]
                np.save(place / f"{label}.npy", np.array(rows, np.float64))


def test_gestures_unpacked_by_hand_are_read_with_their_users(tmp_path: Path) -> None:
    write_gestures(tmp_path)
    data = load(
        DataConfig(dataset="tonic:dvsgesture", root=str(tmp_path), num_bins=10, duration=1.0)
    )
    assert data.train.num_channels == 128 * 128 * 2
    assert data.train.num_samples == 110
    assert len(data.train.group_names) == 10
    assert len(data.train.class_names) == 11
    assert data.test is not None
    rows, bins, channels, _ = data.train.batch_events(np.array([0]))
    label, user = int(data.train.labels[0]), int(data.train.group_names[data.train.groups[0]][5:])
    assert rows.tolist() == [0, 0]
    assert bins.tolist() == [0, 2]
    assert channels.tolist() == [label + 128 * user, 128 * 128 * 2 - 1]


def test_speech_placed_by_hand_equals_our_own_reader(tmp_path: Path) -> None:
    for split, labels in {"train": [0, 1, 1, 0], "test": [1, 0]}.items():
        write_classes(tmp_path / "SHD" / f"shd_{split}.h5", labels, 2)
    own = load(DataConfig(dataset="shd", root=str(tmp_path)))
    tonics = load(DataConfig(dataset="tonic:SHD", root=str(tmp_path)))
    assert tonics.test is not None
    assert own.test is not None
    for one, other in ((own.train, tonics.train), (own.test, tonics.test)):
        np.testing.assert_array_equal(one.channels, other.channels)
        np.testing.assert_array_equal(one.bin_offsets, other.bin_offsets)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.groups, other.groups)


def test_missing_files_are_said_and_never_downloaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training files are not in .*NMNIST; run: hpcfed data f"):
        load(DataConfig(dataset="tonic:NMNIST", root=str(tmp_path)))
    write_classes(tmp_path / "SHD" / "shd_train.h5", [0, 1], 2)
    with pytest.raises(InputError, match=r"the test files are not in .*SHD"):
        load(DataConfig(dataset="tonic:SHD", root=str(tmp_path)))


def test_an_unknown_name_gets_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tonic has no such set; did you mean NMNIST"):
        load(DataConfig(dataset="tonic:N-MNIST", root=str(tmp_path)))


def test_the_digest_follows_names_and_bytes(tmp_path: Path) -> None:
    file = write_classes(tmp_path / "SHD" / "shd_train.h5", [0, 1], 2)
    train, test = find_splits("SHD", tmp_path)
    before = train.digest()
    assert test is not None
    assert test.digest() != before
    file.rename(file.with_name("other.h5"))
    assert train.digest() != before
