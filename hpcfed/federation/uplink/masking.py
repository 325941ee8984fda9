"""Which entries of an update are sent, and how their values travel.

p is the probability (for the -k masks the fraction) of entries NOT sent. Random masks follow from
(seed, round, client), so the root redraws them and no index travels; top-k sends a bitmask or
coordinates, whichever is smaller. P parameters, s sent entries.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream, threshold
from hpcfed.config import UplinkConfig
from hpcfed.federation.uplink.entries import Drawn, Entries
from hpcfed.federation.uplink.top import smallest

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]


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

    return smallest(words(stream.address, 0, size), num_kept(uplink, size))


def mask_stream(seed: int, round_index: int, client: int) -> Stream:
    """Return the words that decide the mask of one client in one round."""
    return Stream(seed, Purpose.MASK, round_index, client)
