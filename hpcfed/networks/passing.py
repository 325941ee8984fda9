"""What weights and pools do to a signal, all time bins at once.

T time bins, B batch, C channels, H neurons.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

from hpcfed.config.stack import Convolution, Pool
from hpcfed.networks.stack import Stage


def driven(stage: Stage, weights: Mapping[str, Tensor], signal: Tensor) -> Tensor:
    """Return what flows into the neurons of ``stage``: (T, B, *stage.output)."""
    weight = weights[f"{stage.name}.input"]
    if not isinstance(stage.spec, Convolution):
        return project(signal.flatten(2), weight)
    spec = stage.spec
    found = conv2d(
        signal.flatten(0, 1), weight, stride=spec.stride, padding=spec.padding, groups=spec.groups
    )
    return found.view(*signal.shape[:2], *found.shape[1:])


def pooled(stage: Stage, signal: Tensor) -> Tensor:
    """Return (T, B, *stage.output)."""
    assert isinstance(stage.spec, Pool)  # a stage without a name
    if stage.spec.size == 0:
        return signal.mean((-2, -1), keepdim=True)
    pool = max_pool2d if stage.spec.maximum else avg_pool2d
    found = pool(signal.flatten(0, 1), stage.spec.size)
    return found.view(*signal.shape[:2], *found.shape[1:])


def project(signal: Tensor, weight: Tensor) -> Tensor:
    """Return ``signal`` (T, B, C) times ``weight`` (H, C) transposed: (T, B, H), one product."""
    num_bins, batch, channels = signal.shape
    return (signal.reshape(num_bins * batch, channels) @ weight.t()).view(num_bins, batch, -1)
