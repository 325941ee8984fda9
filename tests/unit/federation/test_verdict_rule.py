"""When a run ends early: shares by hand, patience, and rounds that say nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hpcfed.config.stop import StopConfig
from hpcfed.federation.stopping import largest_share, shares, verdict

GOOD = {"num_participants": [2], "num_rejected": [0], "train_loss": [1.0]}


def counts(*layers: tuple[int, int, int]) -> np.ndarray:
    return np.array(layers, np.int64).reshape(-1, 3)


def stop(**keys: Any) -> StopConfig:
    return StopConfig.model_validate(keys)


QUIET, LOUD, LIVELY = counts((10, 0, 0), (10, 3, 0)), counts((10, 0, 4)), counts((10, 2, 2))


def test_shares_are_parts_of_the_samples_and_the_largest_layer_counts() -> None:
    assert shares(QUIET).tolist() == [[0.0, 0.0], [0.3, 0.0]]
    assert largest_share(QUIET, "silent") == 0.3
    assert largest_share(LOUD, "saturated") == 0.4
    assert math.isnan(largest_share(counts(), "silent"))
    assert math.isnan(largest_share(counts((0, 0, 0)), "silent"))


@pytest.mark.parametrize(
    ("activity", "expected"), [(QUIET, "silent"), (LOUD, "saturated"), (LIVELY, ""), (counts(), "")]
)
def test_a_share_above_beta_ends_the_run(activity: np.ndarray, expected: str) -> None:
    assert verdict(stop(), GOOD, [activity]) == expected
    assert verdict(None, GOOD, [activity]) == ""
    assert verdict(stop(silent={"beta": 1.0}), GOOD, [activity]) == ""


def test_so_many_rounds_one_after_the_other_are_needed() -> None:
    patient = stop(silent={"rounds": 2})
    assert verdict(patient, GOOD, [QUIET]) == ""
    assert verdict(patient, GOOD, [QUIET, LIVELY, QUIET]) == ""
    assert verdict(patient, GOOD, [LIVELY, QUIET, QUIET]) == "silent"


def test_a_round_without_anybody_leaves_the_count_as_it_was() -> None:
    nobody = counts((0, 0, 0), (0, 0, 0))
    patient = stop(silent={"rounds": 2})
    assert verdict(patient, GOOD, [QUIET, nobody, QUIET]) == "silent"
    assert verdict(patient, GOOD, [QUIET, nobody]) == ""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"train_loss": [math.nan]}, "diverged"),
        ({"train_loss": [math.inf]}, "diverged"),
        ({"num_rejected": [2]}, "diverged"),
        ({"num_rejected": [1]}, ""),
        ({"num_participants": [0], "train_loss": [math.nan]}, ""),
    ],
)
def test_a_run_has_diverged_when_nothing_counts(changes: dict[str, Any], expected: str) -> None:
    assert verdict(stop(), GOOD | changes, [LIVELY]) == expected
    assert verdict(stop(diverged=False), GOOD | changes, [LIVELY]) == ""


def test_a_rule_without_a_loss_has_not_diverged_for_want_of_one() -> None:
    lossless = GOOD | {"train_loss": [math.nan]}
    assert verdict(stop(), lossless, [LIVELY], has_loss=False) == ""
    assert verdict(stop(), lossless, [QUIET], has_loss=False) == "silent"
    rejected = lossless | {"num_rejected": GOOD["num_participants"]}
    assert verdict(stop(), rejected, [LIVELY], has_loss=False) == "diverged"
