"""A test taken from the training file: which samples, who trains on them, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shd_files import write_file

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import DataConfig
from hpcfed.config.file import parse_experiment
from hpcfed.datasets import Data, load
from hpcfed.errors import InputError

SPEAKERS = [0, 1, 2, 3, 4, 5, 6] * 6  # seven speakers, six samples each, of two classes
LABELS = [0, 1] * 21


def spoken(folder: Path, labels: list[int] = LABELS, **keys: object) -> Data:
    path = folder / "train.h5"
    if not path.exists():
        write_file(
            path,
            [[0.01, 0.1]] * len(labels),
            [[label, label] for label in labels],
            labels=labels,
            speakers=SPEAKERS[: len(labels)],
            keys=["a", "b", "c"],
        )
    values = {"dataset": str(path), "num_bins": 4, "validation_fraction": 0.0}
    return load(DataConfig.model_validate(values | keys))


def speakers(data: Data, ids: np.ndarray) -> set[int]:
    return set(data.train.groups[ids].tolist())


def test_a_fraction_of_each_class_is_the_test_and_nobody_trains_on_it(tmp_path: Path) -> None:
    data = spoken(tmp_path, test_fraction=0.2, validation_fraction=0.25)
    assert data.test is data.train
    assert np.bincount(data.train.labels[data.test_ids]).tolist() == [4, 4]
    assert len(data.validation_ids) == round(0.25 * (42 - 8))
    parts = np.concatenate([data.train_ids, data.validation_ids, data.test_ids])
    assert sorted(parts.tolist()) == list(range(42))


def test_the_test_follows_from_the_seed_of_splits_and_from_no_other_key(tmp_path: Path) -> None:
    first = spoken(tmp_path, test_fraction=0.2)
    again = spoken(tmp_path, test_fraction=0.2, validation_fraction=0.5, num_bins=8)
    other = spoken(tmp_path, test_fraction=0.2, split_seed=1)
    assert first.test_ids.tolist() == again.test_ids.tolist() != other.test_ids.tolist()
    words = Stream(0, Purpose.TEST_SPLIT).words(42)
    zeros = np.arange(0, 42, 2)
    chosen = sorted(zeros[np.argsort(words[zeros])][:4].tolist())
    assert [i for i in first.test_ids.tolist() if i % 2 == 0] == chosen


def test_every_speaker_is_the_test_of_one_fold(tmp_path: Path) -> None:
    folds = [spoken(tmp_path, folds=3, fold=fold) for fold in range(3)]
    tested = [speakers(data, data.test_ids) for data in folds]
    assert sorted(map(len, tested)) == [2, 2, 3]
    assert sorted(speaker for some in tested for speaker in some) == list(range(7))
    for data, some in zip(folds, tested, strict=True):
        assert speakers(data, data.train_ids) == set(range(7)) - some
        assert len(data.train_ids) + len(data.test_ids) == 42
    order = np.argsort(Stream(0, Purpose.FOLDS).words(7), kind="stable").tolist()
    assert tested == [set(order[fold::3]) for fold in range(3)]


def test_folds_are_of_the_speakers_of_the_chosen_classes(tmp_path: Path) -> None:
    labels = [2 if speaker == 3 else i % 2 for i, speaker in enumerate(SPEAKERS)]
    data = spoken(tmp_path, labels, classes=(0, 1), folds=6, fold=0)
    assert len(speakers(data, data.test_ids)) == 1
    assert 3 not in speakers(data, data.test_ids)
    with pytest.raises(InputError, match=r"data.folds = 7: .* has 6; lower it"):
        spoken(tmp_path, classes=(0, 1), folds=7, fold=0)


def test_unknown_samples_are_those_of_the_folds_speakers(tmp_path: Path) -> None:
    labels = [(0, 1, 2)[i % 3] for i in range(42)]
    data = spoken(tmp_path, labels, classes=(0, 1), folds=7, fold=2)
    assert set(np.array(labels)[data.unknown_ids]) == {2}
    assert speakers(data, data.unknown_ids) == speakers(data, data.test_ids)


def test_a_test_that_comes_with_the_data_stays_unseen_by_folds() -> None:
    data = load(DataConfig(folds=4, fold=0))
    assert data.test is data.train
    assert len(speakers(data, data.test_ids)) == 3
    assert data.stores == (data.train,)


def test_spikes_that_are_cut_are_counted_once(tmp_path: Path) -> None:
    data = spoken(tmp_path, duration=0.05, folds=2, fold=0)
    assert [store.num_cut for store in data.stores] == [42]  # type: ignore[union-attr]


def test_data_with_a_test_have_no_fraction_taken() -> None:
    with pytest.raises(InputError, match=r"spoken-digits has a test of its own; leave"):
        load(DataConfig(test_fraction=0.2))


def test_a_single_sample_of_each_class_is_too_little_for_a_test(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none is left for the test"):
        spoken(tmp_path, [0, 1, 2], test_fraction=0.5)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["data.folds=3"], "folds needs fold"),
        (["data.fold=1"], "folds is absent"),
        (["data.folds=3", "data.fold=3"], "fold = 3, and folds = 3 are numbered 0 to 2"),
        (["data.folds=3", "data.fold=0", "data.test_fraction=0.1"], "give one of them"),
        (["data.dataset=a.h5", "data.test=b.h5", "data.test_fraction=0.1"], "names another"),
        (["data.dataset=a.h5", "data.test=b.h5", "data.folds=2", "data.fold=1"], "names another"),
        (["partition.seed=3"], 'kind = "group" draws nothing'),
    ],
)
def test_combinations_without_meaning_are_refused(keys: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_experiment("", keys)


def test_the_numbers_of_purposes_never_change() -> None:
    """Words of an older version are those of this one: a purpose is added at the end."""
    assert [purpose.value for purpose in Purpose] == list(range(1, len(Purpose) + 1))
    assert (Purpose.TEST_SPLIT, Purpose.FOLDS) == (23, 24)
