"""Whole local trainings that every engine does alike, and what counts as alike."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_events import patterns

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.engines import make_trainer
from hpcfed.learning.trainer import LocalUpdate, Trainer
from hpcfed.networks.layout import initial_params
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import Shape

MODEL = {"hidden": [24], "tau_mem": 0.02, "tau_syn": 0.02, "init_scale": 4.0}
SGD = {"optimizer": "sgd", "learning_rate": 0.3}


def experiment(engine: str, epochs: int = 2, **tables: dict[str, object]) -> Experiment:
    """Return an experiment on ``samples``, 20 bins of 30 channels unless told."""
    client = {"batch_size": 8, "learning_rate": 0.01, "epochs": epochs, "engine": engine}
    client |= tables.get("client", {})
    return Experiment.model_validate(
        {
            "data": {"duration": 0.2, "num_bins": 20} | tables.get("data", {}),
            "model": MODEL | tables.get("model", {}),
            "client": {key: value for key, value in client.items() if value is not None},
            "stop": {"silent": {"alpha": 12}, "saturated": 0.05},  # some samples are
            "seed": 3,
        }
    )


def samples(num_bins: int = 20) -> EventSet:
    """Return 60 samples of 5 classes."""
    return patterns(60, num_bins=num_bins, num_channels=30, num_classes=5)


def clients() -> list[Client]:
    """Return clients of 22, 8, 1, 19 and 10 samples: batches of eight leave tails of 6, 3 and 2."""
    ids = np.split(np.random.default_rng(1).permutation(60), [22, 30, 31, 50])
    return [Client(7 * index + 2, part) for index, part in enumerate(ids)]


def trainer_of(settings: Experiment) -> Trainer:
    """Return the trainer of 30 channels and 5 classes."""
    return make_trainer(settings, Shape((30,), 5))


def start(settings: Experiment) -> np.ndarray:
    """Return the first parameters."""
    return initial_params(settings.model, trainer_of(settings).layout, settings.seed)


def assert_same_update(ours: LocalUpdate, theirs: LocalUpdate) -> None:
    """Require updates within 1e-3 of their norm, equal rates, and losses within 1e-5."""
    delta, expected = np.asarray(ours.delta), np.asarray(theirs.delta)
    assert delta.dtype == np.float32
    assert np.linalg.norm(delta - expected) <= 1e-3 * np.linalg.norm(expected)
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)
    assert ours.hidden_rate == pytest.approx(theirs.hidden_rate, rel=1e-9)
    assert ours.activity is not None
    assert theirs.activity is not None
    assert ours.activity.tolist() == theirs.activity.tolist()
