"""Silent and saturated samples: by hand, and as each engine counts them while it trains."""

from __future__ import annotations

import numpy as np
import pytest
from engine_trainings import clients, experiment, samples, start, trainer_of

from hpcfed.config.file import parse_experiment
from hpcfed.learning.silence import limits
from hpcfed.networks.contract import Layer

LAYERS = (Layer("hidden0", 10, 0), Layer("hidden1", 3, 0))


def test_limits_are_those_of_the_file_or_of_none() -> None:
    bins = ["data.num_bins=20", "data.duration=0.2"]
    assert limits(parse_experiment("", bins), LAYERS).tolist() == [[1, 190], [1, 57]]
    told = parse_experiment("[stop]\nsaturated = 0.5\nsilent = { alpha = 7 }\n", bins)
    assert limits(told, LAYERS).tolist() == [[7, 100], [7, 30]]


def counted(spikes: np.ndarray, bounds: np.ndarray) -> list[list[int]]:
    """Return samples, silent and saturated ones of layers that sent ``spikes`` (L, B)."""
    return [
        [len(layer), sum(n < least for n in layer), sum(n >= most for n in layer)]
        for layer, (least, most) in zip(spikes.tolist(), bounds.tolist(), strict=True)
    ]


@pytest.mark.parametrize("engine", ["event", "norse"])
@pytest.mark.parametrize("hidden", [[24], [24, 17]])
def test_training_counts_the_spikes_of_its_samples(engine: str, hidden: list[int]) -> None:
    tables = {"client": {"optimizer": "sgd", "learning_rate": 1e-18}, "model": {"hidden": hidden}}
    settings = experiment(engine, epochs=1, **tables)  # type: ignore[arg-type]
    trainer, params, events = trainer_of(settings), start(settings), samples()
    bounds, found = limits(settings, trainer.layers), []
    for client, update in zip(clients(), trainer.train(params, events, clients(), 0), strict=True):
        spikes = trainer.hidden_spikes(params, events, client.samples)
        expected = counted(np.stack([layer.sum((1, 2)) for layer in spikes]), bounds)
        assert update.activity is not None
        assert update.activity.tolist() == expected
        found.append(expected)
    total = np.sum(found, axis=0)
    assert (total[:, 0] == 60).all()
    assert 0 < total[0, 1] < 60


def test_an_ann_has_no_silence() -> None:
    settings = experiment("norse", model={"kind": "ann"})
    (update, *_) = trainer_of(settings).train(start(settings), samples(), clients(), 0)
    assert update.activity is None
