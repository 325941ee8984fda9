"""Which samples make up each local gradient step: permutations cut into batches.

n samples of a client, B batch. Words by (seed, round, client), so no engine, thread or rank can
change the order.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.seeds import Stream
from hpcfed.config import ClientConfig

I64 = NDArray[np.int64]

_WORDS = 1 << 16  # of passes that are drawn at once: drawn one by one, small ones cost more


def batches(client: ClientConfig, samples: I64, stream: Stream) -> Iterator[I64]:
    """Yield the sample ids (B,) int64 of each step of one round over ``samples`` (n,).

    Raises ValueError if there are no samples.
    """
    for one in passes(client, samples, stream):
        for start in range(0, len(one), client.batch_size):
            yield one[start : start + client.batch_size]


def passes(client: ClientConfig, samples: I64, stream: Stream) -> Iterator[I64]:
    """Yield the sample ids of each pass of one round over ``samples`` (n,), in their order.

    Each pass is a new permutation (words n e to n e + n in pass e), cut into batches; the last,
    short one is kept, unless ``drop_last`` leaves it out (where there is another). With ``steps``
    the passes go on until there are that many. Raises ValueError if there are no samples.
    """
    if not len(samples):
        raise ValueError("a client without training samples cannot train")
    steps_per_pass = -(-len(samples) // client.batch_size)
    if client.drop_last:
        steps_per_pass = max(1, len(samples) // client.batch_size)
    num_steps = client.steps or (client.epochs or 1) * steps_per_pass
    count, some = len(samples), max(1, _WORDS // len(samples))
    begins = range(0, num_steps, steps_per_pass)
    for number in range(0, len(begins), some):
        own = begins[number : number + some]
        orders = stream.permutations(len(own), count, number * count)
        for first, order in zip(own, orders, strict=True):
            yield samples[order[: min(steps_per_pass, num_steps - first) * client.batch_size]]
