"""Compiled passes against the same in NumPy: which entries a mask lets through, and their sums."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.base import philox
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.federation.uplink import fused
from hpcfed.federation.uplink.entries import Drawn, taken
from hpcfed.federation.uplink.exact import Totals, grid

SIZES = [1, 3, 2047, 2048, 2049, 5000]  # a chunk holds 2048 words, a block 4


def drawn(size: int, p: float) -> Drawn:
    return Drawn(Stream(2**64 - 3, Purpose.MASK, 7, 5), round(p * 2**32), size)


def update(size: int) -> np.ndarray:
    return np.sin(np.arange(size)).astype(np.float32)


@pytest.mark.parametrize("seed", [0, 5, 2**32, 2**64 - 1])
@pytest.mark.parametrize("start", [0, 1, 3, 4, 4 * (1 << 13) - 2])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 70])
def test_compiled_words_are_those_of_the_stream(seed: int, start: int, count: int) -> None:
    address = seed, Purpose.AUGMENTATION, 2, 2**32 - 2
    words = philox.CompiledStream(*address).words(count, start)
    assert words.dtype == np.uint32
    assert words.tolist() == Stream(*address).words(count, start).tolist()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_mask_takes_the_entries_whose_word_reaches_the_limit(size: int, p: float) -> None:
    mask = drawn(size, p)
    words = mask.stream.words(size)
    expected = update(size)[words >= np.uint64(mask.limit)]
    assert taken(update(size), mask).tolist() == expected.tolist()
    assert update(size)[mask].tolist() == expected.tolist()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("p", [0.0, 0.5, 0.9, 1.0])
def test_values_are_added_where_they_were_taken(size: int, p: float) -> None:
    mask, lattice = drawn(size, p), grid(np.array([3, 4]))
    values = taken(update(size), mask)
    totals = Totals.zeros(size, per_entry=True)
    for _ in range(2):
        totals.add(mask, values, lattice.scale(3), 3)
    sums, arrived = np.zeros(size, np.int64), np.zeros(size, np.int64)
    sums[np.asarray(mask)] = 2 * lattice.integers(values, 3)
    arrived[np.asarray(mask)] = 6
    assert totals.sums.tolist() == sums.tolist()
    assert totals.arrived is not None
    assert totals.arrived.tolist() == arrived.tolist()


@pytest.mark.parametrize("entries", [slice(None), np.arange(5000)], ids=["all", "listed"])
def test_other_entries_are_added_as_numpy_adds_them(entries: slice | np.ndarray) -> None:
    lattice, totals = grid(np.array([1, 10**6])), Totals.zeros(5000, per_entry=False)
    values = 4000 * update(5000)
    totals.add(entries, values, lattice.scale(10**6, 0.7), 10**6)
    assert totals.sums.tolist() == lattice.integers(values, 10**6, 0.7).tolist()


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_message_of_another_length_than_its_mask_is_refused(difference: int) -> None:
    mask = drawn(5000, 0.5)
    values = np.zeros(taken(update(5000), mask).size + difference, np.float32)
    with pytest.raises(ValueError, match="than the message holds"):
        Totals.zeros(5000, per_entry=False).add(mask, values, 1.0, 1)


def test_the_norm_is_that_of_the_values_in_float64() -> None:
    assert fused.norm(np.array([3, 4], np.float32)) == 5
    assert fused.norm(np.zeros(0, np.float32)) == 0
    exactly = float(np.sqrt(np.square(update(5000), dtype=np.float64).sum()))
    assert fused.norm(update(5000)) == pytest.approx(exactly, rel=1e-14)
    assert np.isnan(fused.norm(np.array([3, np.nan], np.float32)))
    assert fused.norm(np.full(4, 3e38, np.float32)) == pytest.approx(6e38)
