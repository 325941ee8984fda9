"""What is known of FedSNN's network (arXiv 2106.06579): its input, its bytes, and its chaos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hpcfed.config import Experiment
from hpcfed.config.file import read_experiment
from hpcfed.config.jobs import find_job
from hpcfed.datasets.image_files import cifar
from hpcfed.federation.uplink.averaging import averaging
from hpcfed.federation.uplink.messages import Uplink
from hpcfed.learning.feed import Encoded
from hpcfed.networks.contract import Pass
from hpcfed.networks.layout import initial_params
from hpcfed.networks.network import build_network
from hpcfed.networks.stack import stack_layout
from hpcfed.samples.encoders import scaled
from hpcfed.samples.samples import Shape

CIFAR = Shape((3, 32, 32), 10)
NARROW = 'model.hidden=["16c3","16c3","p2","32c3","32c3","p2","64c3","64c3","64c3","p2",256]'


def fedsnn(*overrides: str) -> Experiment:
    return read_experiment(find_job(Path("fedsnn")), overrides)


def test_signed_poisson_input_is_half_of_the_pixel_on_average(test_data: Path) -> None:
    images = cifar([test_data / "cifar10_subset" / "test_batch.bin"])
    ids, bins = np.arange(10), 400  # a few hundred MB
    found = Encoded(fedsnn(f"data.num_bins={bins}"), images, "signed-poisson").batch(ids)
    x = scaled(images.pixels[ids]).astype(np.float64)
    error = np.sqrt((np.abs(x) / 2 - x**2 / 4) / bins)
    away = np.abs(found.mean(0) - x / 2) / np.maximum(error, 1e-9)
    assert away.max() < 6  # of 30,720 pixels
    assert (away < 4).mean() > 0.9995
    more = Encoded(fedsnn("data.num_bins=1"), images, "signed-poisson").batch(np.arange(2000))
    assert 0.21 < (more != 0).mean() < 0.23


def test_masks_touch_the_weights_alone_and_bytes_say_so() -> None:
    layout = stack_layout(fedsnn().model, CIFAR, 20)
    sizes = []
    for overrides in ((), ("uplink.mask=bernoulli", "uplink.mask_probability=0.9")):
        experiment = fedsnn(*overrides)
        weighting = averaging(experiment, np.ones(2, np.int64), np.zeros(2), layout)
        uplink = Uplink(experiment.uplink, weighting, 0, layout)
        sizes.append(uplink.expected_message_bytes())
    weights, scales, statistics = 23.755520e6, 0.174080e6, 0.348160e6
    assert sizes[0] == weights + scales + statistics
    assert sizes[1] == pytest.approx(0.1 * weights + scales + statistics, rel=1e-6)


def test_one_flipped_spike_of_the_input_grows_through_the_layers() -> None:
    """So engines can be compared layer by layer alone, and whole networks by rates."""
    experiment = fedsnn(NARROW, "data.num_bins=8")
    network = build_network(experiment, CIFAR)
    params = torch.tensor(initial_params(experiment.model, network.layout, 0))
    weights = {name: params[place].view(size) for name, place, size in network.layout.slices()}
    words = torch.Generator().manual_seed(0)
    x = torch.randint(-1, 2, (8, 4, 3, 32, 32), generator=words).float()
    flipped = x.clone()
    flipped[0, 0, 0, 16, 16] = 1 - flipped[0, 0, 0, 16, 16]
    with torch.no_grad():
        one, other = (network.forward(weights, y, Pass(learn=True)).spikes for y in (x, flipped))
    differs = [float((a != b).float().mean()) for a, b in zip(one, other, strict=True)]
    rates = [
        float(abs(a.float().mean() - b.float().mean())) for a, b in zip(one, other, strict=True)
    ]
    assert 0 < differs[0] < 1e-3
    assert differs[6] > 20 * differs[0]
    assert max(rates) < 0.01
