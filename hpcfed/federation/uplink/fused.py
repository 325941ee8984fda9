"""Compiled passes over an update: a mask is drawn and used at once, never written down.

A Bernoulli mask lets the entries through whose word of a stream reaches a limit. Words are drawn in
chunks that stay in the L1 cache, beside the places that they let through. P parameters, s sent
entries; sums and arrived weight are (P,) int64 as in uplink.exact, ``arrived`` of length 0 where
nobody asks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import compiled
from hpcfed.base.philox import draw

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
U32 = NDArray[np.uint32]

_CHUNK = 2048  # words: 8 KiB, and as much for places


class Mask(NamedTuple):
    """What a Bernoulli mask follows from: a stream's address (base.philox), and the limit."""

    address: U32
    limit: np.uint64


class Term(NamedTuple):
    """What one client adds: (s,) values, each times ``scale`` on the grid, and its weight n_k."""

    values: F32
    scale: float
    weight: int


@compiled
def take_drawn(update: F32, mask: Mask) -> F32:
    """Return the entries of ``update`` (P,) that the mask lets through: (s,)."""
    taken, count = np.empty_like(update), 0
    words, places = np.empty(_CHUNK, np.uint32), np.empty(_CHUNK, np.uint32)
    for start in range(0, update.size, _CHUNK):
        found = _let_through(mask, start, update.size, words, places)
        for k in range(found):
            taken[count + k] = update[places[k]]
        count += found
    return taken[:count].copy()


@compiled
def add_drawn(sums: I64, arrived: I64, term: Term, mask: Mask) -> None:
    """Add a term's values to the entries that the mask lets through.

    Raises ValueError if these are more, or fewer.
    """
    count = 0
    words, places = np.empty(_CHUNK, np.uint32), np.empty(_CHUNK, np.uint32)
    for start in range(0, sums.size, _CHUNK):
        found = _let_through(mask, start, sums.size, words, places)
        if count + found > term.values.size:
            raise ValueError("a mask lets more values through than the message holds")
        _add(sums, arrived, Term(term.values[count:], term.scale, term.weight), places[:found])
        count += found
    if count < term.values.size:
        raise ValueError("a mask lets fewer values through than the message holds")


@compiled
def add_listed(sums: I64, arrived: I64, term: Term, entries: I64) -> None:
    """Add a term's values to ``entries`` (s,)."""
    _add(sums, arrived, term, entries)


@compiled
def add_all(sums: I64, arrived: I64, term: Term) -> None:
    """Add a term's values to all entries."""
    for i in range(sums.size):
        sums[i] += np.int64(np.rint(np.float64(term.values[i]) * term.scale))
    for i in range(arrived.size):
        arrived[i] += term.weight


@compiled(fastmath={"reassoc"})  # several partial sums at once
def norm(update: F32) -> float:
    """Return the Euclidean norm of ``update`` (P,), added in float64."""
    total = 0.0
    for i in range(update.size):
        total += np.float64(update[i]) * np.float64(update[i])
    return math.sqrt(total)


@numba.njit
def _add(sums, arrived, term, places):  # type: ignore[no-untyped-def]
    for k in range(places.size):
        sums[places[k]] += np.int64(np.rint(np.float64(term.values[k]) * term.scale))
    if arrived.size:
        for k in range(places.size):
            arrived[places[k]] += term.weight


@numba.njit
def _let_through(mask, start, size, words, places):  # type: ignore[no-untyped-def]
    """Draw the words of a chunk from entry ``start`` on; list the entries they let through.

    Returns how many. Every place is written, and overwritten unless it counts: a branch would be
    guessed wrong too often.
    """
    draw(words, start // 4, mask.address)
    count = 0
    for i in range(min(words.size, size - start)):
        places[count] = start + i
        count += words[i] >= mask.limit
    return count
