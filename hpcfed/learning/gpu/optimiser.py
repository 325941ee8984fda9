"""The optimisers of local training over all clients at once; the numbers of ``optimisers``.

P parameters, G clients. The proximal term, the clipping of the norm and the weight decay come first
and in this order. The square of a norm is a sum of float64 in tiles of TILE parameters, added in
one order.
"""

from __future__ import annotations

import triton
import triton.language as tl

TILE = tl.constexpr(1024)
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Kingma and Ba 2015, arXiv 1412.6980


@triton.jit
def squares(sums, gradient, weights, received, num_weights, proximal, PROXIMAL: tl.constexpr):
    """Write the squared norm of each tile of the gradient with the proximal term, in float64.

    ``sums`` (G, tiles); ``received`` (P,). Grid: (tiles, clients).
    """
    client = tl.program_id(1).to(tl.int64)
    at = tl.program_id(0) * TILE + tl.arange(0, TILE)
    inside = at < num_weights
    slope = tl.load(gradient + client * num_weights + at, mask=inside, other=0.0)
    if PROXIMAL:
        weight = tl.load(weights + client * num_weights + at, mask=inside, other=0.0)
        slope += proximal * (weight - tl.load(received + at, mask=inside, other=0.0))
    wide = slope.to(tl.float64)
    tile = client * tl.num_programs(0) + tl.program_id(0)
    tl.store(sums + tile, tl.sum(wide * wide, axis=0))


@triton.jit
def optimise(
    weights, gradient, first, second, received, sums, counts, rates, num_weights, num_tiles,
    momentum, weight_decay, proximal, clip_norm, new1, old2, new2, epsilon,
    ADAM: tl.constexpr, PROXIMAL: tl.constexpr, CLIPPED: tl.constexpr, DECAYED: tl.constexpr,
    TILES: tl.constexpr,
):  # fmt: skip
    """Take a step of every client that has a batch; changes ``weights`` and moments in place.

    ``rates`` (4,) float32: the learning rate, with Adam's correction of the first moment, and that
    of the second;
    TILES is a power of two that holds all tiles of a norm. Grid: (tiles, clients).
    """
    client = tl.program_id(1).to(tl.int64)
    if tl.load(counts + client) == 0:
        return
    within = tl.program_id(0) * TILE + tl.arange(0, TILE)
    inside, at = within < num_weights, client * num_weights + within
    weight = tl.load(weights + at, mask=inside, other=0.0)
    slope = tl.load(gradient + at, mask=inside, other=0.0)
    if PROXIMAL:
        slope += proximal * (weight - tl.load(received + within, mask=inside, other=0.0))
    if CLIPPED:
        tile = tl.arange(0, TILES)
        parts = tl.load(sums + client * num_tiles + tile, mask=tile < num_tiles, other=0.0)
        norm = tl.sqrt(tl.sum(parts, axis=0))
        slope *= tl.minimum(clip_norm / norm, 1.0).to(tl.float32)
    if DECAYED:
        slope += weight_decay * weight
    moment = tl.load(first + at, mask=inside, other=0.0)
    if ADAM:
        moment += new1 * (slope - moment)
        spread = old2 * tl.load(second + at, mask=inside, other=0.0) + new2 * slope * slope
        tl.store(second + at, spread, mask=inside)
        below = tl.sqrt_rn(spread) * tl.load(rates + 2) + epsilon
        weight -= tl.div_rn(tl.load(rates + 1) * moment, below)
    else:
        moment = momentum * moment + slope
        weight -= tl.load(rates) * moment
    tl.store(first + at, moment, mask=inside)
    tl.store(weights + at, weight, mask=inside)
