"""Encoders: words against their definitions, and what a network is fed over time."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config.file import parse_experiment
from hpcfed.learning.feed import Encoded, Pixels, feed
from hpcfed.samples.encoders import encode
from hpcfed.samples.images import ImageSet

PIXELS = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
BINS = 400


def images(count: int = 5) -> ImageSet:
    pixels = (np.arange(count * 12).reshape(count, 1, 3, 4) * 4).astype(np.uint8)
    labels = np.arange(count) % 2
    return ImageSet(pixels, labels, 0 * labels, ("a", "b"), ("x",))


def words(shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    return Stream(seed, Purpose.ENCODING).words(int(np.prod(shape))).reshape(shape)


def spikes_by_hand(kind: str, pixel: int, word: int) -> int:
    """Return what one pixel is in one bin, by the definition, in whole numbers."""
    if kind == "poisson":
        return int(word * 255 < pixel * 2**32)
    x = 2 * pixel - 255  # times 255
    return (1 if x > 0 else -1) * int(2 * 255 * word < abs(x) * 2**32)


@pytest.mark.parametrize("kind", ["poisson", "signed-poisson"])
def test_spikes_are_those_of_the_definition(kind: str) -> None:
    drawn = words((1, 7, 1, 16, 16))
    found = encode(kind, PIXELS, drawn)
    assert (found.shape, found.dtype) == (drawn.shape, np.float32)
    by_hand = [
        [spikes_by_hand(kind, p, int(w)) for p, w in zip(range(256), row.ravel(), strict=True)]
        for row in drawn[0]
    ]
    assert found.reshape(7, 256).tolist() == by_hand


@pytest.mark.parametrize(
    ("kind", "mean"),
    [("poisson", lambda p: p / 255), ("signed-poisson", lambda p: (2 * p / 255 - 1) / 2)],
)
def test_rates_are_the_pixels(kind: str, mean) -> None:
    found = encode(kind, PIXELS, words((1, BINS, 1, 16, 16))).mean(axis=1).ravel()
    expected = mean(np.arange(256))
    deviation = np.sqrt(np.abs(expected) * (1 - np.abs(expected)) / BINS)
    assert (np.abs(found - expected) <= 5 * deviation + 1e-6).all()
    assert abs(np.mean(found - expected)) < 0.005


def test_black_and_white_are_certain() -> None:
    ends = np.array([0, 255], np.uint8)[None]
    drawn = words((1, 50, 2))
    assert set(encode("poisson", ends, drawn)[..., 0].ravel()) == {0.0}
    assert set(encode("poisson", ends, drawn)[..., 1].ravel()) == {1.0}
    assert set(encode("signed-poisson", ends, drawn)[..., 0].ravel()) == {0.0, -1.0}


def test_direct_is_the_same_current_in_every_bin() -> None:
    found = encode("direct", PIXELS, np.broadcast_to(np.uint32(0), (1, 3, 1, 16, 16)))
    expected = 2 * PIXELS[0].astype(np.float64) / 255 - 1
    for current in found[0]:
        np.testing.assert_allclose(current, expected, atol=1e-6)


SETTINGS = ("data.dataset=digits", "data.num_bins=6", "data.duration=0.06")


def of(*overrides: str) -> Encoded:
    found = feed(parse_experiment("", [*SETTINGS, *overrides]), images())
    assert isinstance(found, Encoded)
    return found


def test_what_a_network_is_fed_follows_from_its_kind_and_the_encoder() -> None:
    assert of().kind == "signed-poisson"
    assert of("data.encoder=direct").kind == "direct"
    assert of("data.encoder=poisson", "model.kind=ann").kind == "poisson"
    assert isinstance(feed(parse_experiment("", ["model.kind=ann"]), images()), Pixels)


def test_the_input_of_training_is_drawn_by_round_client_and_place() -> None:
    """Whatever the batches: they cut one sequence."""
    client = Client(3, np.arange(5))

    def drawn(batch: int, round_index: int = 2, number: int = 3) -> tuple[list[int], bytes]:
        found = of(f"client.batch_size={batch}")
        steps = list(found.steps(Client(number, client.samples), round_index))
        assert all(inputs.shape == (6, len(ids), 1, 3, 4) for ids, inputs in steps)
        order = [int(i) for ids, _ in steps for i in ids]
        return order, np.concatenate([inputs for _, inputs in steps], axis=1).tobytes()

    assert drawn(1) == drawn(2) == drawn(5)
    assert len({drawn(5)[1], drawn(5, round_index=3)[1], drawn(5, number=4)[1]}) == 3


def test_a_second_pass_draws_anew() -> None:
    steps = list(of("client.epochs=2", "client.batch_size=5").steps(Client(0, np.arange(5)), 0))
    by_sample = [dict(zip(ids.tolist(), np.swapaxes(x, 0, 1), strict=True)) for ids, x in steps]
    assert any((by_sample[0][k] != by_sample[1][k]).any() for k in range(5))


def test_the_input_of_evaluation_follows_from_the_sample_alone() -> None:
    whole = of().batch(np.arange(5))
    for sample in range(5):
        np.testing.assert_array_equal(of().batch(np.array([sample]))[:, 0], whole[:, sample])
    assert (of("seed=1").batch(np.arange(5)) != whole).any()


def test_the_lowest_word_makes_every_pixel_spike_with_its_sign() -> None:
    lowest = np.zeros((1, 1, 1, 16, 16), np.uint32)
    signs = np.sign(2 * np.arange(256) - 255)
    assert encode("signed-poisson", PIXELS, lowest).ravel().tolist() == signs.tolist()
    assert encode("poisson", PIXELS, lowest).ravel().tolist() == [0.0] + [1.0] * 255
