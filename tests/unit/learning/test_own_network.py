"""Networks of one's own on images: kernels of rank 4, statistics, the pass, layers of their own."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import batch_norm, conv2d

from hpcfed.clients.population import Client
from hpcfed.config.file import parse_experiment
from hpcfed.learning.engines import make_trainer
from hpcfed.networks.contract import Activity, Layer, Pass
from hpcfed.networks.layout import Layout, Part, initial_params
from hpcfed.samples.encoders import scaled
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import shape_of
from tests.unit.samples.test_images import images


class Normed:
    """A convolution, a batch norm whose running mean is a statistic, and a readout."""

    def __init__(self, inputs: tuple[int, int, int], num_classes: int) -> None:
        self.layout = Layout(
            (
                Part("kernel", (4, inputs[0], 3, 3)),
                Part("readout", (num_classes, 4)),
                Part("scale", (4,), "ones", masked=False),
                Part("mean", (4,), "zeros", trained=False, masked=False),
                Part("variance", (4,), "ones", trained=False, masked=False),
            )
        )
        self.layers = (Layer("conv", 4, 4 * inputs[0] * 9),)

    def forward(self, weights: dict[str, torch.Tensor], x: torch.Tensor, call: Pass) -> Activity:
        """Return logits and, where the pass learns, new running statistics."""
        mean, variance = weights["mean"].detach().clone(), weights["variance"].detach().clone()
        drive = conv2d(x, weights["kernel"], padding=1)
        normed = batch_norm(drive, mean, variance, weights["scale"], training=call.learn)
        logits = normed.relu().mean((2, 3)) @ weights["readout"].t()
        return Activity(logits, (), {"mean": mean, "variance": variance} if call.learn else {})


def make(experiment: object, inputs: tuple[int, int, int], num_classes: int) -> Normed:
    return Normed(inputs, num_classes)


def trainer_of(data: ImageSet, *overrides: str):
    experiment = parse_experiment(
        "", [f"model.kind={__name__}:make", "client.batch_size=4", *overrides]
    )
    trainer = make_trainer(experiment, shape_of(data))
    return trainer, initial_params(experiment.model, trainer.layout, 0)


def test_statistics_are_what_the_passes_made_them_and_optimisers_leave_them_alone() -> None:
    data = images(8)
    trainer, params = trainer_of(data, "client.weight_decay=0.5", "client.proximal=0.5")
    (update,) = trainer.train(params, data, [Client(0, np.arange(4))], 0)
    assert update.delta[: trainer.layout.num_trained].any()
    weights = {name: torch.tensor(part) for name, part in trainer.layout.split(params).items()}
    pixels = torch.tensor(scaled(data.pixels[:4]))
    expected = Normed((2, 3, 5), 2).forward(weights, pixels, Pass(True)).statistics
    moved = trainer.layout.split(params + np.asarray(update.delta))
    np.testing.assert_allclose(moved["mean"], expected["mean"], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(moved["variance"], expected["variance"], rtol=1e-5)


def test_evaluation_uses_the_statistics_and_changes_nothing() -> None:
    data = images(8)
    trainer, params = trainer_of(data)
    params[-8:-4] += 1000.0  # nothing passes a rectifier that is shifted so far below
    found = trainer.evaluate(params, data, np.arange(8))
    np.testing.assert_allclose(found.losses, np.log(2), rtol=1e-6)
    again = trainer.evaluate(params, data, np.arange(8))
    assert again.losses.tobytes() == found.losses.tobytes()


def test_a_network_names_its_own_layers() -> None:
    trainer, _ = trainer_of(images(8))
    assert trainer.layers == (Layer("conv", 4, 72),)
