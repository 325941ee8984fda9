"""Events of a two-dimensional sensor keep their rows and columns on the way into convolutions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hpcfed.clients.population import Client
from hpcfed.config.file import parse_experiment
from hpcfed.learning.engines import make_trainer
from hpcfed.learning.feed import feed
from hpcfed.networks.layout import initial_params
from hpcfed.samples.binning import Binning
from hpcfed.samples.events import EventSet, bin_samples
from hpcfed.samples.samples import Shape, shape_of

PLANE = (2, 6, 5)
SETTINGS = ("data.num_bins=4", "data.duration=0.04", "client.engine=norse", "model.init_scale=6.0")


def events(count: int = 8) -> EventSet:
    """Return samples whose events lie in the left or in the right half of the sensor."""
    words = np.random.default_rng(0)
    samples = []
    for index in range(count):
        columns = words.integers(2, size=40) + 3 * (index % 2)
        places = words.integers(2, size=40), words.integers(6, size=40), columns
        samples.append((words.uniform(0, 0.039, 40), np.ravel_multi_index(places, PLANE)))
    labels = np.arange(count) % 2
    made = bin_samples(
        samples, labels, 0 * labels, binning=Binning(0.04, 4), num_channels=60,
        names=(("left", "right"), ("x",)),
    )  # fmt: skip
    return replace(made, plane=PLANE)


def test_a_network_is_fed_the_sensors_rows_and_columns() -> None:
    made = events()
    assert shape_of(made) == Shape(PLANE, 2, in_bins=True)
    inputs = feed(parse_experiment("", SETTINGS), made).batch(np.arange(8))
    assert inputs.shape == (4, 8, *PLANE)
    assert not inputs[:, ::2, :, :, 3:].any()
    assert not inputs[:, 1::2, :, :, :2].any()
    np.testing.assert_array_equal(inputs.reshape(4, 8, 60), made.dense(np.arange(8)))


@pytest.mark.parametrize("kind", ["snn", "ann"])
def test_convolutions_learn_from_events(kind: str) -> None:
    made = events(16)
    experiment = parse_experiment(
        "",
        [*SETTINGS, 'model.hidden=["4c3", "p2", 8]', f"model.kind={kind}", "client.epochs=30",
         "client.learning_rate=0.01", "client.batch_size=8"],
    )  # fmt: skip
    trainer = make_trainer(experiment, shape_of(made))
    params = initial_params(experiment.model, trainer.layout, 0)
    (update,) = trainer.train(params, made, [Client(0, np.arange(16))], 0)
    before, after = (
        trainer.evaluate(p, made, np.arange(16)).losses.mean()
        for p in (params, params + np.asarray(update.delta))
    )
    assert after < 0.5 * before
