"""What a round's messages cost in bytes, by each way to say which entries they hold."""

from __future__ import annotations

from dataclasses import dataclass

from hpcfed.federation.uplink.messages import Uplink
from hpcfed.federation.uplink.top import COORDINATE_BYTES, bitmask_bytes

SEED_BYTES = 8


def _seed_bytes(uplink: Uplink) -> float:
    """Return the bytes of a message that say which entries it holds, by seed."""
    if uplink.config.mask == "groups":
        return uplink.selection.named_bytes + SEED_BYTES * bool(uplink.config.mask_probability)
    return SEED_BYTES if uplink.selection.redrawn else float("nan")


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
    values themselves: NaN; groups are named by a byte each, beside the seed of a mask in them.
    """
    num_whole = num_messages * uplink.num_whole
    num_chosen = num_values - num_whole
    base = num_messages * uplink.code.size_bytes(0) + num_chosen * uplink.code.item_bytes
    base += uplink.whole_bytes(num_messages)
    if uplink.config.mask == "none":
        return UplinkCost(num_values, base, base, base)
    return UplinkCost(
        values=num_values,
        seed=base + num_messages * _seed_bytes(uplink),
        bitmask=base + num_messages * bitmask_bytes(uplink.num_masked),
        coordinates=base + num_chosen * COORDINATE_BYTES,
    )
