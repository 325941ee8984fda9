"""How often each client repeats a block of the network.

N clients, D depths to choose from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import ModelConfig

I64 = NDArray[np.int64]


def depths(model: ModelConfig, num_clients: int, seed: int, round_index: int) -> I64:
    """Return the iterations of each client (N,) in a round; 0 where nothing is repeated.

    They are dealt in turn, or drawn by a word for each client and round, all equally probable.
    """
    if not model.is_repeated:
        return np.zeros(num_clients, np.int64)
    choices = np.array(model.repetition.choices, np.int64)
    if not model.repetition.drawn:
        dealt: I64 = np.resize(choices, num_clients)
        return dealt
    words = Stream(seed, Purpose.DEPTH, round_index).words(num_clients)
    places = (words.astype(np.uint64) * np.uint64(len(choices))) >> np.uint64(32)
    drawn: I64 = choices[places]
    return drawn
