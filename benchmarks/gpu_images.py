"""How long is a step of S-VGG9 on a GPU, by this engine, autograd, SpikingJelly and torch.compile?

T = 20 bins, batches of 32 images, BNTT, signed Poisson input, SGD with momentum: the network of
``image_step.py``. The contenders alternate in one process and draw their own input:

- GPU engine     a round of local training as federated runs start it, with the host's share
- norse          the same by our autograd engine on the card (its convolutions in TF32 as asked)
- compiled       the plain loop over time, by torch.compile; leave it out with --skip: it takes
                 minutes to compile
- SpikingJelly   where it is installed: multi-step LIF neurons by each backend it offers here; BNTT
                 as one batch norm of T times as many channels; its surrogate is as wide and 1 high

In bf16 others run under autocast, which norse does not know. Memory is what torch has reserved at
most, of each in a process of its own.

Exits 1 naming each target missed: at most 10 ms a step in TF32 and 5 ms in bf16 (on an H100), 1.5
GB, 1.3 times as fast as SpikingJelly. Without a GPU it says so, measures nothing and exits 0.

    python benchmarks/gpu_images.py [--precisions tf32 bf16] [--bins 20] [--batch 32] [--width 64]
                                    [--steps 20] [--repeats 7] [--skip compiled]
"""

from __future__ import annotations

import argparse
import contextlib
import inspect
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from image_step import LEAK, MOMENTUM, RATE, plain, plain_logits, random_images, settings
from torch import Tensor
from torch.nn.functional import avg_pool2d, batch_norm, cross_entropy

from hpcfed.clients.population import Client
from hpcfed.config import Experiment
from hpcfed.learning.engines import make_trainer
from hpcfed.networks.layout import initial_params
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import shape_of

ENGINE, NORSE, COMPILED, JELLY = "GPU engine", "norse", "compiled", "SpikingJelly"
PRECISIONS = ("fp32", "tf32", "bf16")
MOST_MS = {"tf32": 10.0, "bf16": 5.0}
MOST_BYTES, LEAST_RATIO = 1.5e9, 1.3
SIZES = ("bins", "batch", "width", "steps")
Work = Callable[[], object]


def main() -> None:
    """Print the table of each precision, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=["tf32", "bf16"])
    for name, value in (("bins", 20), ("batch", 32), ("width", 64), ("steps", 20), ("repeats", 7)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--skip", nargs="+", default=[], help="contenders to leave out")
    parser.add_argument("--memory-of", help="print the bytes of one contender, and end")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU here: nothing was measured")
        return
    if options.memory_of:
        print(reserved_bytes(contenders(options, options.precisions[0])[options.memory_of]()))
        return
    sizes = ", ".join(f"{name} {getattr(options, name)}" for name in SIZES)
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}; S-VGG9, {sizes}; medians of "
          f"{options.repeats}")  # fmt: skip
    missed = [target for one in options.precisions for target in compare(options, one)]
    for target in missed:
        print(f"missed: {target}")
    sys.exit(bool(missed))


def compare(options: argparse.Namespace, precision: str) -> list[str]:
    """Print one precision's table; return the targets missed."""
    ways = contenders(options, precision)
    memory = {name: memory_alone(name, precision, options) for name in ways}
    seconds = alternate({name: make() for name, make in ways.items()}, options.repeats)
    print(f"\n{precision:24s}{'ms a step':>12s}{'images/s':>12s}{'x engine':>12s}{'MB':>12s}")
    for name, taken in seconds.items():
        ms = 1e3 * taken / options.steps
        cells = f"{ms:12.2f}{1e3 * options.batch / ms:12.0f}{taken / seconds[ENGINE]:12.2f}"
        print(f"{name:24s}{cells}{memory[name] / 1e6:12.0f}")
    missed, ms = [], 1e3 * seconds[ENGINE] / options.steps
    if ms > MOST_MS.get(precision, float("inf")):
        missed.append(f"{precision}: {ms:.2f} ms a step, at most {MOST_MS[precision]:g} ms")
    if precision == "bf16" and memory[ENGINE] > MOST_BYTES:
        missed.append(f"{precision}: {memory[ENGINE] / 1e9:.2f} GB, at most 1.5 GB")
    for name, taken in seconds.items():
        if name.startswith(JELLY) and taken < LEAST_RATIO * seconds[ENGINE]:
            ratio = taken / seconds[ENGINE]
            missed.append(f"{precision}: {ratio:.2f} x {name}, required {LEAST_RATIO:g} x")
    return missed


def contenders(options: argparse.Namespace, precision: str) -> dict[str, Callable[[], Work]]:
    """Return by name what makes work of ``options.steps`` steps."""
    experiment = settings(options.bins, options.batch, options.width)
    images, steps = random_images(options.batch), options.steps

    def compiled() -> Work:
        step = plain(experiment, images, "cuda", torch.compile(plain_logits))
        return rounded(precision, repeated(step, steps), fixed=False)

    def of_jelly(backend: str | None) -> Work:
        step = jelly(experiment, images, backend)
        return rounded(precision, repeated(step, steps), fixed=False)

    ways = {ENGINE: lambda: engine(experiment, images, steps, precision)}
    if precision != "bf16":
        ways[NORSE] = lambda: rounded(precision, norse(experiment, images, steps), fixed=True)
    ways[COMPILED] = compiled
    ways |= {name: partial(of_jelly, backend) for name, backend in jelly_backends()}
    return {name: make for name, make in ways.items() if name not in options.skip}


def repeated(step: Work, steps: int) -> Work:
    """Return so many steps one after the other."""

    def work() -> None:
        for _ in range(steps):
            step()

    return work


def rounded(precision: str, work: Work, fixed: bool) -> Work:
    """Return ``work`` with products as the engine has them, ``fixed``: by the same bits each time.

    Our trainers ask for that in the whole process; others need not pay for it.
    """

    def work_so() -> None:
        torch.backends.cudnn.allow_tf32 = precision != "fp32"
        torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
        torch.use_deterministic_algorithms(fixed)
        with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
            work()
        torch.use_deterministic_algorithms(True)

    return work_so


def engine(experiment: Experiment, images: ImageSet, steps: int, precision: str) -> Work:
    """Return a round of the GPU engine; potentials are kept in bfloat16 with bf16."""
    kept = {"potentials": "bfloat16"} if precision == "bf16" else {}
    return local_training(
        experiment, images, {"engine": "gpu", "steps": steps, "precision": precision} | kept
    )


def norse(experiment: Experiment, images: ImageSet, steps: int) -> Work:
    """Return a round of our autograd engine."""
    return local_training(experiment, images, {"engine": "norse", "steps": steps})


def local_training(experiment: Experiment, images: ImageSet, client: dict[str, object]) -> Work:
    """Return a round of one client as a federated run starts it."""
    tables = experiment.model_dump(exclude_none=True)
    tables["client"] |= client
    ours = Experiment.model_validate(tables)
    trainer = make_trainer(ours, shape_of(images), "cuda:0")
    params = initial_params(ours.model, trainer.layout, ours.seed)
    one = Client(0, np.arange(images.num_samples))
    return lambda: list(trainer.train(params, images, [one], 0))


# --- SpikingJelly ---------------------------------------------------------------------------------


def jelly_backends() -> Iterator[tuple[str, str | None]]:
    """Yield names of contenders and the backends that SpikingJelly offers here; none without it.

    From version 2 on it chooses itself.
    """
    if find_spec("spikingjelly") is None:
        return
    from spikingjelly.activation_based.neuron import LIFNode

    if "backend" not in inspect.signature(LIFNode).parameters:
        yield JELLY, None
        return
    for backend in LIFNode(step_mode="m").supported_backends:
        with contextlib.suppress(Exception):  # one whose library is missing, whatever it says
            LIFNode(step_mode="m", backend=backend)
            yield f"{JELLY}, {backend}", backend


class ByBin(torch.nn.Module):
    """BNTT of (T, B, C, ...): a batch norm of T C channels, with scales alone."""

    def __init__(self, bins: int, channels: int) -> None:
        """Begin as norms do."""
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(bins * channels))
        self.register_buffer("mean", torch.zeros(bins * channels))
        self.register_buffer("variance", torch.ones(bins * channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return x normed."""
        side = x.transpose(0, 1).flatten(1, 2)
        found = batch_norm(side, self.mean, self.variance, self.scale, None, True, 0.1, 1e-4)
        return found.unflatten(1, x.shape[:1] + x.shape[2:3]).transpose(0, 1)


def jelly(experiment: Experiment, images: ImageSet, backend: str | None) -> Work:
    """Return a step of the same network of SpikingJelly's neurons."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    chosen: dict[str, Any] = {} if backend is None else {"backend": backend}
    bins, channels, side = experiment.data.num_bins, images.shape[0], images.shape[1]
    layers: list[Callable[[Tensor], Tensor]] = []
    modules = torch.nn.ModuleList()
    for entry in experiment.model.hidden:
        if entry == "p2":
            layers.append(lambda x: avg_pool2d(x.flatten(0, 1), 2).unflatten(0, x.shape[:2]))
            side //= 2
            continue
        if isinstance(entry, int):
            product: torch.nn.Module = torch.nn.Linear(channels * side**2, entry, bias=False)
            channels, side = entry, 1
            layers.append(lambda x, product=product: product(x.flatten(2)))  # type: ignore[misc]
        else:
            width = int(str(entry).partition("c")[0])
            product = torch.nn.Conv2d(channels, width, 3, padding=1, bias=False)
            channels = width
            layers.append(  # type: ignore[arg-type]
                lambda x, product=product: product(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            )
        norm = ByBin(bins, channels)
        neurons = neuron.LIFNode(
            tau=1 / (1 - LEAK), decay_input=False, v_reset=None,
            v_threshold=experiment.model.threshold,
            surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0), detach_reset=True,
            step_mode="m", **chosen,
        )  # fmt: skip
        layers += [norm, neurons]
        modules += [product, norm, neurons]
    modules.append(torch.nn.Linear(channels, len(images.class_names), bias=False))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    modules.to(device)
    optimiser = torch.optim.SGD(modules.parameters(), RATE, MOMENTUM)
    pixels = torch.tensor(images.pixels, device=device).float() / 127.5 - 1
    labels = torch.tensor(images.labels, device=device)

    def step() -> None:
        functional.reset_net(modules)
        optimiser.zero_grad()
        drawn = 2 * torch.rand(bins, *pixels.shape, device=device) <= pixels.abs()
        signal = drawn * pixels.sign()
        for layer in layers:
            signal = layer(signal)
        cross_entropy(modules[-1](signal.mean(0)).float(), labels).backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step


# --- time and memory ------------------------------------------------------------------------------


def alternate(ways: dict[str, Work], repeats: int) -> dict[str, float]:
    """Run all contenders by turns; return median seconds. The first two turns do not count."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 2):
        for name, work in ways.items():
            torch.cuda.synchronize()
            begin = time.perf_counter()
            work()
            torch.cuda.synchronize()
            if repeat >= 2:
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(taken) for name, taken in times.items()}


def memory_alone(name: str, precision: str, options: argparse.Namespace) -> float:
    """Return the bytes that a contender reserves in a process of its own."""
    sizes = [f"--{size}={getattr(options, size)}" for size in SIZES]
    others = [f"--skip={other}" for other in options.skip]
    command = [sys.executable, __file__, "--memory-of", name, "--precisions", precision]
    ended = subprocess.run(
        [*command, *sizes, *others], check=True, stdout=subprocess.PIPE, text=True
    )
    return float(ended.stdout.splitlines()[-1])


def reserved_bytes(work: Work) -> int:
    """Return what torch reserves at most for it."""
    for _ in range(2):
        work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_reserved()


if __name__ == "__main__":
    main()
