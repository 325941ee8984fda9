"""How long is a step of a convolutional spiking network, and how much memory does it take?

    python benchmarks/image_step.py [--bins 20] [--batch 32] [--width 64] [--threads 2]
                                    [--repeats 5]

One step of local training of S-VGG9 with BNTT and signed Poisson input (Venkatesha et al. 2021,
arXiv 2106.06579): forward, backward, SGD with momentum. The contender is the plain way, a loop over
time through torch's own layers. Both have the same weights and alternate in one process, both with
``--threads`` threads of torch (in a run each client has one). Memory is the most that one of three
steps takes beyond what its process has before it, as Linux counts it (VmHWM); for it each has a
process of its own, since freed memory that one leaves scattered is not the other's.

Exits 1 when ours takes longer, or more than half the memory.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, cross_entropy, relu

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.engines import make_trainer
from hpcfed.networks.layout import initial_params
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import shape_of

SIZES = ("bins", "batch", "width", "threads")
Logits = Callable[[Experiment, dict[str, Tensor], Tensor], Tensor]
SIDE, CLASSES, LEAK, RATE, MOMENTUM = 32, 10, 0.95, 0.1, 0.9


def main(arguments: Sequence[str] | None = None) -> int:
    """Print time and memory of both, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("bins", 20), ("batch", 32), ("threads", 2), ("repeats", 5), ("width", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--memory-of", choices=tuple(WAYS), help="print the MiB of one, and end")
    options = parser.parse_args(arguments)
    experiment = settings(options.bins, options.batch, options.width)
    images = random_images(options.batch)
    ways = {name: make(experiment, images) for name, make in WAYS.items()}
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print(max(memory_mib(ways[options.memory_of]) for _ in range(3)))
        return 0
    memory = {name: memory_alone(name, options) for name in ways}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(options.repeats + 1):  # the first compiles
        for name, step in ways.items():
            start = time.perf_counter()
            step()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
            gc.collect()
    sizes = ", ".join(f"{name} {getattr(options, name)}" for name in SIZES)
    print(sizes)
    for name, taken in seconds.items():
        times = " ".join(f"{value:.2f}" for value in taken)
        print(f"{name:12}{statistics.median(taken):6.2f} s {memory[name]:6.0f} MiB  ({times})")
    ratio = statistics.median(a / b for a, b in zip(*seconds.values(), strict=True))
    predicted = make_trainer(experiment, shape_of(images)).step_bytes(options.batch)  # type: ignore[attr-defined]
    print(f"predicted for ours: {predicted / 2**20:.0f} MiB")
    share = memory["ours"] / memory["plain"]
    print(f"ours / plain: time {ratio:.3f} (median of pairs), memory {share:.3f}")
    return int(ratio > 1 or share > 0.5)


def settings(bins: int, batch: int, width: int) -> Experiment:
    """Return S-VGG9 as released, ``width`` channels in its first layer."""
    layers = [f"{width * k}c3" if k else "p2" for k in (1, 1, 0, 2, 2, 0, 4, 4, 4, 0)]
    return Experiment.model_validate(
        {
            "data": {"dataset": "cifar10", "num_bins": bins},
            "partition": {"kind": "iid", "num_clients": 1},
            "model": {
                "hidden": [*layers, 16 * width],
                "neuron": "leaky",
                "norm": "bntt",
                "surrogate": "triangle",
                "surrogate_slope": 1.0,
                "surrogate_scale": 0.3,
                "readout": "current",
                "init": "xavier",
                "init_scale": 2.0,
            },
            "client": {
                "steps": 1,
                "batch_size": batch,
                "optimizer": "sgd",
                "momentum": MOMENTUM,
                "learning_rate": RATE,
            },
        }
    )


def random_images(number: int) -> ImageSet:
    """Return images of random pixels."""
    rng = np.random.default_rng(0)
    return ImageSet(
        pixels=rng.integers(0, 256, (number, 3, SIDE, SIDE), np.uint8),
        labels=rng.integers(0, CLASSES, number),
        groups=np.zeros(number, np.int64),
        class_names=tuple(str(label) for label in range(CLASSES)),
        group_names=("all",),
    )


def ours(experiment: Experiment, images: ImageSet) -> Callable[[], object]:
    """Return a round of one client with one step, by the trainer of a run."""
    trainer = make_trainer(experiment, shape_of(images))
    params = initial_params(experiment.model, trainer.layout, experiment.seed)
    client = Client(0, np.arange(images.num_samples))
    return lambda: list(trainer.train(params, images, [client], 0))


class Spike(torch.autograd.Function):
    """A step with the surrogate 0.3 max(0, 1 - |x|)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return [x > 0]."""
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Return the gradient of x."""
        (x,) = ctx.saved_tensors
        return gradients[0] * 0.3 * relu(1 - x.abs())


def plain(
    experiment: Experiment,
    images: ImageSet,
    device: str = "cpu",
    logits_of: Logits | None = None,
) -> Callable[[], object]:
    """Return the same step as a loop over time through torch's layers and its optimiser."""
    logits_of = logits_of or plain_logits
    layout = make_trainer(experiment, shape_of(images)).layout
    params = layout.split(initial_params(experiment.model, layout, experiment.seed))
    weights = {
        name: torch.tensor(np.asarray(value), device=device) for name, value in params.items()
    }
    trained = [weight.requires_grad_() for name, weight in weights.items()
               if name.endswith(("input", "scale", "readout"))]  # fmt: skip
    optimiser = torch.optim.SGD(trained, RATE, MOMENTUM)
    pixels = torch.tensor(images.pixels, device=device).float() / 127.5 - 1
    labels = torch.tensor(images.labels, device=device)

    def step() -> None:
        optimiser.zero_grad()
        cross_entropy(logits_of(experiment, weights, pixels), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


def plain_logits(experiment: Experiment, weights: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """Return the logits (B, K) of ``pixels`` (B, C, H, W)."""
    potentials: dict[str, Tensor] = {}
    rest = pixels.new_zeros(())
    total = rest
    for t in range(experiment.data.num_bins):
        drawn = 2 * torch.rand_like(pixels) <= pixels.abs()
        signal, number = drawn * pixels.sign(), 0
        for entry in experiment.model.hidden:
            if entry == "p2":
                signal = avg_pool2d(signal, 2)
                continue
            name = f"hidden{number}"
            weight, number = weights[f"{name}.input"], number + 1
            if isinstance(entry, int):
                drive = signal.flatten(1) @ weight.t()
            else:
                drive = conv2d(signal, weight, padding=1)
            mean, variance, scale = (
                weights[f"{name}.{what}"][t] for what in ("mean", "variance", "scale")
            )
            normed = batch_norm(drive, mean, variance, scale, None, True, 0.1, 1e-4)
            u = LEAK * potentials.get(name, rest) + normed
            signal = Spike.apply(u - 1)  # type: ignore[no-untyped-call]
            potentials[name] = u - signal.detach()
        total = total + signal @ weights["readout"].t()
    return total / experiment.data.num_bins


WAYS = {"ours": ours, "plain": plain}


def memory_alone(name: str, options: argparse.Namespace) -> float:
    """Return the MiB of a contender in a process of its own, where no other has left its heap."""
    sizes = [f"--{size}={getattr(options, size)}" for size in SIZES]
    command = [sys.executable, __file__, "--memory-of", name, *sizes]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory_mib(step: Callable[[], object]) -> float:
    """Return what a step takes at most beyond what was there before."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    step()
    return (resident("VmHWM") - before) / 1024


def resident(what: str) -> int:
    """Return a size of this process in KiB."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith(what)).split()[1])


if __name__ == "__main__":
    sys.exit(main())
