"""One layer through time, forward and backward: Triton kernels, a program a client's BLOCK samples.

T time bins, H neurons in N = WIDTH places (a power of two; what is beyond H has zero weights, never
reaches its positive threshold and stays zero); T BLOCK N stays below 2^31. The equations are
``reference``'s, those of the way back ``event_neurons``', unscaled. Voltages, currents and
thresholds stay in registers, in float32; the recurrent weights of up to 128 neurons stay in shared
memory for all time bins. Beyond (DEPTH < WIDTH) they are read anew in each bin, DEPTH rows at once,
from the GPU's cache: as the terms of an exact product they are larger than a processor's registers
and shared memory together.

A layer's arrays are (clients, blocks, T, BLOCK, N): what a program reads at once lies in one piece.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hpcfed.learning.gpu.products import BLOCK, TERM, add_close_product, add_product, split


@triton.jit
def forward(
    trace, spikes, voltages, tallies, totals, extremes, summed, weights, factors, counts,
    num_weights, place, num_bins, num_neurons, least, most, keep, drive, decay, threshold, relax,
    beta, WIDTH: tl.constexpr, DEPTH: tl.constexpr, RECURRENT: tl.constexpr, ADAPTIVE: tl.constexpr,
    VOLTAGES: tl.constexpr, SUMMED: tl.constexpr,
):  # fmt: skip
    """Turn input currents into voltages less threshold, in place (``trace``), and ``spikes`` uint8.

    Writes the number of spikes of each neuron (``tallies``, (clients, blocks, N) int32), adds them
    to ``totals`` (clients, blocks) int64, and to ``extremes`` (clients, blocks, 2) int64 how many
    samples have fewer than ``least`` spikes, and at least ``most``; with VOLTAGES writes the
    voltage itself; with SUMMED the spikes times ``factors`` (T,), added over time (``summed``,
    (clients, blocks, BLOCK, N)). The recurrent weights (H, H) lie at ``place``. Grid: (blocks,
    clients).
    """
    client, num_blocks = tl.program_id(1).to(tl.int64), tl.num_programs(0)
    if tl.load(counts + client) == 0:
        return
    number = client * num_blocks + tl.program_id(0)
    start = number * num_bins * BLOCK * WIDTH
    trace, spikes, voltages = trace + start, spikes + start, voltages + start
    n = tl.arange(0, WIDTH)
    tile = tl.arange(0, BLOCK)[:, None] * WIDTH + n[None, :]
    matrix = weights + client * num_weights + place
    if RECURRENT and DEPTH == WIDTH:
        terms = split(_transposed(matrix, n, num_neurons, WIDTH))
    d = tl.zeros((BLOCK, WIDTH), tl.float32)
    v, z, total = d, d, d
    b = d + threshold
    tally = tl.zeros((BLOCK, WIDTH), tl.int32)
    for t in range(num_bins):
        at = t * BLOCK * WIDTH + tile
        i = d + tl.load(trace + at)
        if RECURRENT and DEPTH == WIDTH:
            i = add_product(i, z.to(TERM), terms)
        elif RECURRENT and t > 0:
            tl.debug_barrier()  # other threads have written what is read here
            before = spikes + (t - 1) * BLOCK * WIDTH
            for first in range(0, WIDTH, DEPTH):
                k = first + tl.arange(0, DEPTH)
                part = tl.load(before + tl.arange(0, BLOCK)[:, None] * WIDTH + k[None, :])
                columns = _transposed(matrix, k, num_neurons, WIDTH)
                i = add_product(i, part.to(tl.float32).to(TERM), split(columns))
        u = keep * v + drive * i
        if ADAPTIVE:
            b = b + relax * (threshold - b)
        x = u - b
        spiked = x > 0
        z = spiked.to(tl.float32)
        tl.store(trace + at, x)
        tl.store(spikes + at, spiked.to(tl.uint8))
        if VOLTAGES:
            tl.store(voltages + at, u)
        v = tl.where(spiked, 0.0, u)
        d = decay * i
        if ADAPTIVE:
            b = tl.where(spiked, b + beta, b)
        if SUMMED:
            total += tl.load(factors + t) * z
        tally += spiked.to(tl.int32)
    spiking = tl.sum(tally, axis=0)
    tl.store(tallies + number * WIDTH + n, spiking)
    tl.store(totals + number, tl.load(totals + number) + tl.sum(spiking, axis=0))
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    fired, inside = tl.sum(tally, axis=1), row < tl.load(counts + client)
    few = tl.sum((inside & (fired < least)).to(tl.int32), axis=0)
    many = tl.sum((inside & (fired >= most)).to(tl.int32), axis=0)
    tl.store(extremes + 2 * number, tl.load(extremes + 2 * number) + few)
    tl.store(extremes + 2 * number + 1, tl.load(extremes + 2 * number + 1) + many)
    if SUMMED:
        tl.store(summed + number * BLOCK * WIDTH + tile, total)


@triton.jit
def backward(
    trace, above, voltages, rates, summed, weights, factors, counts,
    num_weights, place, num_bins, num_neurons, keep, drive, decay, threshold, relax, beta, slope,
    full, WIDTH: tl.constexpr, DEPTH: tl.constexpr, RECURRENT: tl.constexpr,
    ADAPTIVE: tl.constexpr, VOLTAGES: tl.constexpr, SUMMED: tl.constexpr, PENALISED: tl.constexpr,
    SURROGATE: tl.constexpr,
):  # fmt: skip
    """Turn a layer's trace into gradients of its currents, in place.

    Those of its spikes are ``above`` (clients, M, N), or with SUMMED ``factors`` (T,) times
    ``summed`` (clients, blocks, BLOCK, N); with PENALISED plus ``rates`` (clients, N): in slots
    without a sample too, where nothing spikes and no weight's gradient hears of it. Grid: (blocks,
    clients).
    """
    client, num_blocks = tl.program_id(1).to(tl.int64), tl.num_programs(0)
    if tl.load(counts + client) == 0:
        return
    number = client * num_blocks + tl.program_id(0)
    start = number * num_bins * BLOCK * WIDTH
    trace, above, voltages = trace + start, above + start, voltages + start
    n, row = tl.arange(0, WIDTH), tl.arange(0, BLOCK)
    tile = row[:, None] * WIDTH + n[None, :]
    matrix = weights + client * num_weights + place
    if RECURRENT and DEPTH == WIDTH:
        terms = split(_rows(matrix, n, num_neurons, WIDTH))
    g_d = tl.zeros((BLOCK, WIDTH), tl.float32)
    g_v, g_b, own = g_d, g_d, g_d
    if SUMMED:
        own = tl.load(summed + number * BLOCK * WIDTH + tile)
    if PENALISED:
        rate = tl.load(rates + client * WIDTH + n)[None, :]
    for back in range(num_bins):
        t = num_bins - 1 - back
        at = t * BLOCK * WIDTH + tile
        x = tl.load(trace + at)
        g_z = tl.load(factors + t) * own if SUMMED else tl.load(above + at)
        if PENALISED:
            g_z += rate
        if RECURRENT and DEPTH == WIDTH:
            g_z = add_close_product(g_z, split(g_d), terms)
        elif RECURRENT and back > 0:
            tl.debug_barrier()  # other threads have written what is read here
            after = trace + (t + 1) * BLOCK * WIDTH
            for first in range(0, WIDTH, DEPTH):
                k = first + tl.arange(0, DEPTH)
                part = tl.load(after + row[:, None] * WIDTH + k[None, :])
                lines = _rows(matrix, k, num_neurons, WIDTH)
                g_z = add_close_product(g_z, split(part), split(lines))
        if VOLTAGES:
            g_z += beta * g_b - tl.load(voltages + at) * g_v
        elif not ADAPTIVE:
            g_z -= full * (x + threshold) * g_v
        g_x = g_z * _derivative(slope * tl.abs(x), SURROGATE)
        g_u = g_x + tl.where(x > 0, 0.0, g_v)
        g_d = drive * g_u + decay * g_d
        g_v = keep * g_u
        if ADAPTIVE:
            g_b = (1 - relax) * (g_b - g_x)
        tl.store(trace + at, g_d)


@triton.jit
def penalise(
    rates, penalties, tallies, counts, num_blocks, num_bins, num_neurons, strength, lower, upper,
    WIDTH: tl.constexpr, FIRST: tl.constexpr,
):  # fmt: skip
    """Write the rate penalty's gradient (``rates``, (clients, N)), add to ``penalties`` (clients,).

    ``tallies`` (clients, blocks, N) are the spikes of each neuron in the batch. The first layer
    overwrites the penalties. Grid: (clients,).
    """
    client = tl.program_id(0).to(tl.int64)
    count, n = tl.load(counts + client), tl.arange(0, WIDTH)
    spiked = tl.zeros((WIDTH,), tl.int32)
    for block in range(num_blocks):
        spiked += tl.load(tallies + (client * num_blocks + block) * WIDTH + n)
    chances = tl.maximum(count, 1).to(tl.float32) * num_bins
    rate = tl.div_rn(spiked.to(tl.float32), chances)
    below, above = tl.maximum(lower - rate, 0.0), tl.maximum(rate - upper, 0.0)
    punished = tl.where(n < num_neurons, below * below + above * above, 0.0)
    penalty = strength * tl.sum(punished, axis=0) / num_neurons
    if not FIRST:
        penalty += tl.load(penalties + client)
    tl.store(penalties + client, tl.where(count > 0, penalty, 0.0))
    slope = 2 * strength * (above - below) / (num_neurons * chances)
    tl.store(rates + client * WIDTH + n, tl.where(n < num_neurons, slope, 0.0))


@triton.jit
def _derivative(steep, SURROGATE: tl.constexpr):
    """Return the derivative at |x|, ``steep`` = slope |x|, of one of ``constants.SURROGATES``."""
    if SURROGATE == 0:
        root = 1 + steep
        value = tl.div_rn(tl.full(root.shape, 1.0, tl.float32), root * root)
    elif SURROGATE == 1:
        value = tl.maximum(1 - steep, 0.0)
    else:  # 1 - tanh^2 without its cancellation
        shrunk = tl.exp(-2 * steep)
        value = tl.div_rn(4 * shrunk, (1 + shrunk) * (1 + shrunk))
    return value


@triton.jit
def _rows(matrix, k, num_neurons, WIDTH: tl.constexpr):
    """Return the rows ``k`` of an (H, H) matrix as (k, WIDTH)."""
    n = tl.arange(0, WIDTH)
    inside = (k < num_neurons)[:, None] & (n < num_neurons)[None, :]
    return tl.load(matrix + k[:, None] * num_neurons + n[None, :], mask=inside, other=0.0)


@triton.jit
def _transposed(matrix, k, num_neurons, WIDTH: tl.constexpr):
    """Return the columns ``k`` of an (H, H) matrix as (k, WIDTH)."""
    n = tl.arange(0, WIDTH)
    inside = (k < num_neurons)[:, None] & (n < num_neurons)[None, :]
    return tl.load(matrix + n[None, :] * num_neurons + k[:, None], mask=inside, other=0.0)
