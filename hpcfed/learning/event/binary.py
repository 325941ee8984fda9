"""Local training of latent weights on events: weights are drawn for each batch, then as ever.

P parameters. The latent weights, the optimiser and the random words know the flat vector alone, in
which each entry has its place on every engine; the kernels' packed weights are made from it for
each step, and their gradient is taken back to it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import compiled, inner
from hpcfed.learning.constants import Optimiser, Reals, RealType
from hpcfed.learning.event.kernels import batch_gradient, flatten, packed, transpose
from hpcfed.learning.event.optimiser import adjust, optimise
from hpcfed.learning.event.tables import Inputs, NetworkConstants, aligned
from hpcfed.learning.event.work import Workspace, fill
from hpcfed.learning.latents import Binary, draw_weights, keep_within, pull, turn

I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]


class Latents(NamedTuple):
    """Latent weights in training; kept from client to client, like the work space.

    Attributes:
        current: (P,), then the trained minus the received ones.
        values: (P,) the drawn weights, then their gradient.
        slopes: (P,) what turns that into the latent weights' gradient.
    """

    current: Reals
    values: Reals
    slopes: Reals


class Source(NamedTuple):
    """Where a client's weights come from.

    Attributes:
        binary: what latent weights stand for.
        address: of the stream of their noise.
        received: (P,) latent weights as received.
    """

    binary: Binary
    address: U32
    received: Reals


def make_latents(size: int, dtype: RealType) -> Latents:
    """Return room for P = ``size`` latent weights."""
    return Latents(*(aligned(size, dtype) for _ in range(3)))


@compiled
def train_latents(
    network: NetworkConstants,
    optimiser: Optimiser,
    inputs: Inputs,
    steps: I64,
    source: Source,
    room: tuple[Latents, Workspace],
) -> tuple[float, int]:
    """Do what ``kernels.train_client`` does, on latent weights; returns the same.

    Leaves the trained minus the received ones in ``latents.current``.
    """
    (latents, work), plan, total = room, network.plan, 0.0
    current = latents.current
    for k in range(len(current)):
        current[k] = source.received[k]
    work.spikes[:] = 0
    work.activity[:] = 0
    fill(work.gradient, 0.0)
    for step in range(len(steps) - 1):
        start = step * plan.num_bins * len(current)
        draw_weights(source.binary, current, source.address, start, latents.values, latents.slopes)
        packed(plan, latents.values, work.weights)
        transpose(plan, work)
        loss = batch_gradient(network, inputs, steps[step], steps[step + 1], work)
        total += loss * (steps[step + 1] - steps[step])
        _learn(network, optimiser, step, source, room)
    for k in range(len(current)):
        current[k] -= source.received[k]
    spikes = 0
    for layer in range(len(work.spikes)):
        spikes += work.spikes[layer]
    return total, spikes // (2 if network.penalty.strength > 0 else 1)


@inner
def _learn(
    network: NetworkConstants,
    optimiser: Optimiser,
    step: int,
    source: Source,
    room: tuple[Latents, Workspace],
) -> None:
    """Take an optimiser step of the latent weights; leaves the weights' gradient zero."""
    latents, work = room
    current, gradient = latents.current, latents.values
    flatten(network.plan, work.gradient, gradient)
    fill(work.gradient, 0.0)
    turn(latents.slopes, gradient)
    adjust(optimiser, current, source.received, gradient)
    pull(source.binary, optimiser.rate, current)
    optimise(optimiser, step + 1, current, gradient, work.first, work.second)
    keep_within(source.binary, current)
