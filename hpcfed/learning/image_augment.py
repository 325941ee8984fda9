"""Augmentation of training images: cut out of a larger one with a black border, and mirrored.

B batch, C channels, H height, W width. Each sample owns three words: the row and the column of the
cut, and whether it is mirrored; they are drawn whatever the settings, so that one does not move the
words of another.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import DataConfig

U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]

WORDS = 3


def is_augmented(data: DataConfig) -> bool:
    """Say whether images are changed for training."""
    return bool(data.crop_padding or data.flip)


def augmented(pixels: U8, data: DataConfig, words: U32) -> U8:
    """Return ``pixels`` (B, C, H, W) cut and mirrored by ``words`` (B, 3)."""
    padding = data.crop_padding or 0
    height, width = pixels.shape[2:]
    border = (padding, padding)
    framed = np.pad(pixels, ((0, 0), (0, 0), border, border))
    starts = (words[:, :2].astype(np.uint64) * np.uint64(2 * padding + 1)) >> np.uint64(32)
    found = np.empty_like(pixels)
    for index, (row, column) in enumerate(starts.astype(np.int64)):
        found[index] = framed[index, :, row : row + height, column : column + width]
    if data.flip:
        mirrored = words[:, 2] < np.uint64(1 << 31)
        found[mirrored] = found[mirrored, :, :, ::-1]
    return found
