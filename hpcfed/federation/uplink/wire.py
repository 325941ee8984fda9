"""How values travel: as float32, float16 or int8 with one scale a message."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]


HEADER_BYTES = 8  # gather says the size of each message


ITEM_BYTES = {"float32": 4, "float16": 2, "int8": 1}


SCALE_BYTES = {"float32": 0, "float16": 0, "int8": 4}


def encode(values: F32, dtype: str) -> Bytes:
    """Return (s,) float32 values as the bytes that travel; int8 puts its float32 scale first."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "int8":
            scale = np.float32(np.abs(values).max() / 127 if values.size else 0)
            steps = np.rint(values / scale) if scale > 0 and np.isfinite(scale) else 0 * values
            # among the smallest numbers the scale is rounded so much that steps may pass 127
            codes = np.clip(np.nan_to_num(steps), -127, 127).astype(np.int8)
            return np.concatenate([scale.reshape(1).view(np.uint8), codes.view(np.uint8)])
        return np.ascontiguousarray(values.astype(dtype)).view(np.uint8)


def decode(payload: Bytes, dtype: str) -> F32:
    """Return the (s,) float32 values of ``encode``'s bytes, as the root sees them."""
    if dtype == "int8":
        scale = payload[:4].view(np.float32)[0]
        with np.errstate(invalid="ignore"):
            return np.asarray(payload[4:].view(np.int8) * scale, np.float32)
    return payload.view(dtype).astype(np.float32)
