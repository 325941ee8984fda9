"""What a round's messages cost in bytes, by each way to say which entries they hold."""

from __future__ import annotations

from dataclasses import dataclass

from hpcfed.federation.uplink.messages import Uplink
from hpcfed.federation.uplink.top import COORDINATE_BYTES, bitmask_bytes

SEED_BYTES = 8


@dataclass(frozen=True)
class UplinkCost:
    """Bytes of one round's uplink under three ways of saying which entries were sent."""

    values: int
    seed: float
    bitmask: float
    coordinates: float


def uplink_cost(uplink: Uplink, num_values: int, num_messages: int) -> UplinkCost:
    """Count what ``num_messages`` updates with ``num_values`` values in all cost.

    Without a mask nothing but the values travels. A seed cannot say what a selection chose by the
    values themselves: NaN.
    """
    num_whole = num_messages * uplink.num_whole
    num_chosen = num_values - num_whole
    base = num_messages * uplink.code.size_bytes(0) + num_chosen * uplink.code.item_bytes
    base += uplink.whole_bytes(num_messages)
    if uplink.config.mask == "none":
        return UplinkCost(num_values, base, base, base)
    redrawn = uplink.selection.redrawn
    return UplinkCost(
        values=num_values,
        seed=base + num_messages * SEED_BYTES if redrawn else float("nan"),
        bitmask=base + num_messages * bitmask_bytes(uplink.num_masked),
        coordinates=base + num_chosen * COORDINATE_BYTES,
    )
