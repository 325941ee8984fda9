"""What a network spends on a sample: counted neuron by neuron, the same in every engine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hpcfed.config.file import build_experiment
from hpcfed.federation.costs import costs
from hpcfed.federation.evaluation import SplitResult, evaluate
from hpcfed.federation.job import build_job
from hpcfed.federation.mpi import transport as mpi
from hpcfed.federation.mpi.transport import Transport
from hpcfed.networks.layout import initial_params

KEYS: dict[str, Any] = {
    "data": {
        "dataset": "spoken-digits",
        "duration": 0.7,
        "num_bins": 50,
        "validation_fraction": 0.2,
    },
    "model": {"hidden": [12, 9], "init_scale": 3.0, "tau_syn": 0.02},
}


def found(engine: str, **model: Any) -> tuple[Any, Any, SplitResult]:
    tree = {**KEYS, "client": {"engine": engine}, "model": {**KEYS["model"], **model}}
    experiment = build_experiment(tree, "test")
    job = build_job(experiment, 1, 0)
    params = initial_params(experiment.model, job.trainer.layout, 0)
    samples = job.data.validation_ids[:70]
    world = Transport(mpi.world())
    result = evaluate(world, job.trainer, params, job.data.train, samples)
    assert result is not None
    return job, (params, samples), result


@pytest.mark.parametrize("recurrent", [False, True])
def test_spikes_and_accumulates_are_those_of_a_plain_count(recurrent: bool) -> None:
    job, (params, samples), result = found("norse", recurrent=recurrent)
    layers = job.trainer.hidden_spikes(params, job.data.train, samples)
    columns = costs(job, result)
    spikes = [float(layer.sum()) / len(samples) for layer in layers]
    assert columns["spikes_per_sample"] == pytest.approx(sum(spikes))
    events = float(job.data.train.num_spikes[samples].mean())
    plain = events * 12 + spikes[0] * 9 + spikes[1] * job.trainer.layout.shapes[-1][0]
    plain += (spikes[0] * 12 + spikes[1] * 9) if recurrent else 0
    assert columns["accumulates_per_sample"] == pytest.approx(plain)
    dead = max(float((layer.sum((0, 1)) == 0).mean()) for layer in layers)
    busy = max(float((layer.mean((0, 1)) >= 0.95).mean()) for layer in layers)
    assert (columns["silent_neurons"], columns["saturated_neurons"]) == (dead, busy)
    assert result.neurons.tolist() == np.concatenate([x.sum((0, 1)) for x in layers]).tolist()


def test_a_network_without_spikes_has_silent_neurons_alone() -> None:
    job, _, result = found("event", threshold=1e6)
    columns = costs(job, result)
    assert columns["silent_neurons"] == 1
    assert columns["spikes_per_sample"] == 0


def test_neurons_that_always_spike_are_saturated() -> None:
    job, _, result = found("norse", threshold=1.0)
    bins, samples = job.experiment.data.num_bins, result.num_samples
    neurons = np.zeros(21, np.int64)
    neurons[:3] = bins * samples
    columns = costs(job, SplitResult(**{**vars(result), "neurons": neurons}))
    assert columns["saturated_neurons"] == 3 / 12
    assert columns["silent_neurons"] == 1.0  # all of the second layer


def test_engines_count_the_same_neurons() -> None:
    event, norse = (found(engine)[2] for engine in ("event", "norse"))
    assert event.neurons.tolist() == norse.neurons.tolist()
    assert event.neurons.sum() == event.spikes.sum()


def test_an_ann_spends_no_spikes_and_what_was_not_evaluated_is_not_known() -> None:
    job, _, result = found("norse", kind="ann")
    assert all(math.isnan(value) for value in costs(job, result).values())
    spiking = found("event")[0]
    assert all(math.isnan(value) for value in costs(spiking, None).values())
