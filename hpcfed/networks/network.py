"""From an experiment to its network, one's own among them.

C channels, K classes. Your own network is a function ``module:function`` named by ``model.kind``;
it is called as ``function(experiment, inputs, num_classes)``, where ``inputs`` is C, or the shape
of an image or a sensor. It returns an object with ``layout`` and ``forward``, as
``contract.Network`` describes them. Its keys, if any, stand in ``[model.own]``. A plain one may
take weights and input alone and return (logits, spikes). Its initial weights are drawn from its
layout by ``model.init``. Or the function returns a torch module, as ``hpcfed.module(...)``, which
begins with the values that it was made with; torch then draws by the run's seed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any  # Any: a user's object, checked

from hpcfed.base.dotted import function as function_at
from hpcfed.config import Experiment
from hpcfed.config.soft_lif import SOFT_LIF
from hpcfed.errors import InputError
from hpcfed.networks.contract import Activity, Layer, Network, Pass
from hpcfed.networks.layout import Layout
from hpcfed.networks.stack import dense_layers, products, stack_layers, stack_layout, stages
from hpcfed.samples.samples import Shape

if TYPE_CHECKING:
    from torch import Tensor

    from hpcfed.networks.module import OwnModule


_ARGUMENTS = ("experiment", "inputs", "num_classes")


def build_network(experiment: Experiment, shape: Shape) -> Network:
    """Return the experiment's network for input and classes of ``shape``.

    Raises InputError if the user's own network cannot be imported, made or used.
    """
    kind, model = experiment.model.kind, experiment.model
    if ":" in kind:
        return _own_network(experiment, shape)
    num_bins = experiment.data.num_bins
    if kind == "ann" and not _in_bins(experiment, shape):
        num_bins = 1
    once = 1 if kind == SOFT_LIF else num_bins  # by rates it learns without time
    parts, layers = stack_layout(model, shape, once), stack_layers(model, shape)
    found, counted = stages(model, shape), products(model, shape, num_bins)
    if kind == "ann":
        from hpcfed.networks.ann import AnnNetwork

        return AnnNetwork(model, parts, layers, found, counted, num_bins)
    if kind == SOFT_LIF:
        from hpcfed.networks.rates import RateNeurons
        from hpcfed.networks.soft_lif import SoftLifNetwork

        neurons = RateNeurons.of(model.rates, experiment.dt)
        return SoftLifNetwork(model, parts, layers, found, counted, once, neurons, num_bins)
    from hpcfed.networks.spiking import SpikingNetwork

    return SpikingNetwork(model, parts, layers, found, counted, dt=experiment.dt, num_bins=num_bins)


def _in_bins(experiment: Experiment, shape: Shape) -> bool:
    """Say whether input comes bin by bin, as events and encoded images do."""
    return len(shape.input) == 1 or shape.in_bins or experiment.data.encoder is not None


@dataclass(frozen=True)
class _Plain:
    """A user's network that takes weights and input alone, and returns (logits, spikes)."""

    network: Any
    layers: tuple[Layer, ...]

    @property
    def layout(self) -> Layout:
        found: Layout = self.network.layout
        return found

    def forward(self, weights: Mapping[str, Tensor], inputs: Tensor, call: Pass) -> Activity:
        return Activity(*self.network.forward(weights, inputs))


@dataclass(frozen=True)
class _Own(_Plain):
    """A user's network that takes the pass as well; it may name its layers."""

    def forward(self, weights: Mapping[str, Tensor], inputs: Tensor, call: Pass) -> Activity:
        return Activity(*self.network.forward(weights, inputs, call))


def _own_network(experiment: Experiment, shape: Shape) -> Network:
    path = experiment.model.kind
    inputs = shape.input[0] if len(shape.input) == 1 else shape.input
    from hpcfed.networks.module import OwnModule, made_under

    make = function_at(path, "model.kind", *_ARGUMENTS)
    with made_under(experiment.seed):
        network = make(experiment, inputs, shape.classes)
    if isinstance(network, OwnModule):
        return _of_module(experiment, network, shape)
    forward = getattr(network, "forward", None)
    if not isinstance(getattr(network, "layout", None), Layout) or not callable(forward):
        raise InputError(
            f'model.kind = "{path}": it returned {type(network).__name__}, expected '
            "an object with layout (hpcfed.Layout) and forward(weights, inputs), or a torch module "
            "as hpcfed.module(...)"
        )
    kind = _Own if len(inspect.signature(forward).parameters) > 2 else _Plain
    own = kind(network, getattr(network, "layers", None) or dense_layers(experiment.model, 0))
    _check_forward(experiment, own, shape)
    return own


def _of_module(experiment: Experiment, own: OwnModule, shape: Shape) -> Network:
    from hpcfed.networks.module import fitted

    one, num_bins = _silent(experiment, shape), experiment.data.num_bins
    if own.each_bin and not _in_bins(experiment, shape):
        raise InputError(
            f'model.kind = "{experiment.model.kind}": its module takes one bin after the other '
            "(each_bin), and these images come without time; set data.encoder"
        )
    try:
        return fitted(own, one, shape.classes, num_bins, experiment.seed)
    except InputError as error:
        raise InputError(f'model.kind = "{experiment.model.kind}": {error}') from error


def _silent(experiment: Experiment, shape: Shape) -> Tensor:
    """Return the input of one sample without spikes."""
    import torch

    steps = (experiment.data.num_bins,) if _in_bins(experiment, shape) else ()
    return torch.zeros(*steps, 1, *shape.input)


def _check_forward(experiment: Experiment, network: Network, shape: Shape) -> None:
    """Try the user's network on one silent sample with zero weights, before a run begins."""
    import torch

    weights = {name: torch.zeros(size) for name, _, size in network.layout.slices()}
    found = network.forward(weights, _silent(experiment, shape), Pass(learn=False))
    if tuple(found.logits.shape) != (1, shape.classes):
        raise InputError(
            f'model.kind = "{experiment.model.kind}": forward returned logits of shape '
            f"{tuple(found.logits.shape)} for one sample, expected (1, {shape.classes}): batch, "
            "classes"
        )
    widths = [layer[0, 0].numel() for layer in found.spikes]
    expected = [layer.neurons for layer in network.layers]
    if widths not in ([], expected):
        raise InputError(
            f'model.kind = "{experiment.model.kind}": forward returned the spikes of layers of '
            f"{widths} neurons, expected {expected} (model.hidden, or the network's own layers), "
            "or no layers"
        )
