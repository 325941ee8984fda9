"""Calibration against torchmetrics' and scikit-learn's values, and as sums over ranks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.federation import calibration
from hpcfed.federation.evaluation import evaluate
from hpcfed.federation.uplink.exact import grid
from hpcfed.learning.engines import make_trainer
from hpcfed.learning.probabilities import softmax
from hpcfed.networks.layout import initial_params
from hpcfed.samples.samples import shape_of
from tests.federation_worlds import LoneTransport
from tests.tiny_events import patterns


@pytest.fixture(scope="module")
def reference(test_data: Path) -> dict:
    """Return 40 samples of 3 classes with what others make of them."""
    path = test_data.parent / "reference_rules" / "calibration.json"
    if not path.exists():
        pytest.skip(f"there is no {path.name} beside the test data")
    return json.loads(path.read_text())


def sums_of(probabilities: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    sums = np.zeros(calibration.num_sums(), np.int64)
    calibration.add(sums, probabilities, labels, grid(np.ones(count, np.int64)))
    return sums


def test_errors_and_brier_score_are_those_of_torchmetrics_and_scikit_learn(reference: dict) -> None:
    probabilities, labels = np.array(reference["probabilities"]), np.array(reference["labels"])
    ones = grid(np.ones(40, np.int64))
    found = calibration.read(sums_of(probabilities, labels, 40), ones)
    assert found is not None
    assert found.error == pytest.approx(reference["own_ece_15"], abs=1e-12)
    assert found.error == pytest.approx(reference["torchmetrics_l1_15"], abs=1e-6)
    assert found.brier == pytest.approx(reference["brier_sklearn_multiclass"], abs=1e-12)
    filled = [
        [i, int(found.count[i]), found.confidence[i] * found.count[i], int(found.correct[i])]
        for i in np.flatnonzero(found.count)
    ]
    np.testing.assert_allclose(filled, reference["bins_15"], atol=1e-12)
    confidence = probabilities.max(axis=1).mean()
    assert found.overconfidence == pytest.approx(confidence - reference["accuracy"], abs=1e-12)


def test_parts_of_the_samples_add_up_to_the_whole_bit_for_bit() -> None:
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(5), 100), rng.integers(0, 5, 100)
    whole = sums_of(probabilities, labels, 100)
    order = rng.permutation(100)
    parts = [sums_of(probabilities[ids], labels[ids], 100) for ids in np.array_split(order, 7)]
    assert np.sum(parts, axis=0).tolist() == whole.tolist()


@pytest.mark.parametrize(("confidence", "place"), [(1 / 15, 0), (2 / 15 + 1e-9, 2), (1.0, 14)])
def test_a_bin_holds_its_upper_edge(confidence: float, place: int) -> None:
    rest = np.full(20, (1 - confidence) / 20)
    probabilities = np.concatenate([[confidence], rest])[None]
    found = calibration.read(sums_of(probabilities, np.array([0]), 1), grid(np.ones(1, np.int64)))
    assert found is not None
    assert np.flatnonzero(found.count).tolist() == [place]


def test_what_is_not_finite_leaves_no_calibration() -> None:
    sums = sums_of(np.array([[0.5, 0.5], [np.nan, 1.0]]), np.array([0, 1]), 2)
    assert calibration.read(sums, grid(np.ones(2, np.int64))) is None


@pytest.mark.parametrize("engine", ["event", "norse"])
def test_an_engine_gives_the_logits_of_its_losses_and_predictions(engine: str) -> None:
    events = patterns(16)
    experiment = parse_experiment(
        "", [f"client.engine={engine}", "model.hidden=[8]", "model.tau_syn=0.02",
             "model.init_scale=8.0", f"data.num_bins={events.num_bins}",
             f"data.duration={events.duration}"],
    )  # fmt: skip
    trainer = make_trainer(experiment, shape_of(events))
    params = initial_params(experiment.model, trainer.layout, 1)
    found = trainer.evaluate(params, events, np.arange(16))
    assert found.logits is not None
    probabilities = softmax(found.logits)
    assert (probabilities.argmax(axis=1) == found.predictions).all()
    of_label = probabilities[np.arange(16), events.labels]
    np.testing.assert_allclose(-np.log(of_label), found.losses, rtol=1e-5)
    result = evaluate(LoneTransport(), trainer, params, events, np.arange(16))
    assert result is not None
    assert result.calibration is not None
    assert result.calibration.count.sum() == 16
    assert result.calibration.correct.sum() == np.trace(result.confusion)
