"""Which entries of an update are sent, and how their values travel.

p is the probability (for the -k masks the fraction) of entries NOT sent. Random masks follow from
(seed, round, client), so the root redraws them and no index travels; top-k sends a bitmask or
coordinates, whichever is smaller. P parameters, s sent entries.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.seeds import Purpose, Stream, threshold
from hpcfed.config import UplinkConfig
from hpcfed.federation.uplink.entries import Drawn, Entries
from hpcfed.learning.trainer import DeviceVector

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]

ITEM_BYTES = {"float32": 4, "float16": 2, "int8": 1}
SCALE_BYTES = {"float32": 0, "float16": 0, "int8": 4}
COORDINATE_BYTES = 4
SEED_BYTES = 8


def num_kept(uplink: UplinkConfig, size: int) -> int:
    """Return how many of P entries random-k and top-k send."""
    return size - round(uplink.mask_probability * size)


def random_entries(uplink: UplinkConfig, size: int, stream: Stream) -> Entries:
    """Return the entries of P that a random mask sends."""
    if uplink.mask == "none":
        return slice(None)
    if uplink.mask == "bernoulli":
        return Drawn(stream, threshold(uplink.mask_probability), size)
    from hpcfed.base.philox import words

    return _smallest(words(stream.address, 0, size), num_kept(uplink, size))


def top_entries(update: F32 | DeviceVector, count: int) -> I64:
    """Return the ``count`` entries of largest magnitude, ties to the lower index: (s,) int64.

    Magnitudes compare as bit patterns, so anything not finite counts as largest (it is sent, and
    rejected on arrival).
    """
    if not isinstance(update, np.ndarray):
        return update.largest(count)
    magnitude = np.abs(update).view(np.uint32)
    return _smallest(~magnitude, count)


def mask_stream(seed: int, round_index: int, client: int) -> Stream:
    """Return the words that decide the mask of one client in one round."""
    return Stream(seed, Purpose.MASK, round_index, client)


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


def pack_entries(entries: I64, size: int) -> Bytes:
    """Return ascending ``entries`` of P as uint32 coordinates or a bitmask, the smaller one."""
    if len(entries) * COORDINATE_BYTES < bitmask_bytes(size):
        return entries.astype(np.uint32).view(np.uint8)
    chosen = np.zeros(size, bool)
    chosen[entries] = True
    return np.packbits(chosen)


def unpack_entries(packed: Bytes, size: int, count: int) -> I64:
    """Return what ``pack_entries`` packed, given how many entries it holds."""
    if count * COORDINATE_BYTES < bitmask_bytes(size):
        return packed.view(np.uint32).astype(np.int64)
    return np.flatnonzero(np.unpackbits(packed, count=size))


def bitmask_bytes(size: int) -> int:
    """Return the bytes of one bit per entry."""
    return -(-size // 8)


@dataclass(frozen=True)
class UplinkCost:
    """Bytes of one round's uplink under three ways of saying which entries were sent."""

    values: int
    seed: float
    bitmask: float
    coordinates: float


def uplink_cost(uplink: UplinkConfig, size: int, num_values: int, num_messages: int) -> UplinkCost:
    """Count what ``num_messages`` updates with ``num_values`` values in all cost.

    Without a mask nothing but the values travels. A seed cannot say what top-k chose: NaN.
    """
    base = num_values * ITEM_BYTES[uplink.dtype] + num_messages * SCALE_BYTES[uplink.dtype]
    if uplink.mask == "none":
        return UplinkCost(num_values, base, base, base)
    seed = float("nan") if uplink.mask == "top-k" else base + num_messages * SEED_BYTES
    return UplinkCost(
        values=num_values,
        seed=seed,
        bitmask=base + num_messages * bitmask_bytes(size),
        coordinates=base + num_values * COORDINATE_BYTES,
    )


def _smallest(keys: NDArray[np.uint32], count: int) -> I64:
    # (key, index) as one uint64 is unique, so the set of the smallest does not depend on the
    # selection algorithm
    if count == 0:
        return np.empty(0, np.int64)
    unique = (keys.astype(np.uint64) << np.uint64(32)) | np.arange(len(keys), dtype=np.uint64)
    chosen = np.partition(unique, count - 1)[:count] & np.uint64(0xFFFFFFFF)
    return np.sort(chosen.astype(np.int64))
