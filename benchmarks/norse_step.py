"""How long is one training step: norse's own layers against the reference engine?

Forward and backward of 700-128-20 LIF, T = 100, B = 32, one core. Contenders alternate within one
process, so that a busy machine slows both; medians and their ratio are printed. norse's layers
index x[t] on a tensor with a gradient, at a cost quadratic in T: see it with --bins 1000.

    python benchmarks/norse_step.py [--bins 100] [--density 0.015] [--repeats 15] [--recurrent]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from hpcfed.config import Experiment
from hpcfed.snn.layout import initial_params
from hpcfed.snn.network import build_network
from hpcfed.snn.reference_training import matrices

CHANNELS, HIDDEN, CLASSES, BATCH = 700, 128, 20, 32


def main() -> None:
    """Time both contenders and print milliseconds a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bins", type=int, default=100)
    parser.add_argument("--density", type=float, default=0.015, help="of the binary input")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--recurrent", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    dense = rng.random((arguments.bins, BATCH, CHANNELS)) < arguments.density
    events = torch.tensor(dense, dtype=torch.float32)
    labels = torch.tensor(rng.integers(0, CLASSES, BATCH))
    contenders = {
        "norse's layers": norse_layers(arguments.recurrent),
        "this engine": engine(arguments.bins, arguments.recurrent),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(arguments.repeats + 1):
        for name, step in contenders.items():
            begin = time.perf_counter()
            step(events, labels)
            times[name].append(1e3 * (time.perf_counter() - begin))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:15s} {median:8.1f} ms a step (best {min(times[name]):.1f})")
    theirs, ours = medians.values()
    print(f"ratio {theirs / ours:.2f}")


def norse_layers(recurrent: bool) -> Callable[[torch.Tensor, torch.Tensor], object]:
    """Return a step of the network as norse's users write it, readout by its mean over time."""
    from norse.torch import LI, LIF, LIFParameters, LIFRecurrent, LIParameters, SequentialState

    cell = LIFParameters(torch.tensor(100.0), torch.tensor(50.0))
    hidden = LIFRecurrent(CHANNELS, HIDDEN, p=cell, dt=0.01) if recurrent else LIF(p=cell, dt=0.01)
    project = [] if recurrent else [torch.nn.Linear(CHANNELS, HIDDEN, bias=False)]
    readout = LI(p=LIParameters(torch.tensor(100.0), torch.tensor(50.0)), dt=0.01)
    last = torch.nn.Linear(HIDDEN, CLASSES, bias=False)
    network = SequentialState(*project, hidden, last, readout)

    def step(events: torch.Tensor, labels: torch.Tensor) -> object:
        voltages, _ = network(events)
        loss = torch.nn.functional.cross_entropy(voltages.mean(0), labels)
        return torch.autograd.grad(loss, [w for w in network.parameters() if w.requires_grad])

    return step


def engine(num_bins: int, recurrent: bool) -> Callable[[torch.Tensor, torch.Tensor], object]:
    """Return the same step by this engine."""
    experiment = Experiment.model_validate(
        {
            "data": {"duration": num_bins / 100, "num_bins": num_bins},
            "model": {"hidden": [HIDDEN], "recurrent": recurrent, "init_scale": 3.0},
        }
    )
    network = build_network(experiment, CHANNELS, CLASSES)
    params = torch.tensor(initial_params(experiment.model, network.layout, 0), requires_grad=True)

    def step(events: torch.Tensor, labels: torch.Tensor) -> object:
        logits, _ = network.forward(matrices(network.layout, params), events)
        return torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), params)

    return step


if __name__ == "__main__":
    main()
