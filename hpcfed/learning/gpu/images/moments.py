"""Mean and variance of what flows into a layer: a Triton kernel, and how its parts are joined.

S segments (a time bin, or a bin of one sample), R rows (samples times pixels) of each, C channels.
A program reads a tile of rows once and writes its mean and the sum of squares about it; the parts
are joined in one order (Chan, Golub and LeVeque 1979, doi:10.1007/978-3-642-51461-6_3)::

    mean = sum n_i mean_i / R;  variance = sum (squares_i + n_i (mean_i - mean)^2) / R
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def measure(
    x, means, squares, num_rows, channels, ROWS: tl.constexpr, CHANNELS: tl.constexpr
):  # fmt: skip
    """Write mean and sum of squares about it of each tile of x (S, R, C): (tiles, S, C) float32.

    Grid: (tiles of ROWS rows, S, tiles of CHANNELS).
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    channel = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    inside = (row < num_rows)[:, None] & (channel < channels)[None, :]
    first = tl.program_id(1).to(tl.int64) * num_rows + row
    value = tl.load(x + first[:, None] * channels + channel[None, :], mask=inside, other=0.0)
    value = value.to(tl.float32)
    number = tl.minimum(num_rows - tl.program_id(0) * ROWS, ROWS).to(tl.float32)
    mean = tl.sum(value, axis=0) / number
    apart = tl.where(inside, value - mean[None, :], 0.0)
    at = (tl.program_id(0).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)) * channels
    tl.store(means + at + channel, mean, mask=channel < channels)
    tl.store(squares + at + channel, tl.sum(apart * apart, axis=0), mask=channel < channels)


@triton.jit
def join(
    means, squares, mean, variance, num_parts, num_rows, columns, channels,
    ROWS: tl.constexpr, PARTS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Write mean and variance (columns,) of what ``measure`` has found: (parts, columns) float32.

    A column has ``channels`` parts of each tile of ROWS rows, one after the other, the last tile of
    those that are left. Grid: (tiles of COLUMNS,).
    """
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    exists = column < columns
    total = tl.zeros((COLUMNS,), tl.float32)
    for first in range(0, num_parts, PARTS):
        part = first + tl.arange(0, PARTS)
        inside = (part < num_parts)[:, None] & exists[None, :]
        number = tl.minimum(num_rows - part // channels * ROWS, ROWS).to(tl.float32)
        at = part.to(tl.int64)[:, None] * columns + column[None, :]
        total += tl.sum(number[:, None] * tl.load(means + at, mask=inside, other=0.0), axis=0)
    count = 1.0 * num_rows * channels
    middle, total = total / count, tl.zeros((COLUMNS,), tl.float32)
    for first in range(0, num_parts, PARTS):
        part = first + tl.arange(0, PARTS)
        inside = (part < num_parts)[:, None] & exists[None, :]
        number = tl.minimum(num_rows - part // channels * ROWS, ROWS).to(tl.float32)
        at = part.to(tl.int64)[:, None] * columns + column[None, :]
        apart = tl.load(means + at, mask=inside, other=0.0) - middle[None, :]
        square = tl.load(squares + at, mask=inside, other=0.0)
        square += number[:, None] * apart * apart
        total += tl.sum(tl.where(inside, square, 0.0), axis=0)
    tl.store(mean + column, middle, mask=exists)
    tl.store(variance + column, total / count, mask=exists)
