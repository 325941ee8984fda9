"""How often clients repeat a block: dealt in turn, or drawn by words."""

from __future__ import annotations

from typing import Any  # settings of any type

import numpy as np

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.depth import depths
from hpcfed.config import ModelConfig

BLOCK = ("4c3", ("repeat", "4c3"))


def model(**repeat: Any) -> ModelConfig:
    return ModelConfig.model_validate({"hidden": BLOCK, "repeat": repeat})


def test_without_a_block_there_is_no_depth() -> None:
    assert depths(ModelConfig(), 3, 0, 0).tolist() == [0, 0, 0]


def test_all_have_one_depth_or_are_dealt_them_in_turn() -> None:
    assert depths(model(depth=3), 3, 0, 0).tolist() == [3, 3, 3]
    assert depths(ModelConfig(hidden=BLOCK), 2, 0, 0).tolist() == [4, 4]
    dealt = depths(model(depths=(2, 4, 8)), 5, 0, 0)
    assert dealt.tolist() == [2, 4, 8, 2, 4]
    assert depths(model(depths=(2, 4, 8)), 5, 9, 7).tolist() == dealt.tolist()


def test_depths_are_drawn_by_a_word_for_each_client_and_round() -> None:
    drawn = model(depths=(2, 4, 8), drawn=True)
    found = depths(drawn, 3000, 5, 1)
    words = Stream(5, Purpose.DEPTH, 1).words(3000)
    assert found.tolist() == [(2, 4, 8)[int(word) * 3 >> 32] for word in words]
    shares = np.array([(found == depth).mean() for depth in (2, 4, 8)])
    assert np.abs(shares - 1 / 3).max() < 4 * np.sqrt(2 / 9 / 3000)
    assert not np.array_equal(found, depths(drawn, 3000, 5, 2))
    assert not np.array_equal(found, depths(drawn, 3000, 6, 1))
    assert np.array_equal(found[:10], depths(drawn, 10, 5, 1))


def test_the_evaluated_depth_is_said_or_the_largest() -> None:
    assert model(depths=(2, 8, 4)).repetition.evaluated_depth == 8
    assert model(depths=(2, 8), evaluated=5).repetition.evaluated_depth == 5
    assert model().repetition.evaluated_depth == 4
