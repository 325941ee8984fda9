"""What a network is: a layout, and a forward pass from weights and binned events to logits.

T time bins, B batch, C channels, H hidden neurons, K classes. A network has no state: weights come
in as tensors cut from the flat parameter vector, so one network serves every client. Your own
network is a function ``module:function`` named by ``model.kind``; it is called as
``function(experiment, num_channels, num_classes)`` and returns an object with the two members of
:class:`Network`. Its initial weights are drawn from its layout by ``model.init``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from hpcfed.base.dotted import resolve
from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.networks.layout import Layout, layout

if TYPE_CHECKING:
    from torch import Tensor


class Network(Protocol):
    """A differentiable function from weights and input to logits."""

    @property
    def layout(self) -> Layout:
        """Names and shapes of the weight matrices, in the order of the flat vector."""
        ...

    def forward(
        self, weights: Mapping[str, Tensor], events: Tensor
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Return logits (B, K) and the spikes of each hidden layer, (T, B, H) of zeros and ones.

        ``weights`` maps each name of the layout to a tensor of its shape; ``events`` is (T, B, C),
        of the weights' dtype and device. A network without spikes returns an empty list of them.
        """
        ...


def build_network(experiment: Experiment, num_channels: int, num_classes: int) -> Network:
    """Return the experiment's network between C input channels and K classes.

    Raises InputError if the user's own network cannot be imported, made or used.
    """
    kind = experiment.model.kind
    if ":" in kind:
        return _own_network(experiment, num_channels, num_classes)
    matrices = layout(experiment.model, num_channels, num_classes)
    if kind == "ann":
        from hpcfed.networks.ann import AnnNetwork

        return AnnNetwork(experiment.model, matrices)
    from hpcfed.networks.spiking import SpikingNetwork

    return SpikingNetwork(
        experiment.model, matrices, dt=experiment.dt, num_bins=experiment.data.num_bins
    )


def _own_network(experiment: Experiment, num_channels: int, num_classes: int) -> Network:
    path = experiment.model.kind
    function = resolve(path, "model.kind")
    network = function(experiment, num_channels, num_classes)
    if not isinstance(getattr(network, "layout", None), Layout) or not callable(
        getattr(network, "forward", None)
    ):
        raise InputError(
            f'model.kind = "{path}": it returned {type(network).__name__}, expected '
            "an object with layout (hpcfed.networks.layout.Layout) and forward(weights, events)"
        )
    _check_forward(experiment, network, num_channels, num_classes)
    return cast(Network, network)


def _check_forward(
    experiment: Experiment, network: Network, num_channels: int, num_classes: int
) -> None:
    """Try the user's network on one silent sample with zero weights, before a run begins."""
    import torch

    weights = {name: torch.zeros(shape) for name, _, shape in network.layout.slices()}
    num_bins = experiment.data.num_bins
    logits, spikes = network.forward(weights, torch.zeros(num_bins, 1, num_channels))
    if tuple(logits.shape) != (1, num_classes):
        raise InputError(
            f'model.kind = "{experiment.model.kind}": forward returned logits of shape '
            f"{tuple(logits.shape)} for one sample, expected (1, {num_classes}): batch, classes"
        )
    widths = tuple(layer.shape[-1] for layer in spikes)
    if widths not in ((), experiment.model.hidden):
        raise InputError(
            f'model.kind = "{experiment.model.kind}": forward returned the spikes of layers of '
            f"{list(widths)} neurons, expected model.hidden = {list(experiment.model.hidden)}, or "
            "no layers"
        )
