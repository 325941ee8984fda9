"""From the [data] table to samples: splits, subsets, places and what is said when it goes wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from shd_files import write_classes, write_file

from hpcfed.config import DataConfig
from hpcfed.datasets import Data, load
from hpcfed.datasets.validation import split
from hpcfed.errors import InputError
from hpcfed.samples.events import EventSet

QUARTERS = {"duration": 1.0, "num_bins": 4}


def load_files(train: Path, test: Path | None = None, **keys: object) -> Data:
    values = {"dataset": str(train), "test": None if test is None else str(test)}
    return load(DataConfig.model_validate(QUARTERS | values | keys))


def test_the_embedded_digits_load_with_classes_and_speakers() -> None:
    data = load(DataConfig())
    assert data.train.num_channels == 700
    assert data.train.class_names[:2] + data.train.class_names[10:12] == (
        "zero", "one", "null", "eins"
    )  # fmt: skip
    assert data.test is not None
    assert np.bincount(data.train.labels).min() >= 20
    assert len(data.test_ids) == data.test.num_samples
    train_speakers = {data.train.group_names[g] for g in data.train.groups}
    test_speakers = {data.test.group_names[g] for g in data.test.groups}
    assert not train_speakers & test_speakers
    assert len(test_speakers) >= 3


def test_training_and_validation_cover_the_training_file_once(tmp_path: Path) -> None:
    data = load_files(write_classes(tmp_path / "train.h5", [0, 1] * 20, 2))
    both = np.concatenate([data.train_ids, data.validation_ids])
    assert sorted(both) == list(range(40))
    assert len(data.validation_ids) == 4
    assert data.test is None
    assert data.test_ids.tolist() == []


def test_the_split_is_stratified_and_keeps_a_training_sample() -> None:
    labels = np.repeat([0, 1, 2, 3], [20, 10, 1, 2])
    train, validation = split(labels, 0.5, seed=3)
    assert np.bincount(labels[validation]).tolist() == [10, 5, 0, 1]
    assert np.bincount(labels[train]).tolist() == [10, 5, 1, 1]
    _, nearly_all = split(labels, 0.99, seed=3)
    assert np.bincount(labels[nearly_all]).tolist() == [19, 9, 0, 1]


def test_small_classes_share_the_fraction_by_largest_remainder() -> None:
    labels = np.repeat(np.arange(10), 4)  # 10 % of 40 is 4: one sample of four classes
    _, validation = split(labels, 0.1, seed=0)
    assert np.bincount(labels[validation], minlength=10).tolist() == [1] * 4 + [0] * 6
    assert len(split(labels, 0.001, seed=0)[1]) == 1
    assert len(split(labels, 0.0, seed=0)[1]) == 0


def test_the_split_depends_on_its_own_seed_alone() -> None:
    labels = np.repeat([0, 1], 50)
    first, second = split(labels, 0.2, seed=0)[1], split(labels, 0.2, seed=1)[1]
    assert first.tolist() == split(labels, 0.2, seed=0)[1].tolist()
    assert first.tolist() != second.tolist()


def test_a_subset_of_classes_is_renumbered_in_its_order(tmp_path: Path) -> None:
    train = write_classes(tmp_path / "train.h5", [0, 1, 2, 2, 1, 0], 3)
    test = write_classes(tmp_path / "test.h5", [2, 1, 0], 3)
    data = load_files(train, test, classes=(2, 0), validation_fraction=0.0)
    assert data.train.labels.tolist() == [1, -1, 0, 0, -1, 1]
    assert data.train.class_names == ("class 2", "class 0")
    assert data.train_ids.tolist() == [0, 2, 3, 5]
    assert data.test_ids.tolist() == [0, 2]
    with pytest.raises(InputError, match=r"data.classes: label 5, .* labels 0 to 2"):
        load_files(train, classes=(0, 5))


def test_a_subset_without_test_samples_is_refused(tmp_path: Path) -> None:
    train = write_classes(tmp_path / "train.h5", [0, 1, 2], 3)
    test = write_classes(tmp_path / "test.h5", [0, 0], 3)
    with pytest.raises(InputError, match="no test sample is left"):
        load_files(train, test, classes=(1, 2))


def test_the_digest_follows_the_bytes_of_the_files(tmp_path: Path) -> None:
    train = write_classes(tmp_path / "train.h5", [0, 1], 2)
    other = write_classes(tmp_path / "other.h5", [1, 0], 2)
    copy = tmp_path / "copy.h5"
    copy.write_bytes(train.read_bytes())
    assert load_files(train).digest == load_files(copy).digest
    assert (
        len({load_files(train).digest, load_files(other).digest, load_files(train, other).digest})
        == 3
    )


def test_a_changed_file_is_not_read_from_the_cache(tmp_path: Path) -> None:
    path = write_classes(tmp_path / "train.h5", [0, 1], 2)
    assert load_files(path).train.labels.tolist() == [0, 1]
    write_classes(path, [1, 1], 2)
    assert load_files(path).train.labels.tolist() == [1, 1]


@pytest.mark.parametrize("folder", ["shd", "SHD", "."])
def test_hand_placed_files_are_found(tmp_path: Path, folder: str) -> None:
    write_classes(tmp_path / folder / "shd_train.h5", [0, 1], 2)
    write_classes(tmp_path / folder / "shd_test.h5", [1], 2)
    data = load(DataConfig(dataset="shd", root=str(tmp_path)))
    assert data.test is not None
    assert data.test.labels.tolist() == [1]


def test_the_validation_file_of_ssc_is_its_validation_split(tmp_path: Path) -> None:
    write_classes(tmp_path / "ssc" / "ssc_train.h5", [0, 1, 2], 3)
    write_file(
        tmp_path / "ssc" / "ssc_valid.h5", [[0.3125], [0.5625]], [[5], [6]],
        labels=[2, 0], speakers=[0, 4], keys=["class 0", "class 1", "class 2"],
    )  # fmt: skip
    write_classes(tmp_path / "ssc" / "ssc_test.h5", [1], 3)
    data = load(DataConfig(dataset="ssc", root=str(tmp_path), num_bins=10))
    assert data.train_ids.tolist() == [0, 1, 2]
    assert data.validation_ids.tolist() == [3, 4]
    assert data.train.labels.tolist() == [0, 1, 2, 2, 0]
    assert data.train.groups.tolist() == [0, 1, 0, 0, 2]
    assert data.train.group_names == ("speaker 0", "speaker 1", "speaker 4")
    rows, bins, channels, _ = data.train.batch_events(np.arange(5))
    assert rows.tolist() == [0, 1, 2, 3, 4]
    assert channels.tolist() == [0, 1, 2, 5, 6]
    assert bins.tolist() == [1, 1, 1, 3, 5]
    subset = load(DataConfig(dataset="ssc", root=str(tmp_path), num_bins=10, classes=(1, 2)))
    assert (subset.train_ids.tolist(), subset.validation_ids.tolist()) == ([1, 2], [3])


def test_missing_files_say_what_to_run_and_where_was_looked(tmp_path: Path) -> None:
    config = DataConfig(dataset="shd", root=str(tmp_path))
    with pytest.raises(InputError) as raised:
        load(config)
    for part in ("hpcfed data fetch shd", str(tmp_path / "shd/shd_train.h5"), "data.root"):
        assert part in str(raised.value)
    packed = tmp_path / "SHD" / "shd_train.h5.zip"
    packed.parent.mkdir()
    packed.write_bytes(b"")
    with pytest.raises(InputError, match=r"Unpack .*shd_train.h5.zip"):
        load(config)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(InputError, match='did you mean "spoken-digits"'):
        load(DataConfig(dataset="spoken-digit"))


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.h5: no such file"):
        load_files(tmp_path / "nothing.h5")
    with pytest.raises(InputError, match=r"leave data.test out"):
        load(DataConfig(test="mine.h5"))


def test_a_test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    train = write_classes(tmp_path / "train.h5", [0, 1], 2)
    with h5py.File(train, "a") as file:
        file.attrs["num_channels"] = 140
    wide = write_classes(tmp_path / "wide.h5", [0, 1], 2)
    with pytest.raises(InputError, match=r"wide.h5: 700 channels, the network expects 140"):
        load_files(train, wide)
    train = write_classes(tmp_path / "train.h5", [0, 1], 2)
    more = write_classes(tmp_path / "more.h5", [0, 2], 3)
    with pytest.raises(InputError, match=r"more.h5: label 2, the network knows 2 classes"):
        load_files(train, more)
    other = write_file(tmp_path / "other.h5", keys=("zero", "un"))
    with pytest.raises(InputError, match=r'other.h5: class "zero" stands where .* has "class 0"'):
        load_files(train, other)


def test_labels_that_mean_other_classes_in_the_test_file_are_refused(tmp_path: Path) -> None:
    digits = {"times": [[0.1]] * 2, "units": [[1]] * 2, "labels": [0, 1], "speakers": None}
    train = write_file(tmp_path / "train.h5", **digits, keys=["0", "2"])
    test = write_file(tmp_path / "test.h5", **digits, keys=["0", "1"])
    with pytest.raises(InputError, match=r'class "1" stands where .* has "2"; .*the same classes'):
        load_files(train, test)


@pytest.mark.parametrize("keys", [["zero", "one"], ["zero", "one", "two"], None])
def test_a_test_file_may_name_more_classes_than_it_holds_or_none(
    tmp_path: Path, keys: list[str] | None
) -> None:
    train = write_file(tmp_path / "train.h5")
    assert load_files(train, write_file(tmp_path / "test.h5", keys=keys)).test is not None
    unnamed = write_file(tmp_path / "unnamed.h5", keys=None)
    data = load_files(unnamed, train)
    assert data.test is not None
    assert data.test.class_names == ("label 0", "label 1")


def test_a_narrower_test_file_gets_the_channels_of_the_training_file(tmp_path: Path) -> None:
    wide = write_file(tmp_path / "wide.h5", [[0.1]], [[900]], labels=[0], speakers=None, keys=["a"])
    narrow = write_file(tmp_path / "n.h5", [[0.1]], [[1]], labels=[0], speakers=None, keys=["a"])
    test = load_files(wide, narrow).test
    assert test is not None
    assert test.num_channels == 901


USER_MODULE = """
from dataclasses import replace
import numpy as np
from hpcfed.datasets import binning
from hpcfed.samples.events import bin_samples

def two(config):
    samples = [(np.array([0.1]), np.array([0])), (np.array([0.2]), np.array([1]))]
    keys = dict(binning=binning(config), num_channels=2, names=(("a", "b"), ("all",)))
    return bin_samples(samples, [0, 1], [0, 0], **keys), None

def wrong(config):
    return two(config.model_copy(update={"num_bins": 7}))

def nothing(config):
    return None

def half(config):
    return two(config)[0], 5

def narrow_test(config):
    test = two(config)[0]
    return replace(test, num_channels=5, class_names=("a", "b", "c")), test

def bad_test(config):
    train = two(config)[0]
    return train, replace(train, groups=np.array([0, 1]))

def points(config):
    train = two(config)[0]
    given = {"targets": np.array([0.2, 0.9], np.float32)}
    if config.test == "also coordinates":
        given["coordinates"] = np.array([[0.5], [0.7]], np.float32)
    if config.test == "other targets":
        given["targets"] = np.array([0.3, 0.9], np.float32)
    return replace(train, **given), None

def targets_of_one(config):
    return points(config)[0], two(config)[0]
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_events.py").write_text(USER_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())


@pytest.mark.usefixtures("own_module")
def test_a_dotted_path_is_the_users_own_data_set() -> None:
    data = load(DataConfig(dataset="my_events:two", validation_fraction=0.0))
    assert data.train_ids.tolist() == [0, 1]
    assert data.digest == load(DataConfig(dataset="my_events:two")).digest
    test = load(DataConfig(dataset="my_events:narrow_test")).test
    assert test is not None
    assert (test.num_channels, test.class_names) == (5, ("a", "b", "c"))  # the network's
    for name, message in {
        "my_events:wrong": "training events: 7 bins over 1 s; data.num_bins and data.duration",
        "my_events:nothing": "gave NoneType; expected",
        "my_events:half": "gave EventSet, int; expected",
        "my_events:bad_test": "bad_test, test events: groups from 0 to 1; expected 0 to 0",
        "my_events:absent": "my_events has no function absent",
        "my_event:two": "importing my_event failed",
    }.items():
        with pytest.raises(InputError, match=message):
            load(DataConfig(dataset=name))


@pytest.mark.usefixtures("own_module")
def test_the_digest_covers_targets_and_coordinates_where_they_are_given() -> None:
    without = load(DataConfig(dataset="my_events:two")).digest
    # as it was before samples could bring either: old runs go on
    assert without == "26b9b58fe256798666451b1bc447fd81a0c8fa18dc8c78a2a3d54b1716a4e9fa"
    given = [
        load(DataConfig(dataset="my_events:points", test=test)).digest
        for test in (None, "other targets", "also coordinates")
    ]
    assert len({without, *given}) == 4


@pytest.mark.usefixtures("own_module")
def test_targets_of_one_split_alone_are_refused() -> None:
    with pytest.raises(InputError, match=r"targets_of_one, test samples: no targets, but the oth"):
        load(DataConfig(dataset="my_events:targets_of_one"))


@pytest.mark.usefixtures("own_module")
def test_classes_that_targets_follow_keep_their_order() -> None:
    same = load(DataConfig(dataset="my_events:points", classes=(0, 1))).train
    assert isinstance(same, EventSet)
    assert same.targets is not None
    assert same.targets.tolist() == pytest.approx([0.2, 0.9])
    with pytest.raises(InputError, match=r"data.classes = \[1, 0\]: targets .* own order"):
        load(DataConfig(dataset="my_events:points", classes=(1, 0)))


def test_loading_needs_neither_mpi_nor_torch_and_the_cache_not_even_hdf5() -> None:
    code = (
        "import sys; from hpcfed.config import DataConfig; from hpcfed.datasets import load;"
        "load(DataConfig()); print(*{'torch', 'mpi4py', 'tonic', 'h5py'} & set(sys.modules))"
    )
    load(DataConfig())
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
