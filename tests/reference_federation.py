"""Federated averaging, plainly: Python integers and fractions, one client after the other.

Nothing here comes from hpcfed.federation; the random words are those of hpcfed.base.seeds. With a
plain server and no rescaling the fast federation must give the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import Experiment

F32 = NDArray[np.float32]
Delta = Callable[[F32, int, int], F32]


@dataclass
class Reference:
    """A federation under way: parameters, what error feedback keeps, the server's moments."""

    experiment: Experiment
    num_samples: Sequence[int]
    params: F32
    round: int = 0
    residuals: dict[int, F32] = field(default_factory=dict)
    moments: list[list[float]] = field(default_factory=list)

    def step(self, delta: Delta) -> None:
        """Run one round; ``delta(params, client, round)`` trains a client."""
        clients = self.participants()
        sent = [self.sent(k, delta(self.params, k, self.round)) for k in clients]
        accepted = [
            (k, update)
            for k, update in zip(clients, sent, strict=True)
            if all(abs(d) * self.factor(k) < 4096 for d in update.values())
        ]
        if accepted:
            mean = self.mean(accepted)
            self.params = self.server_step(mean)
        self.round += 1

    def q(self, client: int) -> float:
        """Return the client's probability of being dropped."""
        q = self.experiment.participation.drop_probability
        return q if isinstance(q, float) else q[client]

    def weight(self, client: int) -> int:
        """Return n_k."""
        uniform = self.experiment.server.client_weights == "uniform"
        return 1 if uniform else self.num_samples[client]

    def factor(self, client: int) -> float:
        """Return 1 / P(the client arrives), where the average over all clients wants it."""
        server = self.experiment.server
        wanted = server.rescale and server.average == "all" and self.q(client) < 1
        return 1 / (1 - self.q(client)) if wanted else 1.0

    def participants(self) -> list[int]:
        """Return who is not dropped."""
        num_clients = len(self.num_samples)
        words = Stream(self.experiment.seed, Purpose.PARTICIPATION, self.round).words(num_clients)
        return [k for k in range(num_clients) if int(words[k]) >= round(self.q(k) * 2**32)]

    def entries(self, client: int, update: Sequence[float]) -> list[int]:
        """Return the entries that the mask lets through."""
        uplink, size = self.experiment.uplink, len(update)
        words = Stream(self.experiment.seed, Purpose.MASK, self.round, client).words(size)
        p = uplink.mask_probability
        if uplink.mask == "bernoulli":
            return [i for i in range(size) if int(words[i]) >= round(p * 2**32)]
        keys = {
            "none": [0] * size,
            "random-k": words.tolist(),
            "top-k": [-abs(value) for value in update],
        }[uplink.mask]
        order = sorted(range(size), key=lambda i: (keys[i], i))
        return sorted(order[: size - round(p * size)])

    def sent(self, client: int, delta: F32) -> dict[int, float]:
        """Return decode(encode(M * D)) by entry, and note what error feedback keeps."""
        kept = self.residuals.get(client, np.zeros_like(delta))
        update = delta + kept if self.experiment.uplink.error_feedback else delta
        entries = self.entries(client, update.tolist())
        values = on_the_wire(update[entries], self.experiment.uplink.dtype)
        if self.experiment.uplink.error_feedback:
            rest = update.copy()
            for i, value in zip(entries, values, strict=True):
                rest[i] = np.float32(rest[i] - value)
            self.residuals[client] = rest
        return dict(zip(entries, map(float, values), strict=True))

    def mean(self, accepted: list[tuple[int, dict[int, float]]]) -> list[float]:
        """Return the aggregated update of each entry: integers on the grid, divided once."""
        every = [self.weight(k) for k in range(len(self.num_samples))]
        shift = math.ceil(math.log2(sum(every)))
        size = len(self.params)
        sums, arrived = [0] * size, [0] * size
        for k, update in accepted:
            for i, value in update.items():
                weight = Fraction(self.weight(k), 2**shift) * Fraction(self.factor(k))
                sums[i] += round(weight * Fraction(value) * 2**50)
                arrived[i] += self.weight(k)
        average = self.experiment.server.average
        total = sum(every) if average == "all" else sum(self.weight(k) for k, _ in accepted)
        divisors = arrived if average == "received" else [total] * size
        return [
            float(Fraction(s, 2**50) * 2**shift / (d * Fraction(self.keep()))) if d else 0.0
            for s, d in zip(sums, divisors, strict=True)
        ]

    def keep(self) -> float:
        """Return the probability that the mask lets an entry through, if it is divided by."""
        uplink, size = self.experiment.uplink, len(self.params)
        if not self.experiment.server.rescale or uplink.mask == "none":
            return 1.0
        if uplink.mask == "bernoulli":
            return 1 - uplink.mask_probability
        return (size - round(uplink.mask_probability * size)) / size

    def server_step(self, mean: list[float]) -> F32:
        """Return the next parameters."""
        server, size = self.experiment.server, len(mean)
        direction = list(mean)
        if server.optimizer == "momentum":
            old = self.moments[0] if self.moments else [0.0] * size
            self.moments = [[server.momentum * m + d for m, d in zip(old, mean, strict=True)]]
            direction = self.moments[0]
        elif server.optimizer == "adam":
            m, v = self.moments or ([0.0] * size, [0.0] * size)
            m = [0.9 * a + 0.1 * d for a, d in zip(m, mean, strict=True)]
            v = [0.99 * a + 0.01 * d * d for a, d in zip(v, mean, strict=True)]
            self.moments = [m, v]
            direction = [a / (math.sqrt(b) + 1e-3) for a, b in zip(m, v, strict=True)]
        moved = [
            float(w) + server.learning_rate * d for w, d in zip(self.params, direction, strict=True)
        ]
        return np.array(moved, np.float32)


def on_the_wire(values: F32, dtype: str) -> list[np.float32]:
    """Return what the root reads of ``values`` that travel as ``dtype``."""
    if dtype == "int8":
        largest = max((abs(v) for v in values), default=np.float32(0))
        scale = np.float32(largest / np.float32(127))
        if scale == 0:
            return [np.float32(0)] * len(values)
        return [np.float32(round(float(np.float32(v / scale))) * scale) for v in values]
    if dtype == "sign":
        mean = math.fsum(abs(float(v)) for v in values) / max(len(values), 1)
        return [np.float32(mean) if v >= 0 else -np.float32(mean) for v in values]
    return [np.float32(np.dtype(dtype).type(v)) for v in values]
