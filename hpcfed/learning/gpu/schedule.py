"""What each step of a round trains on, as the GPU is told it: sample numbers, not samples.

n steps, N clients, B slots. The order of a client's samples and what augmentation does to them are
the host's; they follow from (seed, round, client).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream, threshold
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.augment import draw, is_augmented, num_words
from hpcfed.learning.batches import batches
from hpcfed.learning.gpu.optimiser import BETA1, BETA2
from hpcfed.learning.gpu.plan import BLOCK
from hpcfed.learning.gpu.work import Buffers
from hpcfed.learning.schedule import learning_rate
from hpcfed.samples.events import EventSet

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Orders:
    """The round of N clients; the arrays are those of ``gpu_work.Schedule``.

    Without augmentation ``bins``, ``channels``, ``first_words`` and ``streams`` have length 0 along
    the clients.
    """

    samples: I32
    counts: I32
    bins: I32
    channels: I32
    first_words: I64
    streams: I64
    rates: NDArray[np.float32]
    limit: int

    @property
    def num_steps(self) -> int:
        """The most steps of any client."""
        return len(self.counts)

    @property
    def num_clients(self) -> int:
        """N."""
        return int(self.counts.shape[1])

    @property
    def num_slots(self) -> int:
        """Slots that the largest batch takes up, in whole blocks."""
        return int(self.samples.shape[2])

    def part(self, first: int, last: int) -> Orders:
        """Return the round of the clients ``first`` to ``last``."""
        own = {name: getattr(self, name)[:, first:last] for name in _BY_CLIENT}
        return replace(self, **own, streams=self.streams[first:last])


_BY_CLIENT = ("samples", "counts", "bins", "channels", "first_words")


def whole_blocks(count: int) -> int:
    """Return the slots that ``count`` samples take up."""
    return -(-count // BLOCK) * BLOCK


def orders(
    experiment: Experiment, events: EventSet, clients: Sequence[Client], round_index: int
) -> Orders:
    """Return what the ``clients`` train on in a round."""

    def stream(purpose: Purpose, client: Client) -> Stream:
        return Stream(experiment.seed, purpose, round_index, client.index)

    steps = [
        list(batches(experiment.client, client.samples, stream(Purpose.BATCH_ORDER, client)))
        for client in clients
    ]
    shape = (max(map(len, steps)), len(clients), whole_blocks(max(len(s[0]) for s in steps)))
    augmented = is_augmented(experiment.data)
    shifted = shape if augmented else (shape[0], 0, 0)
    planned = Orders(
        samples=np.full(shape, -1, np.int32),
        counts=np.zeros(shape[:2], np.int32),
        bins=np.zeros(shifted, np.int32),
        channels=np.zeros(shifted, np.int32),
        first_words=np.zeros(shifted, np.int64),
        streams=np.zeros((len(clients) if augmented else 0, 5), np.int64),
        rates=step_rates(learning_rate(experiment.client, round_index), shape[0]),
        limit=threshold(experiment.data.drop),
    )
    for k, (client, own) in enumerate(zip(clients, steps, strict=True)):
        for step, samples in enumerate(own):
            planned.samples[step, k, : len(samples)] = samples
            planned.counts[step, k] = len(samples)
        if augmented:
            noise = stream(Purpose.AUGMENTATION, client)
            planned.streams[k] = noise.address
            _augment(experiment, events, own, noise, planned, k)
    return planned


def fill(work: Buffers, group: Orders) -> None:
    """Copy a group's round to the device; slots, clients and steps beyond it are empty."""
    schedule = work.schedule
    schedule.samples.fill_(-1)
    schedule.counts.zero_()
    schedule.limit.fill_(group.limit)
    for name in (*_BY_CLIENT, "streams", "rates"):
        source, target = torch.from_numpy(getattr(group, name)), getattr(schedule, name)
        if source.numel():
            target[tuple(map(slice, source.shape))].copy_(source)


def _augment(
    experiment: Experiment,
    events: EventSet,
    steps: Sequence[I64],
    noise: Stream,
    planned: Orders,
    k: int,
) -> None:
    """Write what augmentation does to client ``k``; drops are left to the device."""
    shifts = experiment.data.model_copy(update={"drop": 0.0})
    start = 0
    for step, samples in enumerate(steps):
        lengths, own = events.num_events[samples], (step, k, slice(len(samples)))
        changes = draw(len(samples), int(lengths.sum()), shifts, noise, start)
        planned.bins[own], planned.channels[own] = changes.bins, changes.channels
        planned.first_words[own] = start + 2 * len(samples) + np.cumsum(lengths) - lengths
        start += num_words(len(samples), int(lengths.sum()))


def step_rates(rate: float, num_steps: int) -> NDArray[np.float32]:
    """Return (n, 4) float32: the rate, the same over Adam's first correction, the other's factor.

    The fourth value is nothing: a row has 16 bytes, as a kernel likes the start of an array.
    """
    step = np.arange(1, num_steps + 1)
    rates = np.zeros((num_steps, 4), np.float32)
    rates[:, 0] = np.float64(rate)
    rates[:, 1] = rates[:, 0] / (1 - BETA1**step)
    rates[:, 2] = 1 / np.sqrt(1 - BETA2**step)
    return rates
