"""The kernels of spike-timing-dependent plasticity, against published values and plain code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any  # what a JSON file holds

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import Experiment
from hpcfed.learning.stdp import plan, readout
from hpcfed.learning.stdp.kernels import run_samples, train_client
from hpcfed.learning.stdp.tables import (
    Found,
    Inputs,
    Learning,
    Network,
    Workspace,
    make_sums,
    make_work,
)
from hpcfed.samples.events import EventSet
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import Shape
from tests.reference_stdp import Plain

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def experiment(
    bins: int, neurons: int, seed: int = 0, dataset: str = "spoken-digits", **stdp: Any
) -> Experiment:
    """Return an experiment of a millisecond a bin, with the published constants."""
    return Experiment.model_validate(
        {
            "seed": seed,
            "data": {"dataset": dataset, "duration": bins / 1000, "num_bins": bins},
            "rule": {"kind": "stdp", "stdp": {"neurons": neurons} | stdp},
            "client": {"optimizer": "sgd"},
        }
    )


def world(bins: int, neurons: int, inputs: int, **stdp: Any) -> Network:
    return plan.network(experiment(bins, neurons, **stdp), Shape((inputs,), 2))


def given(shown: F64, seed: int, labels: I64) -> Inputs:
    """Return samples whose input spikes are ``shown`` (n, T, C), and words of ``seed``."""
    samples, bins, channels = shown.shape
    lengths = shown.sum(axis=2).astype(int)
    offsets = np.concatenate([np.zeros((samples, 1), int), lengths.cumsum(axis=1)], axis=1)
    events = EventSet(
        channels=np.nonzero(shown)[2].astype(np.uint16),
        counts=None,
        bin_offsets=offsets.astype(np.uint32),
        sample_offsets=np.concatenate([[0], lengths.sum(axis=1).cumsum()]),
        labels=labels,
        groups=np.zeros(samples, int),
        num_channels=channels,
        duration=bins / 1000,
        class_names=("a", "b"),
        group_names=("all",),
    )
    return plan.training_inputs(experiment(bins, 1, seed), events, np.arange(samples), 0, 0)


def nothing_found(samples: int, bins: int, neurons: int, *, rasters: bool = True) -> Found:
    return Found(
        np.zeros((samples, neurons), np.int64),
        np.zeros(neurons, np.int64),
        np.zeros(1, np.int64),
        np.zeros((samples * rasters, 2, bins, neurons), bool),
    )


def drawn(seed: int, place: int) -> Callable[[I64], int]:
    """Return how one of several neurons is picked by word ``place``."""

    def pick(crossed: I64) -> int:
        if len(crossed) == 1:
            return int(crossed[0])
        word = int(Stream(seed, Purpose.WINNER, 0, 0).words(1, place)[0])
        return int(crossed[word * len(crossed) >> 32])

    return pick


def loaded(network: Network, weights: F64) -> Workspace:
    work = make_work(network, weights.shape[1])
    work.weights[:] = weights
    return work


@pytest.fixture(scope="module")
def published(test_data: Path) -> dict[str, Any]:
    """Return the values in shared/reference_rules/stdp_diehl_cook.json."""
    file = test_data.parent / "reference_rules" / "stdp_diehl_cook.json"
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.parametrize("which", ["steps", "one_call"])
def test_the_plain_program_takes_the_published_steps(published: dict[str, Any], which: str) -> None:
    plain = Plain(np.array(published["w0"]), np.zeros(3), tuple(published["nu"]))
    steps = published["steps"]
    spikes = [step["s_e"] for step in steps]
    if which == "one_call":
        spikes = published["one_call"]["spikes"]
    for t, shown in enumerate(np.array(published["input"], float)):
        plain.step(shown, lambda crossed, t=t: int(np.flatnonzero(spikes[t])[0]))  # type: ignore[misc]
        if which == "steps":
            plain.scale(published["norm"])
            plain.log[-1]["w"] = plain.weights
            for name, value in steps[t].items():
                assert_allclose(plain.log[-1][name], value, atol=2e-5, err_msg=f"{t} {name}")
    assert_array_equal([step["s_e"] for step in plain.log], spikes)
    if which == "one_call":
        assert_allclose([step["v_e"] for step in plain.log], published["one_call"]["v"], atol=2e-5)
        assert_allclose(plain.theta, published["one_call"]["theta"], atol=1e-6)


def test_the_kernel_ends_where_the_published_code_does(published: dict[str, Any]) -> None:
    """Of several neurons that cross together one is drawn: a seed is sought that draws as there."""
    network = world(40, 3, 4, norm=published["norm"])
    potentiation, depression = np.float32(published["nu"][1]), np.float32(published["nu"][0])
    shown, end = np.array([published["input"]], float), published["one_call"]
    for seed in range(2000):
        work, sums = loaded(network, np.array(published["w0"])), make_sums(3, 2)
        inputs = given(shown, seed, np.array([1]))
        train_client(network, Learning(depression, potentiation), inputs, work, sums)
        if (sums.responses[:, 1] == np.sum(end["spikes"], axis=0)).all() and np.allclose(
            work.weights, end["w_after_normalisation"], atol=1e-4
        ):
            break
    assert_allclose(work.weights, end["w_after_normalisation"], atol=1e-5)
    assert_allclose(work.theta, end["theta"], atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_training_is_what_the_plain_program_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    network = world(120, 7, 12, norm=3.0)
    shown = (random.random((4, 120, 12)) < 0.2).astype(float)
    labels = np.array([0, 1, 1, 0])
    weights = random.random((12, 7))
    weights *= 3.0 / weights.sum(axis=0)
    work, sums = loaded(network, weights), make_sums(7, 2)
    learning = Learning(np.float32(0.002), np.float32(0.05))
    train_client(network, learning, given(shown, seed, labels), work, sums)

    weights, theta = work.weights * 0.0 + weights.astype(np.float32), np.zeros(7)
    responses, inner = np.zeros((7, 2)), 0.0
    for number, sample in enumerate(shown):
        plain = Plain(weights.astype(float), theta, (0.002, 0.05))
        for t, spikes in enumerate(sample):
            plain.step(spikes, drawn(seed, number * 120 + t))
        plain.scale(3.0)
        weights, theta = plain.weights, plain.theta
        responses[:, labels[number]] += np.sum([step["s_e"] for step in plain.log], axis=0)
        inner += np.sum([step["s_i"] for step in plain.log])
    assert responses.sum() > 20
    assert_array_equal(sums.responses, responses)
    assert_array_equal(sums.spikes, [responses.sum(), inner])
    assert_allclose(work.weights, weights, atol=1e-4)
    assert_allclose(work.theta, theta, atol=1e-9)


def test_evaluation_is_the_plain_program_without_learning() -> None:
    random = np.random.default_rng(5)
    network = world(90, 6, 10)
    shown = (random.random((3, 90, 10)) < 0.3).astype(float)
    weights, theta = random.random((10, 6)) * 0.4, random.random(6)
    work = loaded(network, weights)
    work.theta[:] = theta
    before = work.weights.copy()
    found = nothing_found(3, 90, 6)
    inputs = given(shown, 9, np.zeros(3, int))
    run_samples(network, inputs, work, found)
    for number, sample in enumerate(shown):
        plain = Plain(before.astype(float), theta, learns=False)
        for t, spikes in enumerate(sample):
            plain.step(spikes, drawn(9, number * 90 + t))
        assert_array_equal(found.rasters[number, 0], [step["s_e"] for step in plain.log])
        assert_array_equal(found.rasters[number, 1], [step["s_i"] for step in plain.log])
        assert_array_equal(found.counts[number], found.rasters[number, 0].sum(axis=0))
    assert found.counts.sum() > 10
    assert_array_equal(found.inner, found.rasters[:, 1].sum(axis=(0, 1)))
    assert_array_equal(work.weights, before)
    assert_array_equal(work.theta, theta)


def test_pixels_spike_by_words_at_their_place() -> None:
    """Pixel i of image number m spikes in bin t where word (m C + i) T + t is below its chance."""
    pixels = np.array([[0, 1, 100, 200, 255], [9, 0, 255, 128, 64]], np.uint8)
    images = ImageSet(
        pixels.reshape(2, 1, 1, 5), np.zeros(2, int), np.zeros(2, int), ("a", "b"), ("all",)
    )
    told = experiment(7, 2, 3, "digits", intensity=600.0)
    network = plan.network(told, Shape(images.shape, 2))
    inputs = plan.training_inputs(told, images, np.array([1, 0]), 1, 4)
    stream, work = Stream(3, Purpose.ENCODING, 1, 4), loaded(network, np.ones((5, 2)))
    for number, image in enumerate((1, 0)):
        places = {name: getattr(inputs, name)[[number]] for name in ("samples", "starts")}
        found = nothing_found(1, 7, 2, rasters=False)
        run_samples(network, inputs._replace(**places), work, found)
        words = stream.words(35, number * 35).reshape(5, 7) / 2**32
        expected = words < 0.6 / 255 * pixels[image][:, None]
        for t in range(7):
            shown = work.spikes.channels[t, : work.spikes.counts[t]]
            assert_array_equal(shown, np.flatnonzero(expected[:, t]))
        assert found.entering[0] == expected.sum()


def test_classes_are_read_as_published(published: dict[str, Any]) -> None:
    table = published["labels"]
    counts, labels = np.array(table["counts"]), np.array(table["labels"])
    responses = np.stack([counts[labels == one].sum(axis=0) for one in range(3)], axis=1)
    shown = np.full(responses.shape, 2.0)
    mean = readout.rates(responses.astype(float), shown)
    assert_allclose(mean, table["rates"])
    assert_array_equal(readout.labels(mean), table["assignments"])
    assert_array_equal(readout.by_labels(counts, mean).argmax(axis=1), table["all_activity"])
    by_proportions = readout.by_proportions(counts, mean)
    assert_array_equal(by_proportions.argmax(axis=1), table["proportion_weighting"])


def test_counts_are_read_as_of_poisson_neurons() -> None:
    responses, shown = np.array([[9.5, 1.5], [0.5, 3.5]]), np.array([[4.0, 9.0], [4.0, 9.0]])
    counts, mean = np.array([[3, 0], [0, 2]]), np.array([[2.0, 0.2], [0.2, 0.4]])
    expected = (counts[:, :, None] * np.log(mean) - mean).sum(axis=1)
    assert_allclose(readout.by_counts(counts, responses, shown), expected)
