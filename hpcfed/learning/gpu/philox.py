"""The words of hpcfed.base.seeds on the GPU, and what masks let through: Triton kernels.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, doi:10.1145/2063384.2063405), the words of
``base.philox`` bit for bit. A stream is given by its address (client, round, purpose, low and high
word of the seed), (5,) int64 that hold 32 bits each. P entries of an update.
"""

from __future__ import annotations

import triton
import triton.language as tl

CHUNK = tl.constexpr(1024)  # entries of one program


@triton.jit
def word(place, address):
    """Return the words number ``place`` int64 of the stream at ``address``, as int64."""
    c0 = (place // 4).to(tl.uint32)
    c1 = tl.zeros_like(c0) + tl.load(address).to(tl.uint32)
    c2 = tl.zeros_like(c0) + tl.load(address + 1).to(tl.uint32)
    c3 = tl.zeros_like(c0) + tl.load(address + 2).to(tl.uint32)
    k0, k1 = tl.load(address + 3), tl.load(address + 4)
    for _ in tl.static_range(10):
        product0 = c0.to(tl.uint64) * 0xD2511F53
        product1 = c2.to(tl.uint64) * 0xCD9E8D57
        c0 = (product1 >> 32).to(tl.uint32) ^ c1 ^ k0.to(tl.uint32)
        c2 = (product0 >> 32).to(tl.uint32) ^ c3 ^ k1.to(tl.uint32)
        c1, c3 = product1.to(tl.uint32), product0.to(tl.uint32)
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    which = place % 4
    low, high = tl.where(which == 0, c0, c1), tl.where(which == 2, c2, c3)
    return tl.where(which < 2, low, high).to(tl.int64)


@triton.jit
def count_let_through(found, address, limit, size):
    """Write how many words of each chunk reach ``limit`` (1,): ``found`` (chunks,); int64 both."""
    entry = tl.program_id(0) * CHUNK + tl.arange(0, CHUNK)
    passes = (word(entry.to(tl.int64), address) >= tl.load(limit)) & (entry < size)
    tl.store(found + tl.program_id(0), tl.sum(passes.to(tl.int64), axis=0))


@triton.jit
def take_let_through(taken, update, ends, address, limit, size):
    """Write the entries of ``update`` (P,) whose word reaches ``limit``, in order.

    ``ends`` (chunks,) int64 are the sums of the chunks' counts, up to and with each.
    """
    chunk = tl.program_id(0)
    entry = chunk * CHUNK + tl.arange(0, CHUNK)
    passes = (word(entry.to(tl.int64), address) >= tl.load(limit)) & (entry < size)
    ones = passes.to(tl.int32)
    before = tl.load(ends + chunk) - tl.sum(ones.to(tl.int64), axis=0)
    place = before + tl.cumsum(ones, axis=0) - ones
    value = tl.load(update + entry, mask=passes, other=0.0)
    tl.store(taken + place, value, mask=passes)
