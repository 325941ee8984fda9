"""An ANN's weights as a spiking network's: by hand, and its rates approach the activations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hpcfed.config.file import parse_experiment
from hpcfed.errors import InputError
from hpcfed.learning.autograd.training import matrices
from hpcfed.networks.ann import AnnNetwork
from hpcfed.networks.contract import Pass
from hpcfed.networks.conversion import spiking_experiment, spiking_params
from hpcfed.networks.layout import initial_params
from hpcfed.networks.network import build_network
from hpcfed.networks.stack import stages
from hpcfed.samples.samples import Shape

ANN = ("data.dataset=digits", "model.kind=ann", "model.activation=relu")
SHAPE = Shape((2, 6, 6), 3)
LAYERS = {
    "dense": ("model.hidden=[7, 5]",),
    "convolutions": ('model.hidden=["4c3", "p2", "d0.3", "3x3", "p", 6]',),
    "batch": ('model.hidden=["4c3", "3x3s2", 6]', "model.norm=batch", "model.norm_shift=true"),
    "bntt": ('model.hidden=["4c3", 6]', "model.norm=bntt", "model.norm_dense=false"),
    "tebn": ("model.hidden=[7, 6]", "model.norm=tebn", "model.norm_shift=true",
             "model.norm_federate=local"),
}  # fmt: skip


def weights_of(network: AnnNetwork, experiment: object) -> np.ndarray:
    """Return weights with norms that have seen something: each part is drawn, and none is 0."""
    rng = np.random.default_rng(0)
    params = initial_params(experiment.model, network.layout, 1)
    for name, place, _ in network.layout.slices():
        kind = name.rpartition(".")[2]
        if kind in ("scale", "shift", "factor", "variance"):
            params[place] = rng.uniform(0.2, 1.5, place.stop - place.start)
        if kind == "mean":
            params[place] = rng.uniform(-1.0, 0.2, place.stop - place.start)
    return params


def rates(steps: int, layers: tuple[str, ...]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return what spikes say of each layer's activations after so many steps, and these."""
    experiment = parse_experiment("", [*ANN, *layers])
    network = build_network(experiment, SHAPE)
    params = weights_of(network, experiment)
    images = torch.from_numpy(np.random.default_rng(2).uniform(-1, 1, (5, *SHAPE.input)))
    arrays = matrices(network.layout, torch.from_numpy(params).double())
    activations = network.activations(arrays, images)
    scales = [float(layer.max()) for layer in activations]

    to = build_network(spiking_experiment(experiment, steps), SHAPE)
    found = spiking_params(
        stages(experiment.model, SHAPE), network.layout.split(params), scales, to.layout
    )
    shown = images[None].expand(steps, *images.shape)
    spiking = to.forward(
        matrices(to.layout, torch.from_numpy(found).double()), shown, Pass(learn=False)
    )
    said = [
        scale * layer.double().mean(0) for scale, layer in zip(scales, spiking.spikes, strict=True)
    ]
    logits = network.forward(arrays, images, Pass(learn=False)).logits
    return (
        [layer.numpy() for layer in (*said, spiking.logits)],
        [layer.numpy() for layer in (*(layer[0] for layer in activations), logits)],
    )


@pytest.mark.parametrize("name", LAYERS)
def test_rates_approach_the_activations_and_logits_too(name: str) -> None:
    few, activations = rates(8, LAYERS[name])
    many, _ = rates(400, LAYERS[name])
    for early, late, expected in zip(few, many, activations, strict=True):
        scale = np.abs(expected).max()
        errors = [np.abs(found - expected).max() / scale for found in (early, late)]
        assert errors[1] < 0.03
        assert errors[1] < errors[0] / 4


def test_a_neuron_by_hand() -> None:
    """Input 0.3, weight 0.5: it fires in every 6.7th step, and one step stands for 1."""
    experiment = parse_experiment("", [*ANN, "model.hidden=[1]"])
    shape = Shape((1, 1, 1), 1)
    found = stages(experiment.model, shape)
    to = build_network(spiking_experiment(experiment, 100), shape)
    arrays = {"hidden0.input": np.array([[0.5]]), "readout": np.array([[2.0]])}
    params = spiking_params(found, arrays, [0.25], to.layout)
    assert params.tolist() == [2.0, 0.5]
    shown = torch.full((100, 1, 1, 1, 1), 0.3)
    activity = to.forward(matrices(to.layout, torch.from_numpy(params)), shown, Pass(learn=False))
    assert int(activity.spikes[0].sum()) == pytest.approx(100 * 0.3 * 0.5 / 0.25, abs=1)
    assert activity.logits.item() == pytest.approx(0.3 * 0.5 * 2.0, abs=0.01)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (("model.kind=snn",), r'model.kind = "snn" is no ANN'),
        (("rule.kind=bayes",), "latent weights"),
        (("data.encoder=direct",), "bin by bin"),
        (("model.recurrent=true",), "recurrent"),
        (('model.hidden=["4c3", ["repeat", "4c3"]]',), "repeated block"),
        (('model.hidden=["4c3", ["4c3"]]',), "residual block"),
        (('model.hidden=["4c3", "m2"]',), "train with average pools"),
        (('model.hidden=["4c3"]', "model.norm=group"), r'train with model.norm = "batch"'),
    ],
)
def test_what_cannot_be_converted_is_refused_with_its_reason(
    sets: tuple[str, ...], words: str
) -> None:
    kind = () if sets[0].startswith("model.kind") else ("model.kind=ann",)
    experiment = parse_experiment("", ["data.dataset=digits", *kind, *sets])
    with pytest.raises(InputError, match=f"cannot be converted: .*{words}"):
        spiking_experiment(experiment, 8)
