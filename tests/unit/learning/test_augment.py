"""Augmentation of events, and the words it owns."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import DataConfig
from hpcfed.learning import augment as augmentation
from hpcfed.learning.augment import BatchEvents, draw, is_augmented, num_words

SHAPE = (20, 3, 50)  # T, B, C


def batch(seed: int = 0) -> BatchEvents:
    dense = np.random.default_rng(seed).random(SHAPE) < 0.2
    bins, rows, channels = np.nonzero(dense)
    return rows, bins, channels, np.arange(1, len(rows) + 1, dtype=np.float32)


def data(**values: float) -> DataConfig:
    return DataConfig.model_validate({"duration": 0.2, "num_bins": 20, **values})


def stream(round_index: int = 0) -> Stream:
    return Stream(7, Purpose.AUGMENTATION, round_index, 4)


def augment(
    batch: BatchEvents, shape: tuple[int, int, int], data: DataConfig, words: Stream, start: int
) -> BatchEvents:
    changes = draw(shape[1], len(batch[0]), data, words, start)
    return augmentation.augment(batch, shape, changes)


def shifts(before: BatchEvents, after: BatchEvents, axis: int) -> np.ndarray:
    """Return by how much each surviving event moved; values name the events."""
    index = after[3].astype(int) - 1
    return after[axis] - before[axis][index]


def test_nothing_is_changed_without_augmentation() -> None:
    assert not is_augmented(data())
    result = augment(batch(), SHAPE, data(), stream(), 0)
    for part, original in zip(result, batch(), strict=True):
        np.testing.assert_array_equal(part, original)


@pytest.mark.parametrize(
    "setting", [{"time_jitter": 0.01}, {"channel_jitter": 2}, {"drop": 0.1}], ids=str
)
def test_each_setting_alone_counts_as_augmentation(setting: dict[str, float]) -> None:
    assert is_augmented(data(**setting))


def test_time_jitter_moves_a_whole_sample_by_rounded_seconds() -> None:
    before = batch()
    after = augment(before, SHAPE, data(time_jitter=0.05), stream(), 12)
    seconds = (2 * stream().uniforms(3, 12) - 1) * 0.05
    expected = np.rint(seconds / 0.01).astype(int)
    assert len(set(expected)) > 1
    np.testing.assert_array_equal(shifts(before, after, 1), expected[after[0]])
    np.testing.assert_array_equal(shifts(before, after, 2), 0)


def test_channel_jitter_reaches_both_ends_and_moves_a_whole_sample() -> None:
    before, seen = batch(), set()
    for start in range(0, 300, 3):
        after = augment(before, SHAPE, data(channel_jitter=2), stream(), start)
        moved = shifts(before, after, 2)
        assert all(len(set(moved[after[0] == row])) == 1 for row in range(3))
        seen |= set(moved.tolist())
    assert seen == {-2, -1, 0, 1, 2}


def test_events_shifted_outside_are_lost_and_none_wraps() -> None:
    before = batch()
    after = augment(before, SHAPE, data(time_jitter=0.1, channel_jitter=30), stream(), 0)
    assert len(after[0]) < len(before[0])
    assert after[1].min() >= 0 and after[1].max() < 20
    assert after[2].min() >= 0 and after[2].max() < 50


def test_drop_leaves_out_the_fraction_it_names() -> None:
    rows = np.zeros(100_000, np.int64)
    events = (rows, rows, rows, rows.astype(np.float32))
    after = augment(events, (20, 1, 50), data(drop=0.3), stream(), 0)
    assert len(after[0]) == pytest.approx(70_000, rel=0.01)


def test_no_two_events_meet() -> None:
    after = augment(batch(), SHAPE, data(time_jitter=0.1, channel_jitter=9), stream(), 0)
    places = set(zip(*(part.tolist() for part in after[:3]), strict=True))
    assert len(places) == len(after[0])


def test_a_batch_uses_only_the_words_it_owns(monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[int] = set()
    original = Stream.words

    def words(self: Stream, count: int, start: int = 0) -> np.ndarray:
        used.update(range(start, start + count))
        return original(self, count, start)

    monkeypatch.setattr(Stream, "words", words)
    events = batch()
    augment(events, SHAPE, data(time_jitter=0.1, channel_jitter=9, drop=0.5), stream(), 100)
    assert used == set(range(100, 100 + num_words(3, len(events[0]))))


def test_other_rounds_are_augmented_otherwise() -> None:
    setting = data(drop=0.5)
    first, second = (augment(batch(), SHAPE, setting, stream(r), 0) for r in (0, 1))
    assert first[3].tolist() != second[3].tolist()
