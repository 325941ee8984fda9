"""tonic's event data sets from a folder on disk, flattened by hand; nothing is downloaded."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from shd_files import write_classes

from hpcfed.config import DataConfig
from hpcfed.datasets import load
from hpcfed.datasets.tonic_sets import find_splits, read_samples
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning

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
    assert events.plane == (2, 3, 4)
    assert events.class_names == ("a", "b")
    assert events.group_names == ("all",)


def test_pixel_times_count_from_the_first_event_and_sound_from_zero() -> None:
    sample = events_at((0, 0, 5_600_000, 0), (1, 0, 5_700_000, 0))
    assert read_samples(Stub([(sample, 0)]), HALVES, "stub").num_cut == 0
    sound = Stub([(events_at((0, 0, 600_000, 1)), 0)], sensor_size=(4, 1, 1))
    heard = read_samples(sound, HALVES, "stub")
    assert heard.bin_offsets.tolist() == [[0, 0, 1]]
    assert (heard.plane, heard.shape) == ((), (4,))


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
    with pytest.raises(InputError, match=r"no file shd_test.h5; looked for .*SHD"):
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


# --- every set of labelled events, from a tiny folder of its layout ------------------------------


def pixels(path: Path, rows: NDArray[np.int64]) -> None:
    """Write x, y, polarity and microseconds (n, 4) as N-MNIST has them: five bytes an event."""
    x, y, p, t = rows.T
    packed = np.stack([x, y, (p << 7) | (t >> 16), (t >> 8) & 255, t & 255], 1)
    path.write_bytes(packed.astype(np.uint8).tobytes())


def two_events(number: int) -> NDArray[np.int64]:
    return np.array([[number, 1, 1, 0], [2, number, 0, 100_000 + number]])


def write_asl(folder: Path, name: str, number: int) -> None:
    from scipy.io import savemat

    x, y, p, t = two_events(number).T
    path = folder / "ab"[number % 2] / f"{name}.mat"
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"ts": t, "x": x, "y": y, "pol": p})
    with path.open("r+b") as stream:  # the header says when, and copies must not differ by that
        stream.write(b"MATLAB 5.0 MAT-file".ljust(116))


def write_lips(folder: Path, name: str, number: int) -> None:
    rows = two_events(number)
    kind = np.dtype([("t", "<i4"), ("x", "i1"), ("y", "i1"), ("p", "i1")])
    sample = np.array([(t, x, y, p) for x, y, p, t in rows.tolist()], kind)
    for split in ("train", "test"):
        path = folder / "DVS-Lip" / split / ("accused", "action")[number % 2] / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, sample)


def write_saccades(folder: Path, name: str, number: int) -> None:
    for split in ("Train", "Test"):
        path = folder / split / str(number % 2) / f"{name}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels(path, two_events(number))


def write_caltech(folder: Path, name: str, number: int) -> None:
    path = folder / "Caltech101" / ("ant", "bass")[number % 2] / f"{name}.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels(path, two_events(number))


def write_poker(folder: Path, name: str, number: int) -> None:
    for split in ("pips_train", "pips_test"):
        path = folder / split / ("cl", "he")[number % 2] / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, two_events(number)[:, [3, 0, 1, 2]])


def write_cifar(folder: Path, name: str, number: int) -> None:
    path = folder / ("airplane", "bird")[number % 2] / f"{name}.aedat4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes([number]))


def write_gesture(folder: Path, name: str, number: int) -> None:
    for split in ("ibmGestureTrain", "ibmGestureTest"):
        path = folder / split / f"user{number:02d}_{name}" / f"{number % 2}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, two_events(number) * [1.0, 1.0, 1.0, 1e-3])


WRITERS = {
    "ASLDVS": write_asl,
    "CIFAR10DVS": write_cifar,
    "DVSGesture": write_gesture,
    "DVSLip": write_lips,
    "NCALTECH101": write_caltech,
    "NMNIST": write_saccades,
    "POKERDVS": write_poker,
}
FILES = {"delta": 3, "alpha": 1, "echo": 4, "charlie": 2, "bravo": 6}


class Decoder:
    """What the package aedat gives of a file whose only byte is a number."""

    def __init__(self, path: str) -> None:
        self._number = Path(path).read_bytes()[0]

    def id_to_stream(self) -> dict[int, dict[str, str]]:
        """Return the streams."""
        return {0: {"type": "events"}}

    def __iter__(self):
        kind = [("t", "u8"), ("x", "u2"), ("y", "u2"), ("on", "?")]
        rows = [(t, x, y, bool(p)) for x, y, p, t in two_events(self._number).tolist()]
        yield {"stream_id": 0, "events": np.array(rows, kind)}


@pytest.fixture
def any_number_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tonic believe in sets of a few files, and in a reader of aedat4."""
    import tonic.dataset

    check = "_folder_contains_at_least_n_files_of_type"
    monkeypatch.setattr(tonic.dataset.Dataset, check, lambda *_: True)
    monkeypatch.setitem(sys.modules, "aedat", SimpleNamespace(Decoder=Decoder))


def read_copy(root: Path, name: str, names: list[str]):
    for file in names:
        WRITERS[name](root / name, file, FILES[file])
    return load(
        DataConfig(dataset=f"tonic:{name}", root=str(root), num_bins=10, validation_fraction=0.2)
    )


@pytest.mark.usefixtures("any_number_of_files")
@pytest.mark.parametrize("name", WRITERS)
def test_copies_of_a_set_made_in_opposite_orders_are_the_same_samples(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.walk
    both = []
    for turn in ("forwards", "backwards"):
        if turn == "backwards":  # whatever a file system would do
            monkeypatch.setattr(os, "walk", lambda top: backwards(listed, top))
            monkeypatch.setattr(os, "listdir", lambda top: sorted(names_in(top), reverse=True))
        monkeypatch.setenv("HPCFED_CACHE", str(tmp_path / turn / "cache"))
        both.append(read_copy(tmp_path / turn, name, sorted(FILES, reverse=turn == "backwards")))
    first, second = both
    assert first.digest == second.digest
    assert first.train.labels.tolist() == second.train.labels.tolist()
    assert set(first.train.labels.tolist()) == {0, 1} or name == "CIFAR10DVS"
    assert first.train.channels.tolist() == second.train.channels.tolist()
    assert first.train.bin_offsets.tolist() == second.train.bin_offsets.tolist()
    assert first.train.groups.tolist() == second.train.groups.tolist()
    assert first.validation_ids.tolist() == second.validation_ids.tolist()
    assert first.train.num_samples == 5
    assert first.train.num_events.tolist() == [2] * 5


@pytest.mark.usefixtures("any_number_of_files")
def test_saccades_come_as_a_plane_and_a_crop_is_its_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HPCFED_CACHE", str(tmp_path / "cache"))
    rows = [(0, 0, 1, 0), (4, 29, 0, 10), (29, 4, 1, 60_000), (30, 4, 1, 70_000), (33, 33, 0, 99)]
    for split in ("Train", "Test"):
        for label in ("0", "1"):
            path = tmp_path / "NMNIST" / split / label / "one.bin"
            path.parent.mkdir(parents=True)
            pixels(path, np.array(rows))
    keys = {"dataset": "tonic:NMNIST", "root": str(tmp_path), "num_bins": 2, "duration": 0.1}
    for _ in ("read", "from the cache"):
        whole = load(DataConfig.model_validate(keys))
        small = load(DataConfig.model_validate(keys | {"crop": [26, 26]}))
        assert whole.test is not None
        assert small.test is not None
        assert (whole.train.shape, whole.test.shape) == ((2, 34, 34), (2, 34, 34))
        assert whole.train.num_events.tolist() == [5, 5]
        # four pixels are left out on each side: rows and columns 4 to 29 are 0 to 25
        for events in (small.train, small.test):
            assert (events.plane, events.num_channels) == ((2, 26, 26), 1352)
            assert events.channels.tolist() == [0 + 26 * 25, 25 + 26 * (0 + 26)] * 2
            assert events.bin_offsets.tolist() == [[0, 1, 2]] * 2
        assert small.digest == whole.digest


def names_in(folder: str) -> list[str]:
    return [entry.name for entry in os.scandir(folder)]


def backwards(listed, top):
    for path, folders, files in listed(top):
        folders.sort(reverse=True)
        yield path, folders, sorted(files, reverse=True)


@pytest.mark.usefixtures("any_number_of_files")
def test_a_reader_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aedat", None)
    with pytest.raises(InputError, match=r"CIFAR10DVS.* needs the package aedat"):
        read_copy(tmp_path, "CIFAR10DVS", list(FILES))


def test_digits_on_one_line_of_pixels_are_read_from_their_own_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("t10k", 2)):
        folder = tmp_path / "smnist"
        folder.mkdir(exist_ok=True)
        images = rng.integers(0, 255, (count, 784)).astype(np.uint8)
        head = np.array([2051, count, 28, 28], ">u4").tobytes()
        (folder / f"{split}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = np.array([2049, count], ">u4").tobytes()
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(head + bytes(range(count)))
    data = load(DataConfig(dataset="tonic:SMNIST", root=str(tmp_path), duration=1.6))
    assert data.train.num_channels == 99
    assert data.train.labels.tolist() == [0, 1, 2, 3]


def test_cochlea_digits_are_read_from_their_file(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "NTIDIGITS18" / "n-tidigits.hdf5"
    path.parent.mkdir()
    names = [b"ac-1", b"ac-z", b"bd-12", b"bd-o"]
    with h5py.File(path, "w") as file:
        for split in ("train", "test"):
            file[f"{split}_labels"] = np.array(names, "S")
            for number, name in enumerate(names):
                file[f"{split}_addresses/{name.decode()}"] = np.array([number, 3])
                file[f"{split}_timestamps/{name.decode()}"] = np.array([0.0, 0.5])
    data = load(DataConfig(dataset="tonic:NTIDIGITS18", root=str(tmp_path), num_bins=10))
    assert data.train.labels.tolist() == [1, 10, 0]
    assert data.train.bin_offsets[0].tolist() == [0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]


@pytest.mark.usefixtures("any_number_of_files")
def test_lips_that_are_not_there_are_said(tmp_path: Path) -> None:
    (tmp_path / "DVSLip").mkdir()
    with pytest.raises(InputError, match="training files are not in"):
        load(DataConfig(dataset="tonic:DVSLip", root=str(tmp_path)))


@pytest.mark.parametrize("num_bins", [50, 100, 1000])
@pytest.mark.parametrize("duration", [0.7, 1.4, 0.3])
def test_microseconds_at_every_edge_of_a_bin_fill_each_bin_once(
    num_bins: int, duration: float
) -> None:
    edges = [-(-k * round(duration * 1e6) // num_bins) for k in range(num_bins)]
    sample = events_at(*((0, 0, edge, 1) for edge in edges))
    sound = Stub([(sample, 0)], sensor_size=(4, 1, 1))
    events = read_samples(sound, Binning(duration, num_bins), "stub")
    assert events.bin_offsets[0].tolist() == list(range(num_bins + 1))
