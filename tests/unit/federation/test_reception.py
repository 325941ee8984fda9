"""Noise on what arrives: by part, by words, and the same wherever a message is read."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.federation.uplink.averaging import averaging
from hpcfed.federation.uplink.messages import Uplink
from hpcfed.networks.layout import Layout, Part

LAYOUT = Layout(
    (
        Part("first", (100, 100)),
        Part("second", (50, 100)),
        Part("mean", (1000,), "zeros", trained=False, masked=False),
        Part("stays", (7,), "zeros", trained=False, masked=False, shared=False),
    )
)
SIZES = (10_000, 5_000, 1_000)


def uplink(*overrides: str) -> Uplink:
    experiment = parse_experiment("", overrides)
    weighting = averaging(experiment, np.ones(2, np.int64), np.zeros(2), LAYOUT)
    return Uplink(experiment.uplink, weighting, experiment.seed, LAYOUT)


def update() -> np.ndarray:
    rng = np.random.default_rng(0)
    scales = np.repeat([1.0, 0.01, 5.0], SIZES)
    return (rng.normal(size=sum(SIZES)) * scales).astype(np.float32)


@pytest.mark.parametrize("mask", ["none", "bernoulli", "random-k"])
def test_noise_of_each_part_is_a_multiple_of_its_mean_magnitude(mask: str) -> None:
    probability = 0.0 if mask == "none" else 0.5
    found = uplink(
        "uplink.noise=0.5", f"uplink.mask={mask}", f"uplink.mask_probability={probability}"
    )
    message, _ = found.message(update(), 3, 1)
    entries, values = found.received(message, 3, 1)
    noise = found.heard(values, entries, 3, 1) - values
    head = np.arange(15_000)[entries]
    places = np.concatenate([head, np.arange(15_000, 16_000)])
    for start, size in zip((0, 10_000, 15_000), SIZES, strict=True):
        mine = (places >= start) & (places < start + size)
        expected = 0.5 * np.abs(values[mine]).mean()
        assert noise[mine].std() == pytest.approx(expected, rel=0.1)
        assert abs(noise[mine].mean()) < 5 * expected / np.sqrt(mine.sum())


def test_noise_follows_from_round_and_client() -> None:
    found = uplink("uplink.noise=0.5")
    values, every = update(), slice(None)
    one = found.heard(values, every, 3, 1)
    assert one.tobytes() == found.heard(values, every, 3, 1).tobytes()
    assert one.tobytes() != found.heard(values, every, 3, 0).tobytes()
    assert one.tobytes() != found.heard(values, every, 2, 1).tobytes()


def test_without_noise_nothing_is_added() -> None:
    found = uplink("uplink.noise=0.0")
    assert found.heard(update(), slice(None), 0, 0).tobytes() == update().tobytes()
