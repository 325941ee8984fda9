"""Calibration in numbers: against the values of others, by hand, and from histograms alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcfed.errors import InputError
from hpcfed.report.figures.uncertainty import reliability
from hpcfed.report.figures.uncertainty.scores import (
    bins_of,
    brier_score,
    equal_mass_error,
    negative_log_likelihood,
    noise_floor,
)
from hpcfed.report.figures.view import View
from tests.unit.report.answered_runs import answers, run, two_class, view

# probabilities of 3 classes in ten-thousandths, and the label, of 40 samples
SAMPLES = """
    6958 0899 2143 0  6332 3617 0051 1  7155 1371 1474 0  1549 1039 7412 2
    4988 1912 3100 0  1399 7977 0624 1  8423 1463 0114 0  4008 5498 0494 1
    9622 0036 0342 0  0382 5038 4580 2  3836 5361 0803 1  0268 3109 6623 2
    4884 4684 0432 0  6607 2157 1236 0  0040 9717 0243 1  1336 0393 8271 2
    0825 6751 2424 1  7378 1919 0703 1  2418 4795 2787 2  6196 1520 2284 2
    2934 4691 2375 0  0389 6771 2840 1  0370 8537 1093 1  2048 5654 2298 0
    7356 0209 2435 0  3414 2583 4003 0  3318 5760 0922 0  6466 3366 0168 0
    2880 5309 1811 1  1310 0344 8346 2  0669 7659 1672 1  4851 1913 3236 2
    0605 8675 0720 1  0971 8958 0071 0  0323 9303 0374 1  9553 0278 0169 0
    4106 2115 3779 1  1792 0127 8081 2  0822 4093 5085 2  1087 3445 5468 2
"""
TABLE = np.array(SAMPLES.split(), int).reshape(40, 4)
PROBABILITY, LABEL = TABLE[:, :3] / 1e4, TABLE[:, 3]
CONFIDENCE, CORRECT = PROBABILITY.max(1), PROBABILITY.argmax(1) == LABEL
# torchmetrics 1.x, multiclass_calibration_error in float64, norms l1, l2 and max
TORCHMETRICS = {
    10: (0.0850449949502945, 0.0991397351026535, 0.17597141861915588),
    15: (0.10980001091957092, 0.16161230206489563, 0.4054499864578247),
}
# median and 95th percentile of another program's 400 draws, confidences uniform in 0.5..1, 15 bins
CHANCE = {
    100: (0.088, 0.1375), 240: (0.0562, 0.086), 400: (0.043, 0.0649), 1000: (0.0284, 0.043),
    2264: (0.0184, 0.0275), 10_000: (0.0087, 0.0133),
}  # fmt: skip


@pytest.mark.parametrize("num_bins", TORCHMETRICS)
def test_errors_are_those_of_torchmetrics(num_bins: int) -> None:
    bins = bins_of(CONFIDENCE, CORRECT, num_bins)
    found = (bins.error, bins.rms_error, bins.largest_error)
    assert found == pytest.approx(TORCHMETRICS[num_bins], abs=1e-6)
    assert bins.overconfidence == pytest.approx(CONFIDENCE.mean() - 0.7, abs=1e-12)
    assert (bins.num_samples, bins.mean_accuracy) == (40, pytest.approx(0.7))


def test_scores_of_probabilities_are_those_of_scikit_learn() -> None:
    assert brier_score(PROBABILITY, LABEL) == pytest.approx(0.38723752200000006, abs=1e-12)
    found = negative_log_likelihood(PROBABILITY, LABEL)
    assert found == pytest.approx(0.6459109869493863, abs=1e-12)


def test_a_probability_of_zero_costs_what_the_least_float_does() -> None:
    found = negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([1]))
    assert found == pytest.approx(126 * np.log(2))


def test_bins_of_equal_mass_hold_equally_many() -> None:
    assert equal_mass_error(CONFIDENCE, CORRECT, 10) == pytest.approx(0.199935, abs=1e-9)


def test_equal_confidences_share_a_bin_whatever_their_order() -> None:
    confidence, correct = np.full(4, 0.6), np.array([True, True, False, False])
    for order in (np.arange(4), np.array([2, 0, 3, 1])):
        assert equal_mass_error(confidence, correct[order], 2) == pytest.approx(0.1)


@pytest.mark.parametrize("count", CHANCE)
def test_the_noise_floor_is_that_of_another_program(count: int) -> None:
    confidence = 0.5 + 0.5 * (np.arange(count) + 0.5) / count
    # both are estimates of 400 draws, with standard errors of some 2 % each
    assert noise_floor(confidence, 15) == pytest.approx(CHANCE[count], rel=0.08)


def test_the_noise_floor_is_the_same_each_time_and_zero_for_certainty() -> None:
    assert noise_floor(CONFIDENCE, 15) == noise_floor(CONFIDENCE, 15)
    assert noise_floor(np.ones(50), 15) == (0.0, 0.0)


def test_the_noise_floor_of_one_sample_is_one_of_two_gaps() -> None:
    # right with probability 0.9: the ECE is 0.1, and 0.9 in a tenth of the draws
    assert noise_floor(np.array([0.9]), 15) == pytest.approx((0.1, 0.9))


def test_bins_hold_what_lies_above_their_lower_edge_by_hand() -> None:
    shown = view({"known": answers([[0.5, 0.5], [0.25, 0.75], [0.0, 1.0], [0.4, 0.6]],
                                   [1, 1, 0, 1])})  # fmt: skip
    first, second = reliability.rows(replace(shown, num_bins=2))
    assert first == {"low": 0.0, "high": 0.5, "samples": 1, "correct": 0, "confidence": 0.5,
                     "accuracy": 0.0, "gap": -0.5}  # fmt: skip
    assert (second["samples"], second["correct"]) == (3, 2)
    assert second["confidence"] == pytest.approx(2.35 / 3)
    assert second["gap"] == pytest.approx((2 - 2.35) / 3)


def scores(shown: View) -> dict[str, float]:
    return {row["score"]: row["value"] for row in reliability.score_rows(shown)}


def test_the_table_of_scores_has_committee_and_most_probable_weights() -> None:
    shown = view({"known": answers(PROBABILITY, LABEL)})
    rounds = shown.record.log.rounds
    for name, value in (("accuracy", 0.5), ("calibration_error", 0.25), ("loss", 1.5)):
        rounds[f"test_map_{name}"] = [0.0, 0.0, value]
    rounds["test_map_brier_score"] = [0.0, 0.0, np.nan]
    found = scores(shown)
    assert found["ece"] == pytest.approx(TORCHMETRICS[15][0], abs=1e-6)
    assert found["nll"] == pytest.approx(0.6459109869493863)
    assert (found["map_accuracy"], found["map_ece"], found["map_nll"]) == (0.5, 0.25, 1.5)
    assert "map_brier" not in found
    assert found["ece_by_chance"] < found["ece_by_chance_95"]


def test_histograms_alone_say_the_same_as_answers() -> None:
    stored = {"known": two_class(300)}
    with_answers = view(stored)
    bins = reliability.reliability(with_answers).bins
    evaluation = with_answers.record.evaluation | {
        "confidence_samples": bins.count,
        "confidence_correct": bins.correct,
        "mean_confidence": bins.confidence,
    }
    shown = view({}, evaluation=evaluation)
    shown.record.log.rounds["test_loss"] = [9.0, 9.0, 0.5]
    assert list(map(str, reliability.rows(shown))) == list(map(str, reliability.rows(with_answers)))
    mine, other = scores(shown), scores(with_answers)
    assert mine["ece"] == other["ece"]
    assert mine["ece_by_chance"] == pytest.approx(other["ece_by_chance"], rel=0.1)
    assert mine["nll"] == 0.5
    assert "equal_mass_ece" not in mine


def test_other_bins_than_the_stored_ones_need_answers() -> None:
    with pytest.raises(InputError, match=r"set `\[evaluation\] answers = true`"):
        reliability.reliability(View(run({}), 10))


def test_the_title_has_the_sign_and_what_chance_alone_would_show() -> None:
    sure = answers([[0.1, 0.9]] * 100, [1] * 50 + [0] * 50)
    unsure = answers([[0.45, 0.55]] * 100, [1] * 100)
    for stored, text in ((sure, "ECE 40.0 %, over-confident by 40.0 %"),
                         (unsure, "ECE 45.0 %, under-confident by 45.0 %")):  # fmt: skip
        above = reliability.draw(view({"known": stored})).axes[0]
        title, chance = above.get_title().splitlines()
        assert title == text
        assert chance.startswith("chance alone: ECE ")
