"""The words of hpcfed.base.seeds in compiled code, for kernels that draw words as they use them.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, doi:10.1145/2063384.2063405); the same words as
``hpcfed.base.seeds.Stream``, some 25 times as fast. A stream is given by its address, (5,) uint32:
client, round, purpose, low and high word of the seed.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import compiled
from hpcfed.base.seeds import Stream

U32 = NDArray[np.uint32]

_MULTIPLIER0, _MULTIPLIER1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL0, _WEYL1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_SHIFT = np.uint64(32)


class CompiledStream(Stream):
    """A stream whose words are drawn by compiled code."""

    def words(self, count: int, start: int = 0) -> U32:
        """Return words ``start`` to ``start + count`` of the stream: (count,) uint32."""
        return words(self.address, start, count)


@compiled
def words(address: U32, start: int, count: int) -> U32:
    """Return words ``start`` to ``start + count`` of the stream at ``address``: (count,) uint32."""
    first = start // 4
    found = np.empty(4 * ((start + count + 3) // 4 - first), np.uint32)
    draw(found, first, address)
    return found[start - 4 * first : start - 4 * first + count]


@numba.njit
def draw(found, first, address):  # type: ignore[no-untyped-def]
    """Fill ``found`` (4 n,) uint32 with n blocks of the stream at ``address``, from ``first`` on.

    Flat, and the address in registers: so the compiler draws several blocks at once.
    """
    client, round_index, purpose, key0, key1 = address
    for i in range(found.size // 4):
        number = np.uint32(first + i)
        a, b, c, d = block(number, client, round_index, purpose, key0, key1)
        found[4 * i], found[4 * i + 1], found[4 * i + 2], found[4 * i + 3] = a, b, c, d


@numba.njit(inline="always")
def block(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]
    """Return the four uint32 words of counter (c0, c1, c2, c3) under key (k0, k1), all uint32."""
    for _ in range(10):
        product0, product1 = np.uint64(c0) * _MULTIPLIER0, np.uint64(c2) * _MULTIPLIER1
        c0, c1, c2, c3 = (
            np.uint32(product1 >> _SHIFT) ^ c1 ^ k0,
            np.uint32(product1),
            np.uint32(product0 >> _SHIFT) ^ c3 ^ k1,
            np.uint32(product0),
        )
        k0, k1 = np.uint32(k0 + _WEYL0), np.uint32(k1 + _WEYL1)
    return np.uint32(c0), np.uint32(c1), np.uint32(c2), np.uint32(c3)
