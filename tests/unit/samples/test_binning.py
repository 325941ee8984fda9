"""A spike on a bin's edge belongs to the bin that begins there, whatever type its time has."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hpcfed.samples.binning import Binning, bin_numbers

NUM_BINS = [50, 64, 100, 250, 333, 999, 1000, 1400, 2000]
DURATIONS = [0.7, 1.4, 0.3, 1.0, 0.1, 1.37]


def edges(binning: Binning) -> np.ndarray:
    """Return k D / T, each rounded once."""
    exact = (k * binning.exact_duration / binning.num_bins for k in range(binning.num_bins))
    return np.array([float(edge) for edge in exact])


@pytest.mark.parametrize("num_bins", NUM_BINS)
@pytest.mark.parametrize("duration", DURATIONS)
def test_one_spike_at_every_edge_fills_every_bin(num_bins: int, duration: float) -> None:
    binning, numbers = Binning(duration, num_bins), np.arange(num_bins)
    step = duration / num_bins
    times = {
        "rounded once": edges(binning),
        "number times step": numbers * step,
        "number times duration by bins": numbers * duration / num_bins,
        "float32": edges(binning).astype(np.float32),
        "float32 arithmetic": numbers.astype(np.float32) * np.float32(step),
    }
    for name, found in times.items():
        assert bin_numbers(found, binning).tolist() == numbers.tolist(), name


@pytest.mark.parametrize(
    ("num_bins", "duration"), [(100, 1.0), (50, 0.7), (500, 1.4), (1000, 1.0), (1000, 1.4)]
)
def test_float16_fills_every_bin_where_it_can_tell_them_apart(
    num_bins: int, duration: float
) -> None:
    binning = Binning(duration, num_bins)
    times = edges(binning).astype(np.float16)
    assert len(set(times.tolist())) == num_bins
    assert bin_numbers(times, binning).tolist() == list(range(num_bins))


@pytest.mark.parametrize("ticks", [1, 1000, 10**6, 10**9])
@pytest.mark.parametrize("duration", [0.7, 1.4, 0.3, 123.456])
def test_whole_ticks_are_exact(ticks: int, duration: float) -> None:
    binning = Binning(duration, 333)
    rng = np.random.default_rng(0)
    times = rng.integers(0, int(duration * ticks) + 2, 500)
    exact = [
        int(int(t) * Fraction(binning.num_bins) / (Fraction(repr(duration)) * ticks)) for t in times
    ]
    assert bin_numbers(times, binning, ticks).tolist() == exact
    assert bin_numbers(times.astype(np.uint64), binning, ticks).tolist() == exact


def test_ticks_of_any_size_are_late_and_do_not_overflow() -> None:
    late = np.array([0, 2**63 - 1, 2**64 - 1], np.uint64)
    found = bin_numbers(late, Binning(0.123456789012345, 100_000), 10**9)
    assert found[0] == 0
    assert (found[1:] >= 100_000).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_times_between_edges_stay_where_they_are(dtype: type[np.floating]) -> None:
    binning = Binning(1.0, 64)
    middles = ((np.arange(64) + 0.5) / 64).astype(dtype)
    assert bin_numbers(middles, binning).tolist() == list(range(64))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_time_that_is_clearly_before_an_edge_is_in_the_bin_before(
    dtype: type[np.floating],
) -> None:
    times = (np.arange(1, 100) / 100).astype(dtype) * (1 - 100 * np.finfo(dtype).eps)
    assert bin_numbers(times.astype(dtype), Binning(1.0, 100)).tolist() == list(range(99))


def test_the_end_of_the_duration_is_no_bin() -> None:
    for times in (np.array([0.7]), np.array([0.7], np.float32), np.array([0.7], np.float16)):
        assert bin_numbers(times, Binning(0.7, 100)).tolist() == [100]
    assert bin_numbers(np.array([700_000]), Binning(0.7, 100), 10**6).tolist() == [100]
    assert bin_numbers(np.array([699_999]), Binning(0.7, 100), 10**6).tolist() == [99]


@pytest.mark.parametrize("times", [[-0.1], [-1], [np.nan], [np.inf]])
def test_times_that_are_none_are_refused(times: list[float]) -> None:
    with pytest.raises(ValueError, match="spike time"):
        bin_numbers(np.array(times), Binning(1.0, 10), 10)
