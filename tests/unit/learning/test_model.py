"""A trained model gives logits and hidden spikes as well as predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hpcfed
from hpcfed.config.file import parse_experiment
from hpcfed.datasets import load


@pytest.mark.parametrize("engine", ["event", "norse"])
def test_logits_and_hidden_spikes_are_those_of_the_predictions(tmp_path: Path, engine: str) -> None:
    settings = [
        "data.duration=0.3", "data.num_bins=30", "data.classes=[0, 1, 2, 3, 4]",
        "model.hidden=[5, 4]", "model.init_scale=8.0",
        "server.rounds=1", f"client.engine={engine}",
    ]  # fmt: skip
    experiment = parse_experiment("", settings)
    hpcfed.run(experiment, out=tmp_path)
    model, events = hpcfed.load(tmp_path), load(experiment.data).train
    samples = np.flatnonzero(events.labels >= 0)[:150]  # more than one batch
    found = model.evaluate(events, samples)
    logits = model.logits(events, samples)
    assert logits.shape == (150, 5)
    assert logits.argmax(1).tolist() == found.predictions.tolist()
    shifted = logits - logits.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(150), events.labels[samples]]
    assert found.loss == pytest.approx(losses.mean(), rel=1e-5)
    spikes = model.hidden_spikes(events, samples)
    assert [layer.shape for layer in spikes] == [(150, 30, 5), (150, 30, 4)]
    assert all(layer.dtype == bool for layer in spikes)
    assert any(layer.any() for layer in spikes)
