"""Generated classes that differ in timing alone: chances, words, and what tells them apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream, threshold
from hpcfed.config import DataConfig
from hpcfed.datasets import Data, load
from hpcfed.datasets.checks import find_problem
from hpcfed.datasets.generated import bump_probability, moments
from hpcfed.errors import InputError
from hpcfed.samples.events import EventSet

F64 = NDArray[np.float64]
ROUNDS = {"train": 0, "test": 1, "times": 5}


def made(num_bins: int = 60, **generated: Any) -> Data:
    values = {"dataset": "timing", "num_bins": num_bins, "generated": generated}
    return load(DataConfig.model_validate(values))


def parts_of(data: Data) -> tuple[EventSet, EventSet]:
    assert isinstance(data.train, EventSet)
    assert isinstance(data.test, EventSet)
    return data.train, data.test


def spikes(events: EventSet) -> F64:
    """Return the spikes of all samples, (S, T, C)."""
    return events.dense(np.arange(events.num_samples)).transpose(1, 0, 2).astype(np.float64)


def chance(moment: float, place: int, num_bins: int, noise: float = 0.02) -> float:
    """Return how probable a spike is in bin ``place``, the plain way: bumps of all windows."""
    z = (place + 0.5) / num_bins
    away = min(abs(z - moment + turn) for turn in (-1, 0, 1))
    return (noise + 0.3 * math.exp(-((away * 60) ** 2) / (2 * 4**2))) * 60 / num_bins


def test_the_chances_of_a_channel_by_hand() -> None:
    # the moment is the centre of bin 30 of 60; four bins away is one deviation
    found = bump_probability(np.array([[30.5 / 60]]), 60, 0.02)[0, :, 0]
    assert found[30] == pytest.approx(0.32)
    assert found[[26, 34]] == pytest.approx([0.02 + 0.3 * math.exp(-0.5)] * 2)
    assert found[[22, 38]] == pytest.approx([0.02 + 0.3 * math.exp(-2)] * 2)
    assert found[[0, 59]] == pytest.approx([0.02, 0.02])


def test_a_bump_past_an_edge_goes_on_at_the_other() -> None:
    found = bump_probability(np.array([[59.5 / 60]]), 60, 0.0)[0, :, 0]
    assert found[59] == pytest.approx(0.3)
    assert found[[55, 3]] == pytest.approx([0.3 * math.exp(-0.5)] * 2)
    assert found[30] < 1e-11


@pytest.mark.parametrize("num_bins", [20, 60, 100])
def test_each_channel_is_expected_to_spike_as_often_in_both_classes(num_bins: int) -> None:
    for seed in range(5):
        chances = bump_probability(moments(seed, 200), num_bins, 0.02)
        assert chances.max() <= 1
        expected = 60 * 0.02 + 0.3 * 4 * math.sqrt(2 * math.pi)
        assert abs(chances.sum(axis=1) - expected).max() < 1e-3
        assert abs(np.diff(chances.sum(axis=(1, 2)))).max() < 1e-3


def test_moments_are_of_the_whole_window_and_of_channel_and_class() -> None:
    found = moments(3, 2000)
    words = Stream(3, Purpose.GENERATED_DATA, ROUNDS["times"]).words(4000).astype(np.float64)
    for channel, label in ((0, 0), (0, 1), (1, 0), (1999, 1)):
        assert found[label, channel] == (words[2 * channel + label] + 0.5) / 2**32
    assert np.histogram(found, 10, (0, 1))[0].min() > 400 - 5 * math.sqrt(360)
    assert abs(np.corrcoef(found)[0, 1]) < 0.1
    assert moments(3, 5).tolist() == found[:, :5].tolist()


@pytest.mark.parametrize("seed", [0, 2**33 + 7])
def test_a_spike_is_a_word_below_its_threshold(seed: int) -> None:
    num_bins, channels = 24, 3
    centres = moments(seed, channels)
    for name, part in zip(("train", "test"), parts_of(made(num_bins, seed=seed, neurons=channels)),
                          strict=True):  # fmt: skip
        found = spikes(part)
        for sample in range(0, part.num_samples, 37):
            stream = Stream(seed, Purpose.GENERATED_DATA, ROUNDS[name], client=sample)
            words = stream.words(num_bins * channels).astype(np.int64).reshape(num_bins, channels)
            limits = np.array(
                [[threshold(chance(m, t, num_bins)) for m in centres[sample % 2]]
                 for t in range(num_bins)]
            )  # fmt: skip
            clear = abs(words - limits) > 4  # the last bits of exp may differ
            assert clear.mean() > 0.95
            assert (found[sample] == (words < limits))[clear].all()


def test_sizes_names_and_shapes() -> None:
    data = made()
    assert data.probe is None
    for part in parts_of(data):
        assert (part.num_samples, part.num_channels, part.num_bins) == (400, 60, 60)
        assert part.labels.tolist() == [0, 1] * 200
        assert (part.class_names, part.group_names) == (("0", "1"), ("generated",))
        assert (part.targets, part.coordinates, part.plane) == (None, None, ())
        assert part.channels.dtype == np.uint16
        assert find_problem(part) is None
    few = made(samples=5, test_samples=3, neurons=4)
    assert [part.labels.tolist() for part in parts_of(few)] == [[0, 1, 0, 1, 0], [0, 1, 0]]
    assert few.train.shape == (4,)


def test_counts_are_chance_and_times_tell_the_classes() -> None:
    regression = pytest.importorskip("sklearn.linear_model").LogisticRegression
    for seed in range(3):
        train, test = parts_of(made(seed=seed))
        inputs = [spikes(part) for part in (train, test)]
        counts = [found.sum(axis=1) for found in inputs]
        fitted = regression(max_iter=2000).fit(counts[0], train.labels)
        assert fitted.score(counts[1], test.labels) <= 0.6
        places = [found.reshape(len(found), -1) for found in inputs]
        fitted = regression(max_iter=2000).fit(places[0], train.labels)
        assert fitted.score(places[1], test.labels) > 0.9


@pytest.mark.parametrize("num_bins", [20, 60])
def test_channels_spike_as_often_as_expected_whatever_the_bins(num_bins: int) -> None:
    train, _ = parts_of(made(num_bins, samples=2000, test_samples=1))
    expected = 60 * 0.02 + 0.3 * 4 * math.sqrt(2 * math.pi)
    for label in (0, 1):
        mean = spikes(train)[label::2].sum(axis=1).mean(axis=0)
        assert abs(mean - expected).max() < 5 * math.sqrt(expected / 1000)


def test_a_seed_gives_the_same_set_again_and_another_seed_another() -> None:
    first, again, other = made(), made(), made(seed=1)
    assert first.digest == again.digest
    assert first.digest != other.digest
    for one, same, different in zip(*map(parts_of, (first, again, other)), strict=True):
        assert one.channels.tobytes() == same.channels.tobytes()
        assert one.channels.tobytes() != different.channels.tobytes()
    assert moments(0, 60).tolist() != moments(1, 60).tolist()


def test_training_and_test_share_times_but_no_spikes() -> None:
    train, test = (spikes(part) for part in parts_of(made(samples=400, test_samples=400)))
    assert (train != test).any(axis=(1, 2)).all()
    for label in (0, 1):
        early, late = (found[label::2].mean(axis=0) for found in (train, test))
        assert np.corrcoef(early.ravel(), late.ravel())[0, 1] > 0.8


def test_more_samples_leave_earlier_spikes_as_they_are() -> None:
    few, many = (spikes(parts_of(made(samples=count))[0]) for count in (4, 9))
    assert (few == many[:4]).all()


def test_the_digest_follows_every_number_and_what_is_left_out_is_the_default() -> None:
    told = {"seed": 0, "samples": 400, "test_samples": 400, "noise": 0.02, "neurons": 60}
    changes = [{"seed": 1}, {"samples": 401}, {"test_samples": 4}, {"noise": 0.1}, {"neurons": 5}]
    assert made(**told).digest == made().digest
    digests = [made(**(told | change)).digest for change in ({}, *changes)]
    assert len({*digests, made(61).digest}) == 7


def test_too_few_bins_for_the_probabilities_are_refused() -> None:
    assert made(20).train.num_samples == 400
    with pytest.raises(InputError, match=r"num_bins = 19: .* 0.02 timing needs at least 20 bins"):
        made(19)
    assert made(18, noise=0.0).train.num_samples == 400
    with pytest.raises(InputError, match="needs at least 18 bins"):
        made(17, noise=0.0)
    with pytest.raises(InputError, match=r"needs at least 78 bins .* or less noise"):
        made(60, noise=1.0)
    with pytest.raises(InputError, match=r"counts = true: .* neuron of timing"):
        load(DataConfig(dataset="timing", counts=True))
