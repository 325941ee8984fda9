"""What a round's messages cost in bytes, by each way to say which entries they hold."""

from __future__ import annotations

from dataclasses import dataclass

from hpcfed.config import UplinkConfig
from hpcfed.federation.uplink.top import COORDINATE_BYTES, bitmask_bytes
from hpcfed.federation.uplink.wire import ITEM_BYTES, SCALE_BYTES

SEED_BYTES = 8


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
