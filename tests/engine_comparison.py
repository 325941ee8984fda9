"""Compare the norse reference with the plain twin in float64, on random weights and input."""

from __future__ import annotations

import numpy as np
import reference_network as twin
import torch
from numpy.testing import assert_allclose, assert_array_equal

from hpcfed.config import Experiment
from hpcfed.learning.autograd.training import rate_penalty
from hpcfed.networks.contract import Pass
from hpcfed.networks.network import build_network
from hpcfed.samples.samples import Shape

LEARN = Pass(learn=True, rates=True)


def assert_engine_agrees(
    experiment: Experiment, num_channels: int, num_classes: int, *, seed: int, batch: int = 4
) -> float:
    """Require equal spikes, and logits, loss and gradients within 1e-9; return the spike rate."""
    network = build_network(experiment, Shape((num_channels,), num_classes))
    rng = np.random.default_rng(seed)
    events = (rng.random((experiment.data.num_bins, batch, num_channels)) < 0.3).astype(float)
    labels = rng.integers(0, num_classes, batch)
    weights = {
        name: rng.uniform(-2, 2.4, shape) / np.sqrt(shape[1])
        for name, _, shape in network.layout.slices()
    }
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in weights.items()}
    logits, spikes, *_ = network.forward(leaves, torch.tensor(events), LEARN)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
    loss = loss + rate_penalty(experiment.client, spikes)
    gradients = torch.autograd.grad(loss, list(leaves.values()))

    trace = twin.run(experiment, weights, events)
    expected = twin.gradients(experiment, weights, trace, labels)
    for ours, layer in zip(spikes, trace.layers, strict=False):
        assert_array_equal(ours.detach().numpy(), layer.spikes)
    assert len(spikes) == (0 if experiment.model.kind == "ann" else len(trace.layers))
    assert_allclose(logits.detach().numpy(), trace.logits, rtol=1e-9, atol=1e-12)
    assert_allclose(loss.item(), twin.loss(experiment, trace, labels), rtol=1e-9)
    for (name, plain), gradient in zip(expected.items(), gradients, strict=True):
        scale = np.abs(plain).max()
        assert_allclose(gradient.numpy(), plain, rtol=1e-9, atol=1e-12 + 1e-9 * scale, err_msg=name)
    return float(trace.layers[-1].spikes.mean())
