"""Whatever the spikes: events equal a plain double loop over samples and spikes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples

NUM_CHANNELS = 5
Sample = tuple[list[float], list[int]]


@st.composite
def raw_samples(draw: st.DrawFn) -> list[Sample]:
    spike = st.tuples(st.floats(0, 2.0, width=16), st.integers(0, NUM_CHANNELS - 1))
    samples = draw(st.lists(st.lists(spike, min_size=1, max_size=12), min_size=1, max_size=6))
    return [([t for t, _ in s], [u for _, u in s]) for s in samples]


binnings = st.builds(
    Binning, st.sampled_from([0.5, 1.0, 1.4]), st.integers(1, 9), counts=st.booleans()
)


def events_of(samples: list[Sample], binning: Binning) -> EventSet:
    rows = [(np.array(times), np.array(units)) for times, units in samples]
    zeros = [0] * len(rows)
    names = (("a",), ("all",))
    return bin_samples(rows, zeros, zeros, binning=binning, num_channels=NUM_CHANNELS, names=names)


def plain_dense(samples: list[Sample], binning: Binning) -> np.ndarray:
    """Return (T, S, C) float32 by the definition of a bin, one spike after the other."""
    dense = np.zeros((binning.num_bins, len(samples), NUM_CHANNELS), np.float32)
    for row, (times, units) in enumerate(samples):
        for time, unit in zip(times, units, strict=True):
            if time < binning.duration:
                step = min(int(time * (binning.num_bins / binning.duration)), binning.num_bins - 1)
                dense[step, row, unit] += 1
    return dense if binning.counts else np.minimum(dense, 1)


@given(raw_samples(), binnings, st.data())
def test_a_dense_batch_equals_a_plain_double_loop(
    samples: list[Sample], binning: Binning, data: st.DataObject
) -> None:
    events = events_of(samples, binning)
    ids = np.array(data.draw(st.lists(st.integers(0, len(samples) - 1), max_size=8)), np.int64)
    np.testing.assert_array_equal(events.dense(ids), plain_dense(samples, binning)[:, ids])


@given(raw_samples(), binnings)
def test_every_spike_is_kept_cut_or_merged(samples: list[Sample], binning: Binning) -> None:
    events = events_of(samples, Binning(binning.duration, binning.num_bins, counts=True))
    assert events.counts is not None
    num_spikes = sum(len(times) for times, _ in samples)
    assert int(events.counts.sum()) + events.num_cut == num_spikes


@given(raw_samples(), binnings)
def test_offsets_index_the_events_of_each_bin(samples: list[Sample], binning: Binning) -> None:
    events = events_of(samples, binning)
    dense = plain_dense(samples, binning)
    for sample in range(events.num_samples):
        for step in range(events.num_bins):
            start, stop = events.bin_offsets[sample, step : step + 2]
            first = events.sample_offsets[sample]
            channels = events.channels[first + start : first + stop]
            assert channels.tolist() == np.flatnonzero(dense[step, sample]).tolist()
