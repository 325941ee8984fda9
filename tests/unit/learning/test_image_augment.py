"""Images cut and mirrored by words: by hand, in training alone, and the same for encoders."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.clients.population import Client
from hpcfed.config import DataConfig
from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.learning.feed import feed
from hpcfed.learning.image_augment import augmented
from hpcfed.samples.images import ImageSet

MIDDLE = 1 << 31


def images(number: int) -> ImageSet:
    rng = np.random.default_rng(0)
    zeros = np.zeros(number, np.int64)
    pixels = rng.integers(1, 256, (number, 2, 4, 3), np.uint8)
    return ImageSet(pixels, zeros, zeros, ("a", "b"), ("all",))


def test_a_cut_is_shifted_by_up_to_the_border_and_black_beyond() -> None:
    pixels = images(3).pixels
    data = DataConfig(dataset="digits", crop_padding=1)
    # thirds of the range of words: up and left, nothing, down and right
    words = np.array([[0, 0, 0], [MIDDLE, MIDDLE, 0], [2**32 - 1, 2**32 - 1, 0]], np.uint32)
    found = augmented(pixels, data, words)
    assert (found[0, :, 0] == 0).all()
    assert (found[0, :, :, 0] == 0).all()
    np.testing.assert_array_equal(found[0, :, 1:, 1:], pixels[0, :, :-1, :-1])
    np.testing.assert_array_equal(found[1], pixels[1])
    np.testing.assert_array_equal(found[2, :, :-1, :-1], pixels[2, :, 1:, 1:])
    assert (found[2, :, -1] == 0).all()


def test_half_of_all_words_mirror() -> None:
    pixels = images(2).pixels
    words = np.array([[0, 0, MIDDLE - 1], [0, 0, MIDDLE]], np.uint32)
    found = augmented(pixels, DataConfig(dataset="digits", flip=True), words)
    np.testing.assert_array_equal(found[0], pixels[0, :, :, ::-1])
    np.testing.assert_array_equal(found[1], pixels[1])


@pytest.mark.parametrize("encoder", ["direct", None])
def test_training_sees_other_images_in_each_round_and_evaluation_none(encoder: str | None) -> None:
    sets = [
        "data.dataset=digits",
        "data.num_bins=2",
        "data.duration=0.02",
        "data.flip=true",
        "data.crop_padding=2",
    ]
    sets += [f"data.encoder={encoder}"] if encoder else ["model.kind=ann"]
    found = feed(parse_experiment("", sets), images(40))
    client, every = Client(3, np.arange(40)), np.arange(40)

    def round_of(index: int) -> np.ndarray:
        (first, second) = found.steps(client, index)
        axis = 1 if encoder else 0
        ids = np.concatenate([first[0], second[0]])
        order = np.argsort(ids)
        return np.take(np.concatenate([first[1], second[1]], axis), order, axis)

    one = round_of(0)
    assert np.array_equal(one, round_of(0))
    assert not np.array_equal(one, round_of(1))
    plain = found.batch(every)
    assert one.shape == plain.shape
    unchanged = (one == plain).all(
        axis=tuple(axis for axis in range(one.ndim) if axis != one.ndim - 4)
    )
    assert unchanged.mean() < 0.2  # 1 in 25 cuts, half of them mirrored


def test_events_are_not_mirrored() -> None:
    with pytest.raises(InputError, match="flip is for images"):
        parse_experiment("", ["data.flip=true"])
