"""Augmentation on the device: shift samples in time and across channels, leave events out.

The events that are left are those of ``augment``: each sample's shifts come from the host, and
whether an event is dropped from the same word of the same stream, counted by the events of its
batch. T time bins, C channels; cells are packed as in ``gpu_events``.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hpcfed.learning.gpu.philox import word


@triton.jit
def change(
    changed, own, cells, bin_offsets, slots, bins, channels, first_words, streams, limit,
    num_slots, num_bins, num_channels, stride,
    BINS: tl.constexpr, CELLS: tl.constexpr, MARGIN: tl.constexpr, BITS: tl.constexpr,
    DROP: tl.constexpr,
):  # fmt: skip
    """Write the samples in ``slots`` (clients, slots) as they are trained on.

    ``changed`` is (clients, slots, T, stride) uint8, and ``own`` (clients, slots) int32 gets the
    number of each sample in it, or -1. ``bins`` and ``channels`` (clients, slots) int32 are the
    shifts. ``first_words`` (clients, slots) int64 is the word of a sample's first event in its
    client's stream, whose address lies in ``streams`` (clients, 5) int64; an event whose word is
    below ``limit`` (1,) int64 is dropped. CELLS is a power of two that holds C and the MARGIN, a
    multiple of 8 and no smaller than any shift of channels. Grid: (clients x slots, tiles of BINS
    bins).
    """
    slot, t = tl.program_id(0).to(tl.int64), tl.program_id(1) * BINS + tl.arange(0, BINS)
    sample = tl.load(slots + slot).to(tl.int64)
    tl.store(own + slot, tl.where(sample < 0, -1, slot).to(tl.int32))
    if sample < 0:
        return
    source = t - tl.load(bins + slot)
    exists = (source >= 0) & (source < num_bins)
    target = tl.arange(0, CELLS) - MARGIN
    c = target - tl.load(channels + slot)
    inside = exists[:, None] & ((c >= 0) & (c < num_channels))[None, :]
    row = cells + (sample * num_bins + source)[:, None] * stride
    if BITS:
        byte = tl.load(row + (c // 8)[None, :], mask=inside, other=0)
        value = tl.where(inside, (byte.to(tl.int32) >> (c & 7)[None, :]) & 1, 0)
    else:
        value = tl.load(row + c[None, :], mask=inside, other=0).to(tl.int32)
    if DROP:
        present = (value > 0).to(tl.int32)
        earlier = tl.load(bin_offsets + sample * (num_bins + 1) + source, mask=exists, other=0)
        number = earlier[:, None] + tl.cumsum(present, axis=1) - present
        place = tl.load(first_words + slot) + number
        value = tl.where(word(place, streams + slot // num_slots * 5) >= tl.load(limit), value, 0)
    wanted = (t < num_bins)[:, None] & ((target >= 0) & (target < num_channels))[None, :]
    value = tl.where(wanted, value, 0)
    out = changed + (slot * num_bins + t)[:, None] * stride
    if BITS:
        bit = tl.arange(0, 8)[None, None, :]
        byte = tl.sum(tl.reshape(value, (BINS, CELLS // 8, 8)) << bit, axis=2)
        at = tl.arange(0, CELLS // 8) - MARGIN // 8
        mask = (t < num_bins)[:, None] & ((at >= 0) & (at < stride))[None, :]
        tl.store(out + at[None, :], byte.to(tl.uint8), mask=mask)
    else:
        tl.store(out + target[None, :], value.to(tl.uint8), mask=wanted)
