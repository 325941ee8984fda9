"""Counter-based random words: (seed, purpose, round, client) gives the same words anywhere.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, doi:10.1145/2063384.2063405). The key is the two
32-bit words of the seed, the counter is (block, client, round, purpose); each block yields four
words. Nothing has a state, so any part of a stream can be drawn by any rank in any order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

U32 = NDArray[np.uint32]
I64 = NDArray[np.int64]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_NUM_ROUNDS = 10
_MASK32 = np.uint64(0xFFFFFFFF)
_CHUNK_BLOCKS = 1 << 13  # keeps the work arrays of one chunk inside the L2 cache
NO_CLIENT = 0xFFFFFFFF
MOST_WORDS = 1 << 34  # of a stream


@dataclass(frozen=True)
class Stream:
    """The words of one purpose (hpcfed.base.purposes) in one round for one client, by position."""

    seed: int
    purpose: int
    round: int = 0
    client: int = NO_CLIENT

    @property
    def address(self) -> U32:
        """The stream as compiled code knows it (hpcfed.base.philox): (5,) uint32."""
        low, high = self.seed & 0xFFFFFFFF, self.seed >> 32
        return np.array([self.client, self.round, self.purpose, low, high], np.uint32)

    def words(self, count: int, start: int = 0) -> U32:
        """Return words ``start`` to ``start + count`` of the stream: (count,) uint32."""
        first, last = start // 4, (start + count + 3) // 4
        parts = [
            _blocks(self, low, min(low + _CHUNK_BLOCKS, last))
            for low in range(first, last, _CHUNK_BLOCKS)
        ]
        flat = np.concatenate(parts) if parts else np.empty(0, np.uint32)
        return flat[start - 4 * first : start - 4 * first + count]

    def uniforms(self, count: int, start: int = 0) -> NDArray[np.float64]:
        """Return (count,) float64 in (0, 1): the centres of 2**32 equal cells."""
        return (self.words(count, start).astype(np.float64) + 0.5) * 2.0**-32

    def normals(self, count: int, start: int = 0) -> NDArray[np.float64]:
        """Return (count,) standard normal float64: Box-Muller pairs of uniforms 2 start, ...."""
        uniforms = self.uniforms(2 * count, 2 * start)
        first, second = uniforms[0::2], uniforms[1::2]
        return np.asarray(np.sqrt(-2.0 * np.log(first)) * np.cos(2.0 * np.pi * second))

    def permutation(self, count: int, start: int = 0) -> I64:
        """Return a permutation of ``range(count)`` as int64: ids ordered by (word, id)."""
        return np.asarray(self.permutations(1, count, start)[0])

    def permutations(self, number: int, count: int, start: int = 0) -> I64:
        """Return (number, count) permutations of ``range(count)``, by words one after the other."""
        words = self.words(number * count, start).reshape(number, count)
        return np.argsort(words, axis=1, kind="stable").astype(np.int64, copy=False)


def threshold(probability: float) -> int:
    """Return t with P(word < t) = probability to 2**-32; 0 and 1 are exact (t = 0 and 2**32)."""
    return round(probability * 2**32)


def philox4x32(counter: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Return the Philox4x32-10 block function of ``counter`` (4, n) uint64 holding 32-bit words.

    ``key`` is two 32-bit words; the result is (4, n) uint64 holding 32-bit words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    shift = np.uint64(32)
    for _ in range(_NUM_ROUNDS):
        product0, product1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (product1 >> shift) ^ c1 ^ np.uint64(k0),
            product1 & _MASK32,
            (product0 >> shift) ^ c3 ^ np.uint64(k1),
            product0 & _MASK32,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3])


def _blocks(stream: Stream, first: int, last: int) -> U32:
    counter = np.empty((4, last - first), np.uint64)
    counter[0] = np.arange(first, last, dtype=np.uint64)
    counter[1], counter[2], counter[3] = stream.client, stream.round, int(stream.purpose)
    key = (stream.seed & 0xFFFFFFFF, (stream.seed >> 32) & 0xFFFFFFFF)
    return philox4x32(counter, key).T.astype(np.uint32).ravel()
