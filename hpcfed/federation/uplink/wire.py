"""How values travel: a code turns float32 values into bytes and back.

What counts, at the client and at the root, is decode(encode(.)). A new way for values to travel is
one entry of ``CODES``. s values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

F32 = NDArray[np.float32]
Bytes = NDArray[np.uint8]

HEADER_BYTES = 8  # gather says the size of each message


class Code(NamedTuple):
    """A way for values to travel.

    Attributes:
        item_bits: of each value.
        scale_bytes: of what travels once a message.
        encode: (s,) float32 to bytes.
        decode: bytes to the (s,) float32 that the root sees.
    """

    item_bits: int
    scale_bytes: int
    encode: Callable[[F32], Bytes]
    decode: Callable[[Bytes], F32]

    @property
    def item_bytes(self) -> float:
        """Bytes of each value; of several in one byte a part of it."""
        return self.item_bits / 8

    def size_bytes(self, count: float) -> float:
        """Return the bytes of a message of ``count`` values, which ends with a whole byte."""
        values = count * self.item_bytes
        return (math.ceil(values) if self.item_bits % 8 else values) + self.scale_bytes


def _cast(dtype: DTypeLike) -> Code:
    def encode(values: F32) -> Bytes:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.ascontiguousarray(values.astype(dtype)).view(np.uint8)

    def decode(payload: Bytes) -> F32:
        return payload.view(dtype).astype(np.float32)

    return Code(8 * np.dtype(dtype).itemsize, 0, encode, decode)


def _encode_int8(values: F32) -> Bytes:
    """Return whole steps of the largest magnitude / 127, behind the float32 step."""
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.float32(np.abs(values).max() / 127 if values.size else 0)
        steps = np.rint(values / scale) if scale > 0 and np.isfinite(scale) else 0 * values
        # among the smallest numbers the scale is rounded so much that steps may pass 127
        codes = np.clip(np.nan_to_num(steps), -127, 127).astype(np.int8)
        return np.concatenate([scale.reshape(1).view(np.uint8), codes.view(np.uint8)])


def _decode_int8(payload: Bytes) -> F32:
    scale = payload[:4].view(np.float32)[0]
    with np.errstate(invalid="ignore"):
        return np.asarray(payload[4:].view(np.int8) * scale, np.float32)


def _encode_sign(values: F32) -> Bytes:
    """Return one bit a value, set for 0 and above, behind their mean magnitude.

    signSGD (Bernstein and others 2018, arXiv 1802.04434), with the scale of Karimireddy and others
    (2019, arXiv 1901.09847), by which error feedback converges. A byte says how many bits of the
    last one are spare.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        scale = np.float32(np.abs(values).mean(dtype=np.float64) if values.size else 0)
        bits = np.packbits(values >= 0)
    head = np.concatenate([scale.reshape(1).view(np.uint8), np.array([-len(values) % 8], np.uint8)])
    return np.concatenate([head, bits])


def _decode_sign(payload: Bytes) -> F32:
    scale, spare = payload[:4].view(np.float32)[0], int(payload[4])
    bits = np.unpackbits(payload[5:], count=8 * (len(payload) - 5) - spare)
    return np.asarray(np.where(bits, scale, -scale), np.float32)


CODES = {
    "float32": _cast(np.float32),
    "float16": _cast(np.float16),
    "int8": Code(8, 4, _encode_int8, _decode_int8),
    "sign": Code(1, 5, _encode_sign, _decode_sign),
}
WHOLE = CODES["float32"]  # what parts travel as that are sent whole
WHOLE_ITEM_BYTES = WHOLE.item_bits // 8
