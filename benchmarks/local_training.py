"""How long does local training take: norse's layers, a careful norse user, and the event engine?

8 clients train a 700-128-20 LIF network on 96 samples each: batches of 32, one epoch of Adam, so
three updates a client; T = 100 bins of random binary input. Everything a client does is counted:
batches, forward, loss, backward, optimiser. All contenders run in one process, one after the other
within each repeat, from the same weights with the same batches:

- norse layers   LIF or LIFRecurrent, Linear and LI in a SequentialState, torch's Adam
- norse unbind   the good user's norse: input product hoisted out of the time loop, x.unbind(0), the
                 readout's time loop collapsed. It is our norse engine, the reference of the others
- engine         the event engine with one and with two threads over the clients
- teacher        the event engine with one thread and a teacher: another loss, so other updates
- dense GEMMs    torch.mm in the shapes of forward and backward alone: any dense method's floor

norse's layers cannot be told the slope of their surrogate (superspike: it is 1) nor how the reset
takes part in the gradient (feed-forward: in full; recurrent: detached). So all contenders use
those, solve the same equations, and can be compared with the reference: per weight matrix the
largest difference of parameters over the largest parameter, and of a client's whole update the norm
of the difference over the norm. By rounding a spike may come or go, so neither is zero.

"Cost follows events" are times of the engine relative to T = 100 and 700 channels, each sample
having as many events: finer bins of the same second, and twice the channels. What more bins cost at
least stands below it, and what the target leaves for it: "derivatives" are superspike's, which are
nowhere zero, once for each neuron and bin that were added, and nothing else: a division each;
"products" are those of the way back through recurrent weights, one (32, 128) x (128, 128) a bin, by
torch.mm, since the gradient of each neuron's spikes has all neurons in it. The rows "one event" are
the engine with a single event a sample: all that it does for bins.

Exits 1 naming each target missed: ratios of medians, hidden rates of 2 to 20 %, contenders of one
thread on one core, equal updates.

    python benchmarks/local_training.py [--networks N ...] [--densities D ...] [--repeats R]
        [--parts P ...]
"""

from __future__ import annotations

import argparse
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from contenders import (
    BATCH,
    BINS,
    CHANNELS,
    CLASSES,
    CLIENTS,
    HIDDEN,
    SAMPLES,
    Result,
    dense_products,
    derivatives,
    difference,
    make_world,
    norse_layers,
    products,
    trainer,
)  # fmt: skip

NETWORKS, DENSITIES = ("feed-forward", "recurrent"), (1.5, 5.0, 10.0)
INPUT_GAIN = 1.4  # hidden rates of 4 to 7 % at any density
LAYERS, UNBIND, ONE, TWO, TAUGHT, GEMM = (
    "norse layers", "norse unbind", "engine", "engine, 2 threads", "engine, teacher", "dense GEMMs",
)  # fmt: skip
AT_LEAST = {  # (network, percent): times faster than norse's layers on one core
    ("feed-forward", 1.5): 50.0, ("feed-forward", 5.0): 22.0, ("feed-forward", 10.0): 14.0,
    ("recurrent", 1.5): 18.0, ("recurrent", 5.0): 12.0, ("recurrent", 10.0): 8.0,
}  # fmt: skip
AT_LEAST_UNBIND = {("feed-forward", 1.5): 25.0}
FINER = (500, 1000)
SCALES = {  # bins, channels, most times slower; finer bins spread the input: 1.2 keeps the spikes
    "T = 100": (BINS, CHANNELS, INPUT_GAIN, 1.0),
    "T = 500": (500, CHANNELS, 1.2 * INPUT_GAIN, 1.3),
    "T = 1000": (1000, CHANNELS, 1.2 * INPUT_GAIN, 1.3),
    "2 x channels": (BINS, 2 * CHANNELS, INPUT_GAIN, 1.15),
}
MOST_DIFFERENCE = 0.01  # of the updates' norm; room for spikes that rounding moves
MOST_TAUGHT = 1.05  # times as slow as without a teacher
MOST_CORES = 1.1  # processor seconds per second of a contender of one thread


@dataclass
class Times:
    """Wall and processor seconds of one contender, and what it gives."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    result: Result = ([], float("nan"))

    @property
    def median(self) -> float:
        """Median wall seconds."""
        return statistics.median(self.wall)

    @property
    def cores(self) -> float:
        """Processor seconds per second."""
        return sum(self.processor) / sum(self.wall)


def main() -> None:
    """Run the parts asked for, print the tables and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--densities", nargs="+", type=float, default=DENSITIES, help="percent")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--parts", nargs="+", choices=("table", "scaling"), default=["table", "scaling"]
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    missed: list[str] = []
    if "table" in arguments.parts:
        print(f"{CHANNELS}-{HIDDEN}-{CLASSES}, T = {BINS}: {CLIENTS} clients x {SAMPLES} samples, "
              f"batch {BATCH}, Adam; medians of {arguments.repeats}")  # fmt: skip
        for network in arguments.networks:
            for density in arguments.densities:
                missed += compare(network, density, arguments.repeats)
    if "scaling" in arguments.parts:
        for network in arguments.networks:
            for density in arguments.densities:
                missed += scale(network, density, arguments.repeats)
    for target in missed:
        print(f"missed: {target}")
    sys.exit(bool(missed))


def compare(network: str, density: float, repeats: int) -> list[str]:
    """Print one block of the table; return the targets missed."""
    world = make_world(network, round(density / 100 * BINS * CHANNELS), INPUT_GAIN)
    contenders = {
        LAYERS: lambda: norse_layers(world),
        UNBIND: trainer(world, "norse", threads=1),
        TWO: trainer(world, "event", threads=2),
        ONE: trainer(world, "event", threads=1),  # beside the next, of which it is the measure
        TAUGHT: trainer(world, "event", threads=1, taught=True),
        GEMM: lambda: dense_products(world.experiment.model.recurrent),
    }
    times = alternate(contenders, repeats)
    reference = times[UNBIND].result
    print(f"\n{network}, density {density:g} %, hidden rate {reference[1]:.1%}")
    columns = ("ms", "samples/s", "x layers", "x unbind", "cores", "rate", "params", "updates")
    print(f"{'':18s}" + "".join(f"{column:>10s}" for column in columns))
    differences = {
        name: difference(world, contender.result, reference) for name, contender in times.items()
    }
    for name, contender in times.items():
        cells = [
            f"{1e3 * contender.median:.1f}",
            f"{CLIENTS * SAMPLES / contender.median:.0f}",
            *(f"{times[base].median / contender.median:.1f}" for base in (LAYERS, UNBIND)),
            f"{contender.cores:.2f}",
            f"{contender.result[1]:.1%}",
            *(f"{value:.0e}" for value in differences[name]),
        ]
        print(f"{name:18s}" + "".join(f"{'-' if 'nan' in c else c:>10s}" for c in cells))
    return judge((network, density), times, {name: d[1] for name, d in differences.items()})


def judge(row: tuple[str, float], times: dict[str, Times], updates: dict[str, float]) -> list[str]:
    """Return what is missed in a row, one sentence each."""
    missed = []
    for base, targets in ((LAYERS, AT_LEAST), (UNBIND, AT_LEAST_UNBIND)):
        ratio, least = times[base].median / times[ONE].median, targets.get(row, 0.0)
        if ratio < least:
            missed.append(f"{ratio:.1f}x {base}, required {least:g}x")
    if (ratio := times[TAUGHT].median / times[ONE].median) > MOST_TAUGHT:
        missed.append(f"with a teacher {ratio:.3f}x the time, at most {MOST_TAUGHT:g}x")
    rate = times[UNBIND].result[1]
    if not 0.02 <= rate <= 0.20:
        missed.append(f"hidden rate {rate:.1%}, required 2 to 20 %")
    for name in (LAYERS, UNBIND, ONE, TAUGHT, GEMM):
        if times[name].cores > MOST_CORES:
            missed.append(f"{name} used {times[name].cores:.2f} cores, not one")
    for name in (LAYERS, ONE, TWO):
        if not updates[name] <= MOST_DIFFERENCE:
            missed.append(f"updates of {name} differ by {updates[name]:.1e} of their norm")
    return [f"{row[0]}, {row[1]:g} %: {sentence}" for sentence in missed]


def scale(network: str, density: float, repeats: int) -> list[str]:
    """Print how the engine's time grows with bins and channels at equal events; return misses."""
    num_events = round(density / 100 * BINS * CHANNELS)
    worlds = {
        name: make_world(network, num_events, gain, (bins, channels))
        for name, (bins, channels, gain, _) in SCALES.items()
    }
    worlds |= {f"T = {bins}, one event": make_world(network, 1, 0.01, (bins, CHANNELS))
               for bins in (BINS, *FINER)}  # fmt: skip
    contenders = {name: trainer(world, "event", threads=1) for name, world in worlds.items()}
    floor, least = (
        ("products", products) if network == "recurrent" else ("derivatives", derivatives)
    )
    for bins in FINER:
        contenders[f"T = {bins}, {floor}"] = partial(least, bins - BINS)
    times = alternate(contenders, repeats)
    first = times["T = 100"].median
    print(f"\n{network}, one thread of the engine, {num_events} events a sample")
    missed = []
    for name, contender in times.items():
        ratio, cells = contender.median / first, f"{name:20s} {1e3 * contender.median:8.1f} ms"
        if name not in worlds:
            most = SCALES[name.partition(",")[0]][3] - 1
            print(
                f"{cells} of {1e3 * most * first:.1f} ms that {most + 1:g} x leaves for more bins"
            )
            continue
        spikes = contender.result[1] * worlds[name].experiment.data.num_bins * HIDDEN
        print(f"{cells} {ratio:6.2f} x   {spikes:.0f} hidden spikes a sample")
        most = SCALES[name][3] if name in SCALES else float("inf")
        if ratio > most:
            missed.append(f"{network}, {density:g} %, {name}: {ratio:.2f}x, at most {most:g}x")
    return missed


def machine() -> str:
    """Return the processor and the versions of what is compared."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        cpu = found[1] if found else cpu
    versions = [f"{name} {version(name)}" for name in ("torch", "norse", "numba", "numpy")]
    return ", ".join([cpu, f"Python {platform.python_version()}", *versions])


def alternate(contenders: dict[str, Callable[[], Result]], repeats: int) -> dict[str, Times]:
    """Run all contenders ``repeats`` times, one after the other; a first turn is not counted."""
    times = {name: Times() for name in contenders}
    for repeat in range(repeats + 1):
        for name, train in contenders.items():
            wall, processor = time.perf_counter(), time.process_time()
            times[name].result = train()
            if repeat:
                times[name].wall.append(time.perf_counter() - wall)
                times[name].processor.append(time.process_time() - processor)
    return times


if __name__ == "__main__":
    main()
