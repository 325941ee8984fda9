"""Leaky neurons through time in registers, with their norm: Triton kernels, one launch a layer.

T time bins, N rows (samples times pixels), G of each of which S norms apply to (1: one for all), C
channels. The equations and the order of operations are those of ``networks.leaky``. What is kept
is u alone; the rest is made again of it, with v what the reset leaves of u::

    z[t] = [u[t] > theta];  x[t] = (u[t] - leak v[t-1] - offset) / gain

A potential that is kept in bfloat16 stays on its side of the threshold, so that spikes are those of
float32. Where the gain is zero nothing of x is left, and it counts as zero. A program has a tile of
rows and channels, goes through time and adds in one order: the partial sums of its rows are
written, and nothing is added to what others have written.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _places(num_rows, channels, ROWS: tl.constexpr, CHANNELS: tl.constexpr):
    """Return where the tile lies in a bin, which of it exists, and its channels and which exist."""
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    exists = channel < channels
    inside = (row < num_rows)[:, None] & exists[None, :]
    first = tl.program_id(1).to(tl.int64) * num_rows + row
    return first[:, None] * channels + channel[None, :], inside, channel, exists


@triton.jit
def _is_before(t, end):
    """Return [t < end] as (1, 1): of plain numbers the interpreter makes no mask."""
    return tl.zeros((1, 1), tl.int32) + t < tl.zeros((1, 1), tl.int32) + end


@triton.jit
def _left(u, threshold, SUBTRACT: tl.constexpr, TO_ZERO: tl.constexpr):
    """Return what the reset leaves of potentials."""
    if SUBTRACT:
        left = tl.where(u > threshold, u - threshold, u)
    elif TO_ZERO:
        left = tl.where(u > threshold, u - u, u)
    else:
        left = u
    return left


@triton.jit
def fire(
    x, gain, offset, potentials, spikes, flags, num_bins, num_rows, channels,
    leak, threshold, above, below,
    SUBTRACT: tl.constexpr, TO_ZERO: tl.constexpr, DELAY: tl.constexpr,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write potentials, spikes and the same as ``flags`` (T, N, C) for x (T, N, C).

    Gain and offset are (T, S, C) float32. ``above`` and ``below`` are the numbers next to the
    threshold in the type of ``potentials``. Grid: (tiles of ROWS of the N / S rows, S, tiles of
    CHANNELS).
    """
    place, inside, channel, exists = _places(num_rows, channels, ROWS, CHANNELS)
    norms = tl.num_programs(1)
    bin_size = norms.to(tl.int64) * num_rows * channels
    v = tl.zeros((ROWS, CHANNELS), tl.float32)
    if DELAY:
        tl.store(spikes + place, v, mask=inside)
        tl.store(flags + place, v > 0, mask=inside)
    for t in range(num_bins):
        own = (t * norms + tl.program_id(1)) * channels + channel
        scale = tl.load(gain + own, mask=exists, other=0.0)
        shift = tl.load(offset + own, mask=exists, other=0.0)
        at = t * bin_size + place
        flowing = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
        u = leak * v + (scale[None, :] * flowing + shift[None, :])
        fired = u > threshold
        kept = tl.where(fired, tl.where(u < above, above, u), tl.where(u > below, below, u))
        tl.store(potentials + at, kept, mask=inside)
        sent = inside & _is_before(t, num_bins - DELAY)
        tl.store(spikes + at + DELAY * bin_size, fired.to(tl.float32), mask=sent)
        tl.store(flags + at + DELAY * bin_size, fired, mask=sent)
        v = _left(u, threshold, SUBTRACT, TO_ZERO)


@triton.jit
def fire_back(
    potentials, gain, offset, received, returned, of_gain, of_offset, num_bins, num_rows, channels,
    leak, threshold, slope, height,
    SUBTRACT: tl.constexpr, TO_ZERO: tl.constexpr, FULL: tl.constexpr, TRIANGLE: tl.constexpr,
    DELAY: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Write the gradient of x, ``returned`` (T, N, C), for that of the spikes, ``received``.

    And, for each tile of rows, the sums that make up the gradients of gain and offset,
    (tiles, T, S, C) float32. ``slope`` and ``height`` are the surrogate's. Grid as of ``fire``.
    """
    place, inside, channel, exists = _places(num_rows, channels, ROWS, CHANNELS)
    norms = tl.num_programs(1)
    bin_size = norms.to(tl.int64) * num_rows * channels
    carried = tl.zeros((ROWS, CHANNELS), tl.float32)
    last = (num_bins - 1) * bin_size + place
    u = tl.load(potentials + last, mask=inside, other=0.0).to(tl.float32)
    for back in range(num_bins):
        t = num_bins - 1 - back
        own = (t * norms + tl.program_id(1)) * channels + channel
        scale = tl.load(gain + own, mask=exists, other=0.0)
        shift = tl.load(offset + own, mask=exists, other=0.0)
        at = t * bin_size + place
        before = tl.load(potentials + at - bin_size, mask=inside & _is_before(0, t), other=0.0)
        before = before.to(tl.float32)
        heard = inside & _is_before(t, num_bins - DELAY)
        spike = tl.load(received + at + DELAY * bin_size, mask=heard, other=0.0).to(tl.float32)
        away = slope * tl.abs(u - threshold)
        if TRIANGLE:
            surrogate = height * tl.where(away < 1.0, 1.0 - away, 0.0)
        else:
            surrogate = tl.div_rn(height + tl.zeros_like(away), (1.0 + away) * (1.0 + away))
        kept = tl.full((ROWS, CHANNELS), 1.0, tl.float32)
        if TO_ZERO:
            kept = tl.where(u > threshold, 0.0, kept)
        if FULL and SUBTRACT:
            kept -= surrogate * threshold
        if FULL and TO_ZERO:
            kept -= surrogate * u
        change = carried * kept + spike * surrogate
        carried = leak * change
        tl.store(returned + at, scale[None, :] * change, mask=inside)
        scaled = u - leak * _left(before, threshold, SUBTRACT, TO_ZERO) - shift[None, :]
        steep = tl.sum(tl.where(inside, scaled * change, 0.0), axis=0)
        total = (tl.program_id(0) * num_bins).to(tl.int64) * norms * channels + own
        tl.store(of_gain + total, _divided(steep, scale), mask=exists)
        tl.store(of_offset + total, tl.sum(tl.where(inside, change, 0.0), axis=0), mask=exists)
        u = before


@triton.jit
def add_inflow(
    returned, potentials, gain, offset, slope, rest, num_bins, num_rows, channels, leak, threshold,
    SUBTRACT: tl.constexpr, TO_ZERO: tl.constexpr, ROWS: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Add slope x + rest to ``returned`` (T, N, C), x made again of the potentials.

    Slope and rest are (T, S, C) float32, as gain and offset. Grid as of ``fire``.
    """
    place, inside, channel, exists = _places(num_rows, channels, ROWS, CHANNELS)
    norms = tl.num_programs(1)
    bin_size = norms.to(tl.int64) * num_rows * channels
    v = tl.zeros((ROWS, CHANNELS), tl.float32)
    for t in range(num_bins):
        own = (t * norms + tl.program_id(1)) * channels + channel
        scale = tl.load(gain + own, mask=exists, other=0.0)
        shift = tl.load(offset + own, mask=exists, other=0.0)
        steep = _divided(tl.load(slope + own, mask=exists, other=0.0), scale)
        level = tl.load(rest + own, mask=exists, other=0.0)
        at = t * bin_size + place
        u = tl.load(potentials + at, mask=inside, other=0.0).to(tl.float32)
        scaled = u - leak * v - shift[None, :]
        change = tl.load(returned + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(returned + at, change + steep[None, :] * scaled + level[None, :], mask=inside)
        v = _left(u, threshold, SUBTRACT, TO_ZERO)


@triton.jit
def _divided(values, by):
    """Return the quotient, zero where it is by zero."""
    return tl.where(by == 0.0, 0.0, tl.div_rn(values, tl.where(by == 0.0, 1.0, by)))
