"""Where the weight matrices lie, and how they begin."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import ModelConfig
from hpcfed.errors import InputError
from hpcfed.networks.layout import Layout, Part, initial_params
from hpcfed.networks.stack import dense_layout


def model(**values: object) -> ModelConfig:
    return ModelConfig.model_validate(values)


def test_feed_forward_layout_has_one_matrix_per_layer_and_the_readout() -> None:
    result = dense_layout(model(hidden=[5, 4]), num_channels=7, num_classes=3)
    assert result.names == ("hidden0.input", "hidden1.input", "readout")
    assert result.shapes == ((5, 7), (4, 5), (3, 4))
    assert result.size == 35 + 20 + 12


def test_recurrent_layout_puts_recurrent_weights_after_input_weights() -> None:
    result = dense_layout(model(hidden=[5], recurrent=True), num_channels=7, num_classes=3)
    assert result.names == ("hidden0.input", "hidden0.recurrent", "readout")
    assert result.shapes == ((5, 7), (5, 5), (3, 5))


def test_split_gives_row_major_views_of_the_flat_vector() -> None:
    params = np.arange(10, dtype=np.float32)
    parts = Layout.of({"a": (2, 3), "b": (2, 2)}).split(params)
    assert parts["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert parts["b"].tolist() == [[6, 7], [8, 9]]
    parts["b"][0, 0] = 60
    assert params[6] == 60


def test_uniform_weights_are_the_seeds_words_scaled_by_the_fan_in() -> None:
    settings = model(hidden=[2], init="uniform", init_scale=3.0)
    params = initial_params(settings, dense_layout(settings, 4, 2), seed=5)
    words = Stream(5, Purpose.INITIAL_WEIGHTS).uniforms(2 * 12)[0::2]
    expected = (2 * words - 1) * 3.0 / np.sqrt([4] * 8 + [2] * 4)
    assert params.dtype == np.float32
    np.testing.assert_array_equal(params, expected.astype(np.float32))


@pytest.mark.parametrize(
    ("init", "spread_input", "spread_readout"),
    [
        ("uniform", 2 / np.sqrt(3 * 100), 2 / np.sqrt(3 * 400)),
        ("normal", 2 / np.sqrt(100), 2 / np.sqrt(400)),
        ("normal-absolute", 2.0, 2.0),
    ],
)
def test_initial_weights_have_the_standard_deviation_of_their_kind(
    init: str, spread_input: float, spread_readout: float
) -> None:
    settings = model(hidden=[400], init=init, init_scale=2.0)
    parameters = dense_layout(settings, 100, 50)
    parts = parameters.split(initial_params(settings, parameters, seed=1))
    # 40000 and 20000 values: their spread is known to 0.5 %, their mean to 0.7 % of it.
    assert parts["hidden0.input"].std() == pytest.approx(spread_input, rel=0.02)
    assert parts["readout"].std() == pytest.approx(spread_readout, rel=0.02)
    assert abs(parts["readout"].mean()) < 0.03 * spread_readout


def test_normal_weights_have_normal_tails() -> None:
    settings = model(hidden=[400], init="normal-absolute")
    params = initial_params(settings, dense_layout(settings, 200, 2), seed=1)
    assert np.mean(np.abs(params) > 2) == pytest.approx(0.0455, rel=0.05)
    assert np.abs(params).max() > 3.5


def test_initial_weights_depend_on_the_seed_alone() -> None:
    settings = model(hidden=[3])
    parameters = dense_layout(settings, 4, 2)
    first, again, other = (initial_params(settings, parameters, seed) for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_parts_of_any_rank_lie_row_major_one_after_the_other() -> None:
    parts = Layout((Part("kernel", (2, 3, 2, 2)), Part("scale", (2,), "ones", masked=False)))
    assert (parts.size, parts.num_masked, parts.num_trained) == (26, 24, 26)
    views = parts.split(np.arange(26, dtype=np.float32))
    assert views["kernel"][1, 2, 1, 1] == 23
    assert views["scale"].tolist() == [24, 25]


def test_the_fan_in_is_everything_behind_the_first_axis() -> None:
    settings = model(init="uniform", init_scale=3.0)
    params = initial_params(settings, Layout.of({"kernel": (2, 3, 2, 2)}), seed=5)
    words = Stream(5, Purpose.INITIAL_WEIGHTS).uniforms(2 * 24)[0::2]
    np.testing.assert_array_equal(params, ((2 * words - 1) * 3 / np.sqrt(12)).astype(np.float32))


def test_zeros_and_ones_are_themselves_and_move_nobody_elses_words() -> None:
    drawn = Part("b", (3, 2))
    first = Layout((Part("a", (2,), "ones"), drawn, Part("c", (2,), "zeros")))
    params = initial_params(model(), first, seed=1)
    assert params[:2].tolist() == [1, 1]
    assert params[-2:].tolist() == [0, 0]
    plain = initial_params(model(), Layout((Part("a", (2,)), drawn)), seed=1)
    assert params[2:8].tobytes() == plain[2:].tobytes()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((Part("a", (2,)), Part("a", (3,))), "twice"),
        ((Part("a", ()),), "axis"),
        ((Part("a", (2, 0)),), "empty"),
        ((Part("a", (2,), "random"),), "init"),
        ((Part("a", (2,), trained=False),), "statistic"),
        ((Part("a", (6,), groups=4),), "groups"),
        ((Part("a", (2,), masked=False), Part("b", (2,))), "order"),
        ((Part("a", (2,), trained=False, masked=False), Part("b", (2,), masked=False)), "order"),
    ],
)
def test_parts_that_cannot_be_are_refused(parts: tuple[Part, ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Layout(parts)
