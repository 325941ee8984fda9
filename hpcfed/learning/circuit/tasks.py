"""What a client does in a round: its samples in their order, and the bins of them to learn in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.philox import CompiledStream
from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.batches import passes
from hpcfed.learning.circuit import memory, plan
from hpcfed.learning.circuit.tables import Circuit, Inputs
from hpcfed.samples.events import EventSet

I64 = NDArray[np.int64]


class Task(NamedTuple):
    """A client's samples in their order, the bins of them to learn in, and those done before."""

    inputs: Inputs
    span: tuple[int, int]
    done: int

    @property
    def num_bins(self) -> int:
        """How many bins there are to learn in."""
        return self.span[1] - self.span[0]


def task_of(
    experiment: Experiment, circuit: Circuit, events: EventSet, round_index: int, client: Client
) -> Task:
    """Return what a client does in a round: whole samples, or so many bins."""
    num_bins, seed = plan.settings_of(experiment).bins, experiment.seed
    if num_bins is not None:
        return _continued(seed, circuit, events, client, num_bins)
    order = CompiledStream(seed, Purpose.BATCH_ORDER, round_index, client.index)
    ids = np.concatenate(list(passes(experiment.client, client.samples, order)))
    plan.check_words(circuit, len(ids))
    address = Stream(seed, Purpose.HIDDEN_SPIKES, round_index, client.index).address
    addresses = np.repeat(address[None], len(ids), axis=0)
    inputs = plan.inputs_of(events, ids, addresses, _starts(circuit, np.arange(len(ids))))
    return Task(inputs, (0, len(ids) * circuit.num_bins), 0)


def _continued(
    seed: int, circuit: Circuit, events: EventSet, client: Client, num_bins: int
) -> Task:
    """Return the next bins of a client, whose order and words follow from its passes alone."""
    done, bins = memory.bins_done(client.memory), circuit.num_bins
    first, count = done // bins, len(client.samples)
    plan.check_words(circuit, count)
    passes, places = np.divmod(np.arange(first, (done + num_bins - 1) // bins + 1), count)
    ids, addresses = np.empty(len(passes), np.int64), np.empty((len(passes), 5), np.uint32)
    for number in np.unique(passes).tolist():
        here, who = passes == number, (number, client.index)
        order = CompiledStream(seed, Purpose.BATCH_ORDER, *who)
        ids[here] = client.samples[order.permutation(count)][places[here]]
        addresses[here] = Stream(seed, Purpose.HIDDEN_SPIKES, *who).address
    inputs = plan.inputs_of(events, ids, addresses, _starts(circuit, places))
    within = done - first * bins
    return Task(inputs, (within, within + num_bins), done)


def _starts(circuit: Circuit, places: I64) -> I64:
    """Return the first word of samples that are number so-and-so of their stream."""
    return places * (circuit.num_bins * circuit.units)
