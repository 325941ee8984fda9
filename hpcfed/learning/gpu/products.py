"""Matrix products of all clients at once, each with its own weights: Triton kernels, fixed tiles.

M = blocks x T x BLOCK rows of a client, in the order (block of samples, time bin, sample), C
channels or neurons of the signal, N neurons of the layer. A signal is what spikes: the input, one
bit a cell in words of WORD (one byte where bins hold counts), found by the sample's number; or a
hidden layer's spikes, one byte each, in the rows' own order.

Tensor cores take bfloat16, in which spikes and counts to 256 are exact. A weight is the sum of
three such numbers, exactly, so that a product with spikes has the accuracy of float32; a gradient
is taken as two, within 2^-17. Every tile is one program's, its size does not depend on the number
of clients, and its sum runs in one order: so do the bits.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hpcfed.learning.gpu import plan as gpu_plan

BLOCK = tl.constexpr(gpu_plan.BLOCK)
WORD = tl.constexpr(gpu_plan.WORD)
# the interpreter multiplies the bit patterns of bfloat16; float32 holds the same numbers
TERM = tl.constexpr(tl.float32 if triton.knobs.runtime.interpret else tl.bfloat16)


@triton.jit
def split(x):
    """Return ``x`` float32 as three terms of bfloat16 whose sum it is, the largest first."""
    high = x.to(tl.bfloat16).to(tl.float32)
    middle = (x - high).to(tl.bfloat16).to(tl.float32)
    return high.to(TERM), middle.to(TERM), (x - high - middle).to(TERM)


@triton.jit
def add_product(total, spikes, terms):
    """Return ``total`` plus spikes (exact in bfloat16) times a matrix, given by its three terms."""
    high, middle, low = terms
    total = tl.dot(spikes, low, total)
    total = tl.dot(spikes, middle, total)
    return tl.dot(spikes, high, total)


@triton.jit
def add_close_product(total, left, right):
    """Return ``total`` plus the product of two matrices given by their first two terms."""
    total = tl.dot(left[0], right[1], total)
    total = tl.dot(left[1], right[0], total)
    return tl.dot(left[0], right[0], total)


@triton.jit
def _rows(m, num_rows, num_bins, slots, stride, LAG: tl.constexpr, EVENTS: tl.constexpr):
    """Return where the rows ``m`` of a signal begin, and which of them exist."""
    t, exists = m // BLOCK % num_bins, m < num_rows
    if EVENTS:
        slot = m // BLOCK // num_bins * BLOCK + m % BLOCK
        sample = tl.load(slots + slot, mask=exists, other=-1)
        exists = exists & (sample >= 0)
        row = sample.to(tl.int64) * num_bins + t
    else:
        exists = exists & (t >= LAG)
        row = (m - LAG * BLOCK).to(tl.int64)
    return row * stride, exists


@triton.jit
def _values(signal, starts, exists, first, num_inputs, DEPTH: tl.constexpr, BITS: tl.constexpr):
    """Return the signal (rows, DEPTH) from channel ``first`` on, zero where there is none."""
    if BITS:
        number = first // WORD + tl.arange(0, DEPTH // WORD)
        mask = exists[:, None] & (number * WORD < num_inputs)[None, :]
        word = tl.load(signal + starts[:, None] + number[None, :], mask=mask, other=0)
        bits = (word[:, :, None] >> tl.arange(0, WORD)[None, None, :]) & 1
        value = tl.reshape(bits.to(tl.int32), (exists.shape[0], DEPTH))
    else:
        c = first + tl.arange(0, DEPTH)
        mask = exists[:, None] & (c < num_inputs)[None, :]
        value = tl.load(signal + starts[:, None] + c[None, :], mask=mask, other=0)
    return value.to(tl.float32).to(TERM)


@triton.jit
def split_weights(
    terms, weights, counts, num_weights, place, num_inputs, num_outputs,
    DEPTH: tl.constexpr, TILE: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Write the three terms of each client's matrix (N, C), transposed, as ``project`` reads them.

    ``terms`` are (clients, 3, whole tiles of DEPTH channels, WIDTH), zero beyond C and N.
    ``weights`` (clients, num_weights) hold the matrix from ``place`` on. A client that has no batch
    (``counts``) is left out. Grid: (tiles of DEPTH channels, clients, tiles of TILE neurons).
    """
    client = tl.program_id(1).to(tl.int64)
    if tl.load(counts + client) == 0:
        return
    c = tl.program_id(0) * DEPTH + tl.arange(0, DEPTH)
    n = tl.program_id(2) * TILE + tl.arange(0, TILE)
    inside = (c < num_inputs)[:, None] & (n < num_outputs)[None, :]
    at = n[None, :] * num_inputs + c[:, None]
    part = tl.load(weights + client * num_weights + place + at, mask=inside, other=0.0)
    high, middle, low = split(part)
    size = tl.num_programs(0) * DEPTH * WIDTH
    out = terms + client * 3 * size + c[:, None] * WIDTH + n[None, :]
    tl.store(out, high)
    tl.store(out + size, middle)
    tl.store(out + 2 * size, low)


@triton.jit
def project(
    out, signal, slots, counts, terms, num_rows, num_bins, num_slots, stride, num_inputs,
    client_stride, ROWS: tl.constexpr, DEPTH: tl.constexpr, TILE: tl.constexpr,
    WIDTH: tl.constexpr, BITS: tl.constexpr, EVENTS: tl.constexpr,
):  # fmt: skip
    """Write ``out`` (clients, M, WIDTH) = signal (M, C) times each client's weights, split.

    Grid: (tiles of ROWS rows, clients, tiles of TILE neurons).
    """
    client = tl.program_id(1).to(tl.int64)
    if tl.load(counts + client) == 0:
        return
    m = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    n = tl.program_id(2) * TILE + tl.arange(0, TILE)
    starts, exists = _rows(m, num_rows, num_bins, slots + client * num_slots, stride, 0, EVENTS)
    signal += client * client_stride
    size = (num_inputs + DEPTH - 1) // DEPTH * DEPTH * WIDTH
    matrix = terms + client * 3 * size + n[None, :]
    total = tl.zeros((ROWS, TILE), tl.float32)
    for first in range(0, num_inputs, DEPTH):
        c = first + tl.arange(0, DEPTH)
        spikes = _values(signal, starts, exists, first, num_inputs, DEPTH, BITS)
        part = matrix + c[:, None] * WIDTH
        low = tl.load(part + 2 * size)
        total = add_product(total, spikes, (tl.load(part), tl.load(part + size), low))
    at = m[:, None] * WIDTH + n[None, :]
    tl.store(out + client * num_rows * WIDTH + at, total, mask=(m < num_rows)[:, None])


@triton.jit
def weight_gradient(
    gradient, signal, slots, counts, currents, num_weights, place, num_rows, num_bins, num_slots,
    stride, num_inputs, num_outputs, client_stride,
    ROWS: tl.constexpr, DEPTH: tl.constexpr, TILE: tl.constexpr, WIDTH: tl.constexpr,
    BITS: tl.constexpr, EVENTS: tl.constexpr, LAG: tl.constexpr,
):  # fmt: skip
    """Write each client's gradient of a matrix (N, C): that of its currents times the signal.

    ``currents`` (clients, M, WIDTH) are gradients. LAG = 1 takes the signal of the bin before, as
    recurrent weights do. Grid: (tiles of DEPTH channels, clients, tiles of TILE neurons); a program
    goes through all M rows, ROWS at once.
    """
    client = tl.program_id(1).to(tl.int64)
    if tl.load(counts + client) == 0:
        return
    channel = tl.program_id(0) * DEPTH
    n = tl.program_id(2) * TILE + tl.arange(0, TILE)
    signal += client * client_stride
    currents += client * num_rows * WIDTH
    total = tl.zeros((TILE, DEPTH), tl.float32)
    for first in range(0, num_rows, ROWS):
        m = first + tl.arange(0, ROWS)
        starts, exists = _rows(
            m, num_rows, num_bins, slots + client * num_slots, stride, LAG, EVENTS
        )
        spikes = _values(signal, starts, exists, channel, num_inputs, DEPTH, BITS)
        at = m[None, :] * WIDTH + n[:, None]
        part = tl.load(currents + at, mask=(m < num_rows)[None, :], other=0.0)
        high, middle, _ = split(part)
        total = tl.dot(middle, spikes, total)
        total = tl.dot(high, spikes, total)
    c = channel + tl.arange(0, DEPTH)
    inside = (n < num_outputs)[:, None] & (c < num_inputs)[None, :]
    at = n[:, None] * num_inputs + c[None, :]
    tl.store(gradient + client * num_weights + place + at, total, mask=inside)


@triton.jit
def propagate(
    out, currents, counts, weights, num_weights, place, num_rows, num_inputs, num_outputs,
    ROWS: tl.constexpr, DEPTH: tl.constexpr, TILE: tl.constexpr, ABOVE: tl.constexpr,
    WIDTH: tl.constexpr,
):  # fmt: skip
    """Write ``out`` (clients, M, WIDTH): what gradients of currents mean for the spikes below.

    ``currents`` (clients, M, ABOVE) belong to the layer above, whose input weights (num_outputs,
    num_inputs) lie at ``place``. Grid: (tiles of ROWS rows, clients, tiles of TILE neurons).
    """
    client = tl.program_id(1).to(tl.int64)
    if tl.load(counts + client) == 0:
        return
    m = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    n = tl.program_id(2) * TILE + tl.arange(0, TILE)
    currents += client * num_rows * ABOVE
    matrix = weights + client * num_weights + place
    total = tl.zeros((ROWS, TILE), tl.float32)
    for first in range(0, num_outputs, DEPTH):
        k = first + tl.arange(0, DEPTH)
        at = m[:, None] * ABOVE + k[None, :]
        inside = (m < num_rows)[:, None] & (k < num_outputs)[None, :]
        left = split(tl.load(currents + at, mask=inside, other=0.0))
        inside = (k < num_outputs)[:, None] & (n < num_inputs)[None, :]
        part = tl.load(matrix + k[:, None] * num_inputs + n[None, :], mask=inside, other=0.0)
        total = add_close_product(total, left, split(part))
    at = m[:, None] * WIDTH + n[None, :]
    tl.store(out + client * num_rows * WIDTH + at, total, mask=(m < num_rows)[:, None])
