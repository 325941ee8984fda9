"""Binning and batches of events, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcfed.errors import InputError
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_sample, bin_samples

QUARTERS = Binning(1.0, 4)


def tiny(binning: Binning = QUARTERS, num_channels: int = 3) -> EventSet:
    samples = [
        (np.array([0.9, 0.1, 0.1, 0.2]), np.array([0, 2, 2, 1])),
        (np.array([0.5]), np.array([1])),
    ]
    names = (("a", "b"), ("all",))
    return bin_samples(
        samples, [0, 1], [0, 0], binning=binning, num_channels=num_channels, names=names
    )


def test_events_are_sorted_by_sample_bin_and_channel() -> None:
    events = tiny()
    assert events.channels.tolist() == [1, 2, 0, 1]
    assert events.bin_offsets.tolist() == [[0, 2, 2, 2, 3], [0, 0, 0, 1, 1]]
    assert events.sample_offsets.tolist() == [0, 3, 4]
    assert (events.num_samples, events.num_bins, events.num_events.tolist()) == (2, 4, [3, 1])


def test_a_batch_follows_the_order_of_its_ids() -> None:
    rows, bins, channels, values = tiny().batch_events(np.array([1, 0, 1]))
    assert rows.tolist() == [0, 1, 1, 1, 2]
    assert bins.tolist() == [2, 0, 0, 3, 2]
    assert channels.tolist() == [1, 1, 2, 0, 1]
    assert values.tolist() == [1.0] * 5
    assert values.dtype == np.float32


def test_counts_are_the_values_of_a_batch() -> None:
    counted = tiny(Binning(1.0, 4, counts=True))
    assert counted.batch_events(np.array([0]))[3].tolist() == [1.0, 2.0, 1.0]
    assert counted.dense(np.array([0]))[0, 0].tolist() == [0.0, 1.0, 2.0]


def test_dense_puts_time_first() -> None:
    dense = tiny().dense(np.array([0, 1]))
    assert dense.shape == (4, 2, 3)
    assert np.argwhere(dense).tolist() == [[0, 0, 1], [0, 0, 2], [2, 1, 1], [3, 0, 0]]


def test_an_empty_batch_is_empty() -> None:
    nobody = np.empty(0, np.int64)
    assert tiny().dense(nobody).shape == (4, 0, 3)


def test_the_right_edge_is_cut_and_the_left_edge_belongs_to_its_bin() -> None:
    offsets, _, _, num_cut = bin_sample(
        np.array([0.0, 0.25, 0.5, 0.75, 1.0]), np.zeros(5, int), QUARTERS
    )
    assert np.diff(offsets).tolist() == [1, 1, 1, 1]
    assert num_cut == 1


def test_the_last_instant_before_duration_is_in_the_last_bin() -> None:
    duration = 1.4
    offsets, *_ = bin_sample(
        np.array([duration * (1 - 1e-12)]), np.zeros(1, int), Binning(duration, 100)
    )
    assert offsets[-2:].tolist() == [0, 1]


def test_float16_seconds_do_not_overflow() -> None:
    late = np.array([1.3], np.float16)
    offsets, *_ = bin_sample(late, np.zeros(1, np.uint16), Binning(1.4, 100_000))
    assert np.flatnonzero(np.diff(offsets)).tolist() == [int(float(late[0]) * 100_000 / 1.4)]


def test_channels_take_two_bytes_until_they_cannot() -> None:
    assert tiny(num_channels=1 << 16).channels.dtype == np.uint16
    assert tiny(num_channels=(1 << 16) + 1).channels.dtype == np.uint32


def test_a_count_beyond_uint16_stays_at_its_largest() -> None:
    num_spikes = 70_000
    _, _, counts, _ = bin_sample(np.zeros(num_spikes), np.zeros(num_spikes, int), QUARTERS)
    assert counts.tolist() == [65_535]


@pytest.mark.parametrize(
    ("times", "units", "message"),
    [
        ([0.1, np.nan], [0, 0], "sample 1 has spike times that are not finite"),
        ([0.1, -0.2], [0, 0], r"sample 1 has a negative spike time \(-0.2 s\)"),
        ([0.1], [3], "sample 1 has channel 3, the data set has channels 0 to 2"),
        ([0.1], [-3], "sample 1 has channel -3, the data set has channels 0 to 2"),
        ([0.1], [0, 1], "sample 1 has 1 spike times but 2 channels"),
        ([], [], "sample 1 has no spikes at all"),
    ],
)
def test_a_wrong_sample_is_numbered(times: list[float], units: list[int], message: str) -> None:
    good = (np.array([0.1]), np.array([0]))
    samples = [good, (np.array(times), np.array(units, np.int64))]
    with pytest.raises(InputError, match=message):
        bin_samples(
            samples, [0, 0], [0, 0], binning=QUARTERS, num_channels=3, names=(("a",), ("all",))
        )


def test_no_samples_make_an_empty_set() -> None:
    events = bin_samples([], [], [], binning=QUARTERS, num_channels=3, names=((), ()))
    assert (events.num_samples, events.num_bins, len(events.channels)) == (0, 4, 0)


def test_an_event_set_is_frozen() -> None:
    events = tiny()
    with pytest.raises(AttributeError):
        events.num_channels = 5  # type: ignore[misc]
    assert replace(events, num_channels=5).num_channels == 5


def test_the_input_rate_counts_every_spike() -> None:
    samples = np.array([0, 1])
    assert tiny().input_rate(samples) == 4 / (2 * 4 * 3)
    counted = tiny(Binning(1.0, 4, counts=True))
    assert counted.num_spikes.tolist() == [4, 1]
    assert counted.input_rate(samples) == 5 / (2 * 4 * 3)
