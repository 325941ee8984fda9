"""How long does a step of many clients take on a GPU: by norse, eager PyTorch and the GPU engine?

64 clients train a 700-128-20 LIF network, T = 100 bins of random binary input of 1.5 %, batches of
32, Adam. All contenders start from the same weights and take the same batches, one after the other
within each repeat:

- norse client by client   our norse engine on the GPU, the reference of the others; it trains only
                           some of the clients and its time is multiplied
- eager, batched clients   PyTorch's own operations on all clients at once: a batched product for
                           the input, one for each bin's recurrence, autograd, torch's Adam
- GPU engine               whole local trainings as federated runs start them, with the host's share

Of parameters the largest difference over the largest parameter is printed, per weight matrix, and
of a client's update the norm of the difference over the norm. By rounding a spike may come or go,
so neither is zero.

Below stand two floors of a step: its dense operations at the rate of a large bfloat16 product, and
the bytes of currents, voltages and gradients at the rate of a large copy, both measured here.

Exits 1 naming each target missed: at most 0.6 ms a recurrent step, 25 times eager, 100 times norse
(on an H200), equal updates. Without a GPU it says so, measures nothing and exits 0.

    python benchmarks/gpu_training.py [--networks N ...] [--clients N] [--steps N] [--repeats R]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from contenders import (
    BATCH,
    BINS,
    CHANNELS,
    CLASSES,
    CLIENTS,
    HIDDEN,
    Result,
    World,
    difference,
    make_world,
)  # fmt: skip
from torch import Tensor

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning import equations
from hpcfed.learning.batches import batches
from hpcfed.learning.engines import make_trainer
from hpcfed.networks.surrogates import surrogate
from hpcfed.samples.samples import shape_of

NETWORKS = ("feed-forward", "recurrent")
NORSE, EAGER, ENGINE = "norse, one by one", "eager, batched", "GPU engine"
DENSITY, INPUT_GAIN = 0.015, 1.4  # hidden rates of 4 to 7 %
MOST_MS = {"recurrent": 0.6}
AT_LEAST = {EAGER: 25.0, NORSE: 100.0}
MOST_DIFFERENCE = 0.01  # of the updates' norm; room for spikes that rounding moves
NORSE_CLIENTS = 2


def main() -> None:
    """Print the table of each network, the floors, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU here: nothing was measured")
        return
    device = torch.device("cuda:0")
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}; {CHANNELS}-{HIDDEN}-"
          f"{CLASSES}, T = {BINS}: {arguments.clients} clients, batch {BATCH}, "
          f"{arguments.steps} steps of Adam; medians of {arguments.repeats}")  # fmt: skip
    missed = []
    for network in arguments.networks:
        world = gpu_world(network, arguments.clients, arguments.steps)
        missed += compare(network, world, arguments.repeats, device)
    for target in missed:
        print(f"missed: {target}")
    sys.exit(bool(missed))


def gpu_world(network: str, num_clients: int, num_steps: int) -> World:
    """Return the world of benchmarks/contenders.py with more clients, who share its samples."""
    world = make_world(network, round(DENSITY * BINS * CHANNELS), INPUT_GAIN)
    client = world.experiment.client.model_copy(update={"epochs": None, "steps": num_steps})
    clients = [Client(k, world.clients[k % CLIENTS].samples) for k in range(num_clients)]
    experiment = world.experiment.model_copy(update={"client": client})
    return replace(world, experiment=experiment, clients=clients)


def compare(network: str, world: World, repeats: int, device: torch.device) -> list[str]:
    """Print one network's table; return the targets missed."""
    few = replace(world, clients=world.clients[:NORSE_CLIENTS])
    contenders = {
        NORSE: engine(few, "norse", device),
        EAGER: eager(world, device),
        ENGINE: engine(world, "gpu", device),
    }
    seconds, results = alternate(contenders, repeats, device)
    seconds[NORSE] *= len(world.clients) / len(few.clients)
    steps = world.experiment.client.steps or 1
    samples = len(world.clients) * steps * BATCH
    print(f"\n{network}, hidden rate {results[NORSE][1]:.1%}")
    columns = ("ms a step", "samples/s", "x eager", "x norse", "params", "updates")
    print(f"{'':18s}" + "".join(f"{column:>11s}" for column in columns))
    missed = []
    for name, time_s in seconds.items():
        trained = results[name][0][: len(few.clients)], results[name][1]
        off = difference(few, trained, results[NORSE])
        cells = [f"{1e3 * time_s / steps:.3f}", f"{samples / time_s:.0f}",
                 *(f"{seconds[base] / time_s:.1f}" for base in (EAGER, NORSE)),
                 *(f"{value:.0e}" for value in off)]  # fmt: skip
        print(f"{name:18s}" + "".join(f"{cell:>11s}" for cell in cells))
        if not off[1] <= MOST_DIFFERENCE:
            missed.append(f"{network}: updates of {name} differ by {off[1]:.1e} of their norm")
    for base, least in AT_LEAST.items():
        if seconds[base] / seconds[ENGINE] < least:
            ratio = seconds[base] / seconds[ENGINE]
            missed.append(f"{network}: {ratio:.1f}x {base}, required {least:g}x")
    step_ms = 1e3 * seconds[ENGINE] / steps
    if step_ms > MOST_MS.get(network, float("inf")):
        missed.append(f"{network}: {step_ms:.3f} ms a step, at most {MOST_MS[network]:g} ms")
    print_floors(network, len(world.clients), step_ms, device)
    return missed


def engine(world: World, name: str, device: torch.device) -> Callable[[], Result]:
    """Return the local training of all clients by an engine of ours."""
    client = world.experiment.client.model_dump() | {"engine": name}
    tables = world.experiment.model_dump() | {"client": client}
    shape = shape_of(world.events)
    ours = make_trainer(Experiment.model_validate(tables), shape, str(device))

    def train() -> Result:
        trained, rates = [], []
        for update in ours.train(world.params, world.events, world.clients, 0):
            trained.append(world.params + np.asarray(update.delta))
            rates.append(update.hidden_rate)
        return trained, statistics.fmean(rates)

    return train


def eager(world: World, device: torch.device) -> Callable[[], Result]:
    """Return the local training of all clients at once by PyTorch's operations.

    The samples lie on the device, dense, before time is taken.
    """
    orders = np.stack([batch_order(world, client) for client in world.clients], axis=1)
    order = torch.from_numpy(orders).to(device)  # (steps, G, B)
    stored = world.events.dense(np.arange(world.events.num_samples)).transpose(1, 0, 2)
    dense = torch.from_numpy(np.ascontiguousarray(stored)).to(device)  # (S, T, C)
    labels = torch.from_numpy(world.events.labels).to(device)
    count = len(world.clients)

    def train() -> Result:
        weights = [
            torch.from_numpy(matrix).to(device).expand(count, -1, -1).clone().requires_grad_()
            for matrix in world.layout.split(world.params).values()
        ]
        optimiser = torch.optim.Adam(weights, lr=world.experiment.client.learning_rate)
        for ids in order:
            optimiser.zero_grad()
            logits = batched_logits(world.experiment, weights, dense[ids])
            losses = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), labels[ids].flatten(), reduction="none"
            )
            (losses.sum() / ids.shape[1]).backward()  # a client's gradient is of its own mean
            optimiser.step()
        flat = torch.cat([weight.detach().flatten(1) for weight in weights], dim=1)
        return list(flat.cpu().numpy()), float("nan")

    return train


def batch_order(world: World, client: Client) -> np.ndarray:
    """Return the sample ids (steps, B) of a client's local training."""
    stream = Stream(world.experiment.seed, Purpose.BATCH_ORDER, 0, client.index)
    return np.stack(list(batches(world.experiment.client, client.samples, stream)))


def batched_logits(experiment: Experiment, weights: list[Tensor], inputs: Tensor) -> Tensor:
    """Return logits (G, B, K) of each client's network on its own batch (G, B, T, C)."""
    neuron = equations.neuron(experiment, np.float32)
    keep, drive, decay = (float(x) for x in (neuron.keep, neuron.drive, neuron.decay))
    spike = surrogate(experiment.model.surrogate, experiment.model.surrogate_slope)
    full, threshold = bool(neuron.full), experiment.model.threshold
    count, batch, bins, _ = inputs.shape
    currents = torch.bmm(inputs.flatten(1, 2), weights[0].mT).view(count, batch, bins, -1)
    d = torch.zeros_like(currents[:, :, 0])
    v, z, spikes = d, d, []
    for current in currents.unbind(2):
        i = d + current
        if experiment.model.recurrent:
            i = torch.baddbmm(i, z, weights[1].mT)
        u = keep * v + drive * i
        z = spike(u - threshold)
        v = (1 - z) * u if full else u.masked_fill(u > threshold, 0.0)
        d = decay * i
        spikes.append(z)
    factors = torch.tensor(equations.readout(experiment, np.float32).factors.copy())
    summed = torch.einsum("t,tgbh->gbh", factors.to(inputs.device), torch.stack(spikes))
    return torch.bmm(summed, weights[-1].mT)


def alternate(
    contenders: dict[str, Callable[[], Result]], repeats: int, device: torch.device
) -> tuple[dict[str, float], dict[str, Result]]:
    """Run all contenders by turns; return median seconds and results. First turns do not count.

    There are two of them: the engine compiles in the first and captures its graph in the second.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    results = {}
    for repeat in range(repeats + 2):
        for name, train in contenders.items():
            torch.cuda.synchronize(device)
            begin = time.perf_counter()
            results[name] = train()
            torch.cuda.synchronize(device)
            if repeat >= 2:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(taken) for name, taken in times.items()}, results


def print_floors(network: str, clients: int, step_ms: float, device: torch.device) -> None:
    """Print what a step's operations and bytes take at rates measured here.

    Operations: products forward and back, twice a multiplication and an addition. Bytes: currents,
    voltages and gradients, written and read once each in float32; weights and Adam's two moments.
    """
    rows = clients * BATCH * BINS
    weights = CHANNELS * HIDDEN + HIDDEN * CLASSES
    operations = 2 * rows * 2 * CHANNELS * HIDDEN
    if network == "recurrent":
        operations += 2 * rows * 3 * HIDDEN * HIDDEN
        weights += HIDDEN * HIDDEN
    size_bytes = 6 * 4 * rows * HIDDEN + 2 * rows * CHANNELS / 8 + 7 * 4 * clients * weights
    floors = {
        "operations": (operations, product_rate(device), "FLOP"),
        "bytes": (size_bytes, copy_rate(device), "B"),
    }
    for name, (amount, rate, unit) in floors.items():
        floor_ms = 1e3 * amount / rate
        print(f"floor, {name:11s}{floor_ms:10.3f} ms a step ({amount / 1e9:.2f} G{unit} at "
              f"{rate / 1e12:.2f} T{unit}/s); the engine takes {step_ms / floor_ms:.1f} x"
        )  # fmt: skip


def product_rate(device: torch.device, size: int = 8192) -> float:
    """Return operations a second of a large bfloat16 product."""
    left = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    return 2 * size**3 / event_seconds(lambda: left @ left)


def copy_rate(device: torch.device, size_bytes: int = 1 << 30) -> float:
    """Return bytes a second, read and written, of a large copy."""
    source = torch.empty(size_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size_bytes / event_seconds(lambda: target.copy_(source))


def event_seconds(work: Callable[[], object], repeats: int = 20) -> float:
    """Return the median seconds of ``work`` by the GPU's own clock."""
    times = []
    for _ in range(repeats + 3):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return statistics.median(times[3:])


if __name__ == "__main__":
    main()
