"""What benchmarks/local_training.py compares: random worlds, and ways to train all their clients.

T time bins, B batch, C channels, H hidden neurons, P parameters.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.batches import batches
from hpcfed.learning.engines import make_trainer
from hpcfed.networks.layout import Layout, initial_params
from hpcfed.networks.stack import dense_layout
from hpcfed.samples.events import EventSet
from hpcfed.samples.samples import shape_of

CHANNELS, HIDDEN, CLASSES, BINS = 700, 128, 20, 100
BATCH, CLIENTS, SAMPLES = 32, 8, 96

Result = tuple[list[NDArray[np.float32]], float]
"""What a local training gives: each client's trained parameters (P,) and the mean hidden rate."""


@dataclass(frozen=True)
class World:
    """One row of the table: a network's experiment, its first parameters, and random input."""

    experiment: Experiment
    layout: Layout
    params: NDArray[np.float32]
    events: EventSet
    clients: list[Client]


def make_world(
    network: str, num_events: int, gain: float, shape: tuple[int, int] = (BINS, CHANNELS)
) -> World:
    """Return a network and random input of (bins, channels) with ``num_events`` in each sample.

    An input weight is within +-gain times what gives the currents of a hundredth of a second a
    variance of 1/3, whatever the number of events.
    """
    num_bins, num_channels = shape
    recurrent = network == "recurrent"
    experiment = Experiment.model_validate(
        {
            "data": {"duration": 1.0, "num_bins": num_bins},
            "model": {
                "hidden": [HIDDEN],
                "recurrent": recurrent,
                "tau_mem": 0.02,
                "tau_syn": 0.02,
                "surrogate_slope": 1.0,
                "reset_gradient": "detached" if recurrent else "full",
            },
            "client": {"batch_size": BATCH},
        }
    )
    layout = dense_layout(experiment.model, num_channels, CLASSES)
    params = initial_params(experiment.model, layout, experiment.seed)
    layout.split(params)["hidden0.input"] *= gain * np.sqrt(num_channels * BINS / num_events)
    events = random_events(num_bins, num_channels, num_events)
    ids = np.arange(CLIENTS * SAMPLES).reshape(CLIENTS, SAMPLES)
    return World(experiment, layout, params, events, [Client(k, row) for k, row in enumerate(ids)])


def random_events(num_bins: int, num_channels: int, num_events: int) -> EventSet:
    """Return samples of ``num_events`` events in random bins and channels, no two alike."""
    rng = np.random.default_rng(0)
    count = CLIENTS * SAMPLES
    channels, offsets = [], []
    for _ in range(count):
        cells = np.sort(rng.choice(num_bins * num_channels, num_events, replace=False))
        channels.append((cells % num_channels).astype(np.uint16))
        offsets.append(np.searchsorted(cells, np.arange(num_bins + 1) * num_channels))
    return EventSet(
        channels=np.concatenate(channels),
        counts=None,
        bin_offsets=np.array(offsets, np.uint32),
        sample_offsets=np.arange(count + 1, dtype=np.int64) * num_events,
        labels=rng.integers(0, CLASSES, count),
        groups=np.zeros(count, np.int64),
        num_channels=num_channels,
        duration=1.0,
        class_names=tuple(map(str, range(CLASSES))),
        group_names=("nobody",),
    )


def trainer(
    world: World, engine: str, threads: int, *, taught: bool = False
) -> Callable[[], Result]:
    """Return the local training of all clients by an engine of ours; of random answers, ``taught``.

    Each update is added to a sum as it comes and let go, as in a round of a federation; each
    client's parameters are kept from the first call.
    """
    client = {"batch_size": BATCH, "engine": engine, "threads": threads}
    events = world.events
    if taught:
        client["teacher"] = "run.h5"  # which nobody reads here
        answers = np.random.default_rng(1).normal(0, 3, (len(events.labels), CLASSES))
        events = replace(events, teacher=answers.astype(np.float32))
    tables = world.experiment.model_dump() | {"client": client}
    ours = make_trainer(Experiment.model_validate(tables), shape_of(world.events))
    total, trained = np.zeros_like(world.params), []

    def train() -> Result:
        rates = []
        for update in ours.train(world.params, events, world.clients, 0):
            np.add(total, update.delta, out=total)
            if len(trained) < len(world.clients):
                trained.append(world.params + update.delta)
            rates.append(update.hidden_rate)
        return trained, statistics.fmean(rates)

    return train


def norse_layers(world: World) -> Result:
    """Train all clients as norse's users write it; the hidden rate is not known to them."""
    return [train_layers(world, client) for client in world.clients], float("nan")


def train_layers(world: World, client: Client) -> NDArray[np.float32]:
    """Return one client's parameters (P,) after its epoch."""
    settings = world.experiment.client
    network, weights = layers(world)
    optimiser = torch.optim.Adam(weights, lr=settings.learning_rate)
    order = Stream(world.experiment.seed, Purpose.BATCH_ORDER, 0, client.index)
    for samples in batches(settings, client.samples, order):
        voltages, _ = network(torch.from_numpy(world.events.dense(samples)))
        labels = torch.from_numpy(world.events.labels[samples])
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(voltages.mean(0), labels).backward()
        optimiser.step()
    return torch.cat([weight.detach().flatten() for weight in weights]).numpy()


def layers(world: World) -> tuple[torch.nn.Module, list[torch.nn.Parameter]]:
    """Return norse's network with the world's first parameters, and its weights in our order."""
    from norse.torch import LI, LIF, LIFParameters, LIFRecurrent, LIParameters, SequentialState

    model, dt = world.experiment.model, world.experiment.dt
    taus = torch.tensor(1 / model.tau_syn), torch.tensor(1 / model.tau_mem)
    cell, leaky = LIFParameters(*taus), LIParameters(*taus)
    weights = [
        torch.nn.Parameter(torch.from_numpy(matrix.copy()))
        for matrix in world.layout.split(world.params).values()
    ]
    last = linear(weights[-1])
    if model.recurrent:
        given = {"input_weights": weights[0], "recurrent_weights": weights[1], "autapses": True}
        hidden = [LIFRecurrent(world.events.num_channels, HIDDEN, p=cell, dt=dt, **given)]
    else:
        hidden = [linear(weights[0]), LIF(p=cell, dt=dt)]
    return SequentialState(*hidden, last, LI(p=leaky, dt=dt)), weights


def linear(weight: torch.nn.Parameter) -> torch.nn.Linear:
    """Return a layer without bias that uses ``weight`` (out, in) itself."""
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight = weight
    return layer


def dense_products(recurrent: bool) -> Result:
    """Do the matrix products of all clients' steps and nothing else, on the same random numbers."""
    rng = torch.Generator().manual_seed(0)
    rows = BINS * BATCH
    x, h, w = (
        torch.rand(shape, generator=rng)
        for shape in ((rows, CHANNELS), (rows, HIDDEN), (HIDDEN, CHANNELS))
    )
    v, out, error = (
        torch.rand(shape, generator=rng)
        for shape in ((HIDDEN, HIDDEN), (CLASSES, HIDDEN), (BATCH, CLASSES))
    )
    for _ in range(CLIENTS * (SAMPLES // BATCH)):
        torch.mm(x, w.t())
        torch.mm(h.t(), x)
        for step in h.split(BATCH) if recurrent else ():
            torch.mm(step, v.t())
            torch.mm(step, v)
        if recurrent:
            torch.mm(h.t(), h)
        torch.mm(h[:BATCH], out.t())
        torch.mm(error, out)
        torch.mm(error.t(), h[:BATCH])
    return [], float("nan")


def products(num_bins: int) -> Result:
    """Do the products of the way back through recurrent weights in bins of all clients' steps."""
    weights = torch.rand((HIDDEN, HIDDEN), generator=torch.Generator().manual_seed(0))
    before, after = torch.zeros((2, BATCH, HIDDEN))
    for _ in range(CLIENTS * SAMPLES // BATCH * num_bins):
        torch.mm(before, weights, out=after)
    return [], float("nan")


def derivatives(num_bins: int) -> Result:
    """Evaluate superspike's derivative in bins of all clients' samples."""
    starts = np.linspace(-1, 1, HIDDEN, dtype=np.float32)
    _add_derivatives(np.zeros_like(starts), starts, CLIENTS * SAMPLES * num_bins)
    return [], float("nan")


@numba.njit(nogil=True, error_model="numpy")
def _add_derivatives(totals: NDArray[np.float32], starts: NDArray[np.float32], count: int) -> None:
    one, step = np.float32(1), np.float32(1e-6)
    for k in range(count):
        moved = np.float32(k) * step  # the distances change: none is computed once for all
        for n in range(len(totals)):
            root = one + abs(starts[n] + moved)
            totals[n] += one / (root * root)


def difference(world: World, ours: Result, reference: Result) -> tuple[float, float]:
    """Return the largest relative differences of parameters and of updates over the clients."""
    if not ours[0]:
        return float("nan"), float("nan")
    parameters, updates = [], []
    for mine, theirs in zip(ours[0], reference[0], strict=True):
        for _, part, _ in world.layout.slices():
            parameters.append(np.abs(mine[part] - theirs[part]).max() / np.abs(theirs[part]).max())
        updates.append(np.linalg.norm(mine - theirs) / np.linalg.norm(theirs - world.params))
    return max(parameters), max(updates)
