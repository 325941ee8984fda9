"""Noise on what the root receives.

Each part of an update gets normal noise whose standard deviation is ``uplink.noise`` times the mean
magnitude of what arrived of this part (as in the code of Venkatesha et al. 2021, arXiv 2106.06579,
where it is taken from the received parameters less the global ones). Statistics are disturbed as
well, counts are not. The words follow from round, client and place in the message, so that they are
the same wherever the message is read. s values of a message, those sent whole among them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.federation.uplink.entries import Entries
from hpcfed.networks.layout import Layout

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


def disturbed(
    values: F32, entries: Entries, layout: Layout, noise: float, address: tuple[int, int, int]
) -> F32:
    """Return ``values`` (s,) with noise; ``entries`` are those of the head that masks thin out.

    ``address`` is seed, round and client.
    """
    from hpcfed.base.philox import CompiledStream

    seed, round_index, client = address
    stream = CompiledStream(seed, Purpose.RECEPTION, round_index, client)
    normal = stream.normals(len(values))
    found = values.astype(np.float64)
    kinds = [part for part in layout.parts if part.shared]
    for kind, part in zip(kinds, _parts(entries, layout), strict=True):
        if part.start < part.stop:
            normal[part] *= 0 if kind.summed else noise * np.abs(found[part]).mean()
    return np.asarray(found + normal, np.float32)


def _parts(entries: Entries, layout: Layout) -> list[slice]:
    """Return where the values of each part that is sent lie in a message."""
    head = layout.num_masked
    if isinstance(entries, slice):
        places = np.arange(layout.num_shared)
    else:
        whole = np.arange(head, layout.num_shared)
        places = np.concatenate([np.asarray(entries, np.int64), whole])
    ends = np.cumsum([part.size for part in layout.parts if part.shared])
    cuts = [0, *np.searchsorted(places, ends).tolist()]
    return [slice(start, stop) for start, stop in pairwise(cuts)]
