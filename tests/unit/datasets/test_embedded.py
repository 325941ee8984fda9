"""The embedded spoken digits: what they hold, new voices in the test, made by the script."""

from __future__ import annotations

import importlib.util
import io
import lzma
import sys
from importlib import resources
from types import ModuleType

import h5py
import numpy as np
import pytest

from tests.places import REPOSITORY

SCRIPT = REPOSITORY / "scripts" / "make_spoken_digits.py"


@pytest.fixture(scope="module")
def splits() -> tuple[h5py.File, h5py.File]:
    folder = resources.files("hpcfed.datasets").joinpath("data")
    train, test = (
        io.BytesIO(lzma.decompress(folder.joinpath(f"spoken-digits-{split}.h5.xz").read_bytes()))
        for split in ("train", "test")
    )
    return h5py.File(train), h5py.File(test)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    pytest.importorskip("espeakng_loader", reason="the wheel espeakng-loader is not installed")
    spec = importlib.util.spec_from_file_location("make_spoken_digits", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def voices(file: h5py.File) -> set[str]:
    names = file["extra/meta_info/name"][()]
    return {names[i].decode().partition("(")[2] for i in file["extra/speaker"][()]}


def test_twenty_classes_with_at_least_twenty_training_samples(
    splits: tuple[h5py.File, h5py.File],
) -> None:
    train, test = splits
    keys = [key.decode() for key in train["extra/keys"]]
    assert (keys[0], keys[9], keys[10], keys[19]) == ("zero", "nine", "null", "neun")
    assert np.bincount(train["labels"], minlength=20).min() >= 20
    assert np.bincount(test["labels"], minlength=20).min() >= 1
    assert test["extra/keys"][()].tolist() == train["extra/keys"][()].tolist()


def test_test_voices_are_voices_of_no_training_speaker(
    splits: tuple[h5py.File, h5py.File],
) -> None:
    train, test = splits
    assert len(voices(test)) >= 3
    assert not voices(train) & voices(test)
    assert not set(train["extra/speaker"]) & set(test["extra/speaker"])


def test_spikes_fit_700_channels_and_one_second(splits: tuple[h5py.File, h5py.File]) -> None:
    for file in splits:
        times, units = np.concatenate(file["spikes/times"]), np.concatenate(file["spikes/units"])
        assert times.dtype == np.float16
        assert 0 <= times.min() <= times.max() < 1.0
        assert units.max() == 699
        assert min(len(row) for row in file["spikes/times"]) > 500


def test_the_data_set_takes_at_most_eight_megabytes() -> None:
    folder = resources.files("hpcfed.datasets").joinpath("data")
    assert sum(len(file.read_bytes()) for file in folder.iterdir()) <= 8_000_000


@pytest.mark.parametrize("sample", [0, 719])
def test_the_script_makes_these_spikes(
    splits: tuple[h5py.File, h5py.File], script: ModuleType, sample: int
) -> None:
    file = splits[0]
    label, index = int(file["labels"][sample]), int(file["extra/speaker"][sample])
    spoken = script.utterance(script.TRAIN[index], label, sample)
    times, units = script.hear_utterance((spoken, sample))
    stored = set(zip(file["spikes/times"][sample], file["spikes/units"][sample], strict=True))
    made = set(zip(times.astype(np.float16), units, strict=True))
    # another processor may round the membrane differently and so move a spike
    assert len(stored ^ made) <= 0.01 * len(stored)
