"""A window in the middle of a sensor: planes, numbers of channels, and what is left outside."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpcfed.config import DataConfig
from hpcfed.config.file import parse_experiment
from hpcfed.datasets import load
from hpcfed.datasets.checks import find_problem
from hpcfed.datasets.crop import cropped
from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples
from hpcfed.samples.images import ImageSet

PLANE = (2, 5, 6)
BINS = Binning(1.0, 4, counts=True)


def sensor(seed: int = 0, plane: tuple[int, ...] = PLANE, samples: int = 5) -> EventSet:
    """Return random events of a sensor, several of them in one bin and channel."""
    words, size = np.random.default_rng(seed), int(np.prod(plane))
    raw = [(words.uniform(0, 1, 80), words.integers(size, size=80)) for _ in range(samples)]
    labels = np.arange(samples) % 2
    names = (("a", "b"), ("x",))
    made = bin_samples(raw, labels, 0 * labels, binning=BINS, num_channels=size, names=names)
    return replace(made, plane=plane)


def pictures(events: EventSet) -> NDArray[np.float32]:
    """Return all samples as (T, S, P, H, W)."""
    dense = events.dense(np.arange(events.num_samples))
    return dense.reshape(*dense.shape[:2], *events.plane)


@pytest.mark.parametrize(
    ("window", "top", "left"),
    [((3, 4), 1, 1), ((5, 6), 0, 0), ((4, 3), 0, 1), ((1, 1), 2, 2), ((2, 6), 1, 0)],
)
def test_a_window_is_a_slice_of_the_picture(window: tuple[int, int], top: int, left: int) -> None:
    events = sensor()
    found = cropped(events, window, "stub")
    expected = pictures(events)[..., top : top + window[0], left : left + window[1]]
    assert found.plane == (2, *window)
    assert found.num_channels == 2 * window[0] * window[1]
    np.testing.assert_array_equal(pictures(found), expected)
    assert expected.max() > 1
    assert find_problem(found) is None
    assert found.num_spikes.sum() == expected.sum()


def test_the_channels_of_a_window_by_hand() -> None:
    # three rows of three, and one pixel of each polarity in their middle
    raw = [
        (np.array([0.1, 0.2, 0.6, 0.7]), np.array([4, 0, 13, 4])),
        (np.array([0.3]), np.array([8])),
    ]
    made = bin_samples(
        raw, [0, 1], [0, 0], binning=Binning(1.0, 2), num_channels=18, names=(("a", "b"), ("x",))
    )
    found = cropped(replace(made, plane=(2, 3, 3)), (1, 1), "stub")
    assert found.channels.tolist() == [0, 0, 1]
    assert found.bin_offsets.tolist() == [[0, 1, 3], [0, 0, 0]]
    assert found.sample_offsets.tolist() == [0, 3, 3]
    assert found.counts is None


def test_channels_of_a_window_need_no_more_bytes_than_they_must() -> None:
    large = sensor(plane=(2, 200, 200), samples=2)
    assert large.channels.dtype == np.uint32
    assert cropped(large, (150, 150), "stub").channels.dtype == np.uint16
    assert cropped(large, (199, 200), "stub").channels.dtype == np.uint32


def test_nothing_may_be_left_of_any_sample() -> None:
    events = sensor()
    alone = replace(events, channels=np.zeros_like(events.channels))
    found = cropped(alone, (1, 1), "stub")
    assert found.num_events.tolist() == [0] * 5
    assert find_problem(found) is None


def given(monkeypatch: pytest.MonkeyPatch, *splits: Any, **keys: Any) -> Any:
    """Load what a user's own function gives."""
    module = SimpleNamespace(load=lambda _: splits)
    monkeypatch.setitem(sys.modules, "own_sensor", module)
    return load(
        DataConfig.model_validate(
            {"dataset": "own_sensor:load", "num_bins": 4, "counts": True} | keys
        )
    )


def test_both_splits_are_cropped_and_the_digest_is_of_what_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, test = sensor(0), sensor(1)
    whole = given(monkeypatch, train, test)
    small = given(monkeypatch, train, test, crop=[3, 4])
    assert whole.train.shape == PLANE
    assert small.digest == whole.digest
    assert small.train_ids.tolist() == whole.train_ids.tolist()
    for found, of in ((small.train, train), (small.test, test)):
        assert found.shape == (2, 3, 4)
        np.testing.assert_array_equal(pictures(found), pictures(of)[..., 1:4, 1:5])
    assert given(monkeypatch, train, None, crop=[3, 4]).test is None
    chosen = given(monkeypatch, train, test, crop=[3, 4], classes=[1, 0])
    assert chosen.train.labels.tolist() == [1, 0, 1, 0, 1]


def test_a_window_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for window in ([6, 6], [5, 7]):
        message = rf"crop = \[{window[0]}, {window[1]}\]: the sensor of own_sensor:load has 5 rows "
        with pytest.raises(InputError, match=message + r"and 6 columns; give at most \[5, 6\]"):
            given(monkeypatch, sensor(), None, crop=window)


def test_what_is_no_sensor_has_no_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"spoken-digits has 700 channels without rows and col"):
        load(DataConfig(crop=(3, 3)))
    pixels, labels = np.zeros((2, 1, 4, 4), np.uint8), np.array([0, 1])
    images = ImageSet(pixels, labels, 0 * labels, ("a", "b"), ("x",))
    with pytest.raises(InputError, match=r"own_sensor:load gave images; leave it out"):
        given(monkeypatch, images, None, crop=[3, 3], counts=False)
    with pytest.raises(InputError, match="crop is for events, and digits are images"):
        parse_experiment("", ["data.dataset=digits", "data.crop=[3, 3]"])


@pytest.mark.parametrize("value", ["3", "[3]", "[3, 0]", "[3, 3, 3]", "[2.5, 3]"])
def test_a_window_is_two_whole_numbers(value: str) -> None:
    with pytest.raises(InputError, match=r"data\.crop"):
        parse_experiment("", [f"data.crop={value}"])


def test_splits_of_different_sensors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"a sensor of \(2, 6, 5\), the network expects .*\(2, 5"):
        given(monkeypatch, sensor(), sensor(1, (2, 6, 5)))
    with pytest.raises(InputError, match="channels without a sensor, the network expects a sensor"):
        given(monkeypatch, sensor(), replace(sensor(), plane=()))


def test_a_plane_of_another_size_than_the_channels_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match=r"plane \(2, 5, 5\) and 60 channels; expected polarity"):
        given(monkeypatch, replace(sensor(), plane=(2, 5, 5)), None)
