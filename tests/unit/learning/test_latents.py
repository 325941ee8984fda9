"""Binary weights and the latent weights behind them: scales, signs and draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.learning.latents import REAL, RELAXED, SIGN, Binary, draw_all, relax

STREAM = Stream(5, Purpose.WEIGHT_NOISE, 2, 7)


def of_uniform(latents, uniforms, temperature):
    """Return weights and scales for uniforms, to the nearest word."""
    words = np.floor(np.asarray(uniforms) * 2.0**32).astype(np.uint32)
    weights, slopes = np.empty(len(words)), np.empty(len(words))
    relax(np.asarray(latents, np.float64), words, temperature, weights, slopes)
    return weights, slopes, (words + 0.5) * 2.0**-32


def closed_form(latent, uniform, temperature):
    """Return weight and scale by logarithms of hyperbolic cosines."""

    def log_cosh(x):
        return np.abs(x) + np.log1p(np.exp(-2 * np.abs(x))) - np.log(2)

    x = (latent + (np.log(uniform) - np.log1p(-uniform)) / 2) / temperature
    return np.tanh(x), np.exp(2 * (log_cosh(latent) - log_cosh(x))) / temperature


@pytest.fixture(scope="module")
def tables(test_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return (latent, uniform, tau, weight, scale) by two independent programs.

    The second's scale has the guard of the released code in it, 1e-10.
    """
    folder = test_data.parent / "reference_rules"
    merge = json.loads((folder / "bernoulli_merge.json").read_text())
    step = json.loads((folder / "bisnn_step.json").read_text())
    return np.array(merge["scale_table"]), np.array(step["relaxation_table_float64"])


@pytest.mark.parametrize("temperature", [1.0, 0.1])
@pytest.mark.parametrize("table", [0, 1])
def test_weights_and_scales_are_those_of_the_reference(tables, table: int, temperature) -> None:
    rows = tables[table][tables[table][:, 2] == temperature]
    assert len(rows)
    weights, slopes, uniforms = of_uniform(rows[:, 0], rows[:, 1], temperature)
    expected = closed_form(rows[:, 0], uniforms, temperature)
    np.testing.assert_allclose(weights, expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(slopes, expected[1], rtol=1e-11)
    # the file's uniforms are met to half a word; where that matters less than 1e-6 its numbers are
    exact = np.minimum(rows[:, 1], 1 - rows[:, 1]) > 1e-3
    assert exact.sum() >= 5
    np.testing.assert_allclose(weights[exact], rows[exact, 3], rtol=0, atol=2e-6)
    if table == 0:
        np.testing.assert_allclose(slopes[exact], rows[exact, 4], rtol=2e-5)


def test_the_closed_form_equals_the_reference_file_to_1e_12(tables) -> None:
    for number, table in enumerate(tables):
        weights, slopes = closed_form(table[:, 0], table[:, 1], table[:, 2])
        np.testing.assert_allclose(weights, table[:, 3], rtol=0, atol=1e-12)
        if number == 0:
            np.testing.assert_allclose(slopes, table[:, 4], rtol=1e-12)


def test_the_quotient_in_float32_is_wrong_where_ours_is_right(tables) -> None:
    rows = tables[0][(np.abs(tables[0][:, 0]) == 10) & (tables[0][:, 2] == 1.0)]
    assert len(rows)
    latent, uniform = rows[:, 0].astype(np.float32), rows[:, 1].astype(np.float32)
    weight = np.tanh(latent + np.log(uniform / (1 - uniform)) / 2)
    tiny = np.float32(1e-10)
    quotient = (1 - weight**2 + tiny) / (1 - np.tanh(latent) ** 2 + tiny)
    _, ours, uniforms = of_uniform(rows[:, 0], rows[:, 1], 1.0)
    right = closed_form(rows[:, 0], uniforms, 1.0)[1]
    np.testing.assert_allclose(ours, right, rtol=1e-11)
    assert (np.abs(quotient / right - 1) > 0.5).any()


@pytest.mark.parametrize("temperature", [1.0, 0.1, 3.0])
def test_every_word_gives_a_finite_weight_within_one(temperature: float) -> None:
    latents = np.repeat(np.linspace(-18, 18, 41), 5)
    words = np.tile(np.array([0, 1, 1 << 31, 2**32 - 2, 2**32 - 1], np.uint32), 41)
    weights, slopes = np.empty(len(words)), np.empty(len(words))
    relax(latents, words, temperature, weights, slopes)
    expected = closed_form(latents, (words + 0.5) * 2.0**-32, temperature)
    np.testing.assert_allclose(weights, expected[0], rtol=0, atol=1e-12)
    # a logarithm of a hyperbolic cosine has itself an error of some 1e-15 times its size
    np.testing.assert_allclose(slopes, expected[1], rtol=1e-10)


def test_the_scale_is_the_derivative_by_the_posterior_mean() -> None:
    """Moving tanh(l) by h moves the weight by k h: differences of second order."""
    latents, step = np.array([-3.0, -0.4, 0.0, 0.7, 5.0]), 1e-5
    words = np.array([1 << 30, 3 << 30, 1 << 31, 1 << 29, 7 << 29], np.uint32)
    _, slopes = weights_of(latents, words)
    moved = step * (1 - np.tanh(latents) ** 2)
    above = weights_of(np.arctanh(np.tanh(latents) + moved), words)[0]
    below = weights_of(np.arctanh(np.tanh(latents) - moved), words)[0]
    np.testing.assert_allclose((above - below) / (2 * moved), slopes, rtol=1e-6)


def weights_of(latents: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weights, slopes = np.empty(len(words)), np.empty(len(words))
    relax(latents, words, 1.0, weights, slopes)
    return weights, slopes


def binary(kind: int, sizes: tuple[int, ...], scales: tuple[float, ...]) -> Binary:
    return Binary(kind, 1.0, 0.0, 0.0, 6.0, np.cumsum([0, *sizes]), np.array(scales))


@pytest.mark.parametrize("start", [0, 3, 4094])
def test_each_entry_has_the_word_of_its_place(start: int) -> None:
    """Parts begin anywhere in the stream; 2500 entries are more than a chunk."""
    sizes = (7, 2500, 5)
    latents = np.random.default_rng(0).normal(size=2512).astype(np.float32)
    weights, slopes = np.empty(2512, np.float32), np.empty(2512, np.float32)
    settings = binary(RELAXED, sizes, (0.5, 2.0, 0.0))
    draw_all(settings, latents, STREAM.address, start, weights, slopes)
    expected = weights_of(latents.astype(np.float64), STREAM.words(2512, start))
    scale = np.repeat([0.5, 2.0], sizes[:2])
    np.testing.assert_allclose(weights[:2507], scale * expected[0][:2507], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(slopes[:2507], scale * expected[1][:2507], rtol=1e-6)
    assert weights[2507:].tolist() == latents[2507:].tolist()  # a part of scale 0 is real
    assert slopes[2507:].tolist() == [1] * 5


def test_straight_through_takes_signs_and_zero_for_plus() -> None:
    latents = np.array([-0.1, -0.0, 0.0, 3.0], np.float32)
    weights, slopes = np.empty(4, np.float32), np.empty(4, np.float32)
    draw_all(binary(SIGN, (4,), (0.25,)), latents, STREAM.address, 0, weights, slopes)
    assert weights.tolist() == [-0.25, 0.25, 0.25, 0.25]
    assert slopes.tolist() == [0.25] * 4


def test_real_weights_are_the_latent_ones() -> None:
    latents = np.array([-0.1, 0.3], np.float32)
    weights, slopes = np.empty(2, np.float32), np.empty(2, np.float32)
    draw_all(binary(REAL, (2,), (0.25,)), latents, STREAM.address, 0, weights, slopes)
    assert weights.tolist() == latents.tolist()
    assert slopes.tolist() == [1, 1]
