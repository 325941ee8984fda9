"""From pixels to what a spiking network is shown in each time bin.

T time bins, B batch. A pixel p of 0 to 255 is x = 2 p / 255 - 1, from -1 to 1. ``direct`` is the
current x in every bin. ``poisson`` is a spike with probability p / 255. ``signed-poisson`` is a
spike of x's sign with probability abs(x) / 2 (as in Venkatesha et al. 2021, arXiv 2106.06579). A
spike is drawn by comparing a word with a whole number, so that it is the same on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.seeds import threshold

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

DIRECT, POISSON, SIGNED_POISSON = "direct", "poisson", "signed-poisson"


def scaled(pixels: U8) -> F32:
    """Return pixels as float32 from -1 to 1, of the same shape."""
    return pixels.astype(np.float32) * np.float32(2 / 255) - np.float32(1)


def encode(kind: str, pixels: U8, words: U32) -> F32:
    """Return what ``pixels`` (B, ...) are in T bins: (B, T, ...); ``words`` are (B, T, ...).

    ``direct`` needs no words but their shape.
    """
    over_time = np.broadcast_to(pixels[:, None], words.shape)
    if kind == DIRECT:
        return scaled(over_time)
    fires = words < limits(kind)[over_time]
    if kind == POISSON:
        return fires.astype(np.float32)
    return np.where(over_time > 127, np.float32(1), np.float32(-1)) * fires


def limits(kind: str) -> U64:
    """Return (256,) how many of the 2^32 words make a pixel spike."""
    values = np.arange(256) / 255
    chances = values if kind == POISSON else np.abs(2 * values - 1) / 2
    return np.array([threshold(float(chance)) for chance in chances], np.uint64)
