"""How long is a step of a convolutional spiking network, and how much memory does it take?

    python benchmarks/image_step.py [--bins 10] [--batch 32] [--width 16] [--threads 1]
                                    [--repeats 7] [--thresholds 1.0 1.75]

One step of local training of S-VGG9 with BNTT and signed Poisson input (Venkatesha et al. 2021,
arXiv 2106.06579), of ``width`` channels in its first layer (the paper's: 64): forward, backward,
SGD with momentum. The contenders alternate in one process:

- event         a round of local training, as federated runs take it
- autograd      the same with client.engine = "norse", the folded network in torch
- plain         a loop over time through torch's own layers
- SpikingJelly  where it is installed: its multi-step neurons by torch; its surrogate is 1 high

torch's have ``--threads`` threads; in a run each client has one, and the event engine's has. With a
higher threshold fewer neurons fire: the mean rate of the hidden layers is said. Memory is the most
that one of three steps takes beyond what its process has before it, as Linux counts it (VmHWM); for
it each has a process of its own.

Exits 1 naming each target missed: event 1.5 times as fast as the best of the others at the first
threshold (the network's own rates), 3 times at the last (a tenth), a third of plain's memory.
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
from importlib.util import find_spec
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
SIDE, CLASSES, LEAK, RATE, MOMENTUM = 32, 10, 0.95, 0.1, 0.9
LEAST, MOST_MEMORY = (1.5, 3.0), 1 / 3
Logits = Callable[[Experiment, dict[str, Tensor], Tensor], Tensor]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print time and memory of all at each threshold, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("bins", 10), ("batch", 32), ("threads", 1), ("repeats", 7), ("width", 16)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[1.0, 1.75])
    parser.add_argument("--memory-of", choices=tuple(WAYS), help="print the MiB of one, and end")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.memory_of:
        options.batch, batch = 2, options.batch
        WAYS[options.memory_of](*world(options, 1.0))()  # what is compiled and loaded once
        options.batch = batch
        one = WAYS[options.memory_of](*world(options, 1.0))
        torch.set_num_threads(options.threads)  # a trainer of torch's sets it to one
        print(max(memory_mib(one) for _ in range(3)))
        return 0
    memory = {name: memory_alone(name, options) for name in WAYS}
    print(", ".join(f"{name} {getattr(options, name)}" for name in SIZES))
    missed = []
    for number, at in enumerate(options.thresholds):
        experiment, images = world(options, at)
        found = compare({name: make(experiment, images) for name, make in WAYS.items()}, options)
        rate = hidden_rate(experiment, images)
        print(f"\nthreshold {at:g}: {rate:.1%} of the hidden neurons fire in a bin")
        for name, taken in found.items():
            times = " ".join(f"{value:.3f}" for value in taken)
            print(f"{name:14}{statistics.median(taken):7.3f} s {memory[name]:6.0f} MiB  ({times})")
        turns = list(zip(*found.values(), strict=True))
        ratio = statistics.median(min(others) / ours for ours, *others in turns)
        print(f"event is {ratio:.2f} times as fast as the best of the others")
        least = LEAST[0 if number == 0 else 1]
        if ratio < least and (number in (0, len(options.thresholds) - 1)):
            missed.append(f"{ratio:.2f} times as fast at threshold {at:g}, at least {least:g}")
    share = memory["event"] / memory["plain"]
    predicted = make_trainer(*engine("event", *world(options, 1.0))).step_bytes(options.batch)  # type: ignore[attr-defined]
    print(f"\nmemory {share:.3f} of plain's; predicted for event: {predicted / 2**20:.0f} MiB")
    if share > MOST_MEMORY:
        missed.append(f"memory {share:.3f} of plain's, at most {MOST_MEMORY:.3f}")
    for target in missed:
        print(f"missed: {target}")
    return int(bool(missed))


def world(options: argparse.Namespace, at: float) -> tuple[Experiment, ImageSet]:
    """Return the experiment whose neurons fire above ``at``, and its images."""
    experiment = settings(options.bins, options.batch, options.width)
    tables = experiment.model_dump(exclude_none=True)
    tables["model"]["threshold"] = at
    return Experiment.model_validate(tables), random_images(options.batch)


def compare(
    ways: dict[str, Callable[[], object]], options: argparse.Namespace
) -> dict[str, list[float]]:
    """Return the seconds of all, by turns; the first turn, which compiles, does not count."""
    torch.set_num_threads(options.threads)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(options.repeats + 1):
        for name, step in ways.items():
            start = time.perf_counter()
            step()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
            gc.collect()
    return seconds


def engine(name: str, experiment: Experiment, images: ImageSet) -> tuple[Experiment, Any]:
    """Return the experiment with that engine, and the shape of its images."""
    tables = experiment.model_dump(exclude_none=True)
    tables["client"]["engine"] = name
    return Experiment.model_validate(tables), shape_of(images)


def hidden_rate(experiment: Experiment, images: ImageSet) -> float:
    """Return the mean rate of the hidden layers in a step."""
    (update,) = trained("event", experiment, images)()
    return float(update.hidden_rate)


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


def trained(name: str, experiment: Experiment, images: ImageSet) -> Callable[[], list[Any]]:
    """Return a round of one client with one step, by an engine's trainer."""
    own, shape = engine(name, experiment, images)
    trainer = make_trainer(own, shape)
    params = initial_params(own.model, trainer.layout, own.seed)
    client = Client(0, np.arange(images.num_samples))
    return lambda: list(trainer.train(params, images, [client], 0))


def event(experiment: Experiment, images: ImageSet) -> Callable[[], object]:
    """Return a step of the event engine."""
    return trained("event", experiment, images)


def autograd(experiment: Experiment, images: ImageSet) -> Callable[[], object]:
    """Return a step of the autograd engine."""
    return trained("norse", experiment, images)


def jelly(experiment: Experiment, images: ImageSet) -> Callable[[], object]:
    """Return a step of SpikingJelly's."""
    from gpu_images import jelly as of_jelly
    from gpu_images import jelly_backends

    names = [backend for _, backend in jelly_backends()]
    return of_jelly(experiment, images, "torch" if "torch" in names else None)


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
    total, theta = rest, experiment.model.threshold
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
            signal = Spike.apply(u - theta)  # type: ignore[no-untyped-call]
            potentials[name] = u - theta * signal.detach()
        total = total + signal @ weights["readout"].t()
    return total / experiment.data.num_bins


WAYS = {"event": event, "autograd": autograd, "plain": plain}
if find_spec("spikingjelly") is not None:
    WAYS["SpikingJelly"] = jelly


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
