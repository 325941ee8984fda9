"""How fast are a layer's products by its events, against oneDNN's, as the spikes become fewer?

One core, one image after the other as in local training. For each shape and share of active values
it prints how many times as fast as oneDNN (torch's convolution, channels last) are: events, all
values, and what the engine chooses from the share (auto); forward, and for the gradient of the
weights. The contenders alternate in one process; each figure is the median of ratios of pairs.

    python benchmarks/convolutions.py [--pairs 15] [--shapes 64,64,32 ...]

A shape is channels in, channels out, and the side of the picture; the kernel is 3 x 3.

Exits 1 naming each target missed, at 64 to 64 channels and 32 x 32: forward 5, 3 and 1.5 times as
fast at 5, 10 and 20 %, weights' gradient 3, 2 and 1.2 times; auto nowhere below 0.95.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from torch.nn.functional import conv2d

from hpcfed.config import Experiment
from hpcfed.learning.stack import convolution, copies, gradients, lists
from hpcfed.learning.stack.memory import make_work
from hpcfed.learning.stack.training import StackTrainer
from hpcfed.samples.samples import Shape

SHAPES = ("64,64,32", "128,128,16", "256,256,8", "32,32,16", "16,16,32")
SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
TARGETS = {0.05: (5.0, 3.0), 0.1: (3.0, 2.0), 0.2: (1.5, 1.2)}
LEAST_AUTO = 0.95
NEVER, ALWAYS = 2.0, -1.0  # shares from which on all values are taken
MILLION = 1 << 22  # values of a layer's input at once, about

kernel: Any = numba.njit(_nrt=False, error_model="numpy")


def main() -> int:
    """Print the table; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--shapes", nargs="+", default=SHAPES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("how many times as fast as oneDNN: forward; gradient of the weights")
    print(f"{'shape':>12s}{'active':>8s}{'events':>9s}{'all':>7s}{'auto':>7s}"
          f"{'events':>12s}{'all':>7s}{'auto':>7s}")  # fmt: skip
    missed = []
    for text in options.shapes:
        seen, made, side = map(int, text.split(","))
        world = World(seen, made, side)
        for share in SHARES:
            world.show(share)
            found = [compare(ways, options.pairs) for ways in (world.forward(), world.backward())]
            cells = "".join(f"{one:{9 if n == 0 else 7}.2f}" for n, one in enumerate(found[0]))
            cells += "".join(f"{one:{12 if n == 0 else 7}.2f}" for n, one in enumerate(found[1]))
            print(f"{text:>12s}{share:8.0%}{cells}", flush=True)
            for name, ratios, least in zip(
                ("forward", "weights"), found, TARGETS.get(share, (0, 0)), strict=True
            ):
                if text == SHAPES[0] and ratios[0] < least:
                    missed.append(f"{name} at {share:.0%}: {ratios[0]:.2f}, at least {least:g}")
                if ratios[2] < LEAST_AUTO:
                    missed.append(f"{name} {text} at {share:.0%}: auto {ratios[2]:.2f}")
    for target in missed:
        print(f"missed: {target}")
    return int(bool(missed))


class World:
    """A layer between ``seen`` and ``made`` channels on random pictures, ours and torch's."""

    def __init__(self, seen: int, made: int, side: int) -> None:
        """Draw weights and a gradient."""
        rng = np.random.default_rng(0)
        self.images = max(2, MILLION // (seen * side**2) // 8)
        experiment = Experiment.model_validate(
            {
                "data": {
                    "dataset": "digits",
                    "num_bins": self.images,
                    "duration": 1e-3 * self.images,
                },
                "model": {"hidden": [f"{seen}c1", f"{made}c3"], "neuron": "leaky"},
            }
        )
        trainer = StackTrainer(experiment, Shape((1, side, side), 2))
        self.stack = trainer._network.stack  # the benchmark looks inside
        self.work = make_work(self.stack, trainer._lengths, 1, np.float32, 0, learns=True)
        self.pictures = (self.images, side, side, seen)
        weights = rng.normal(0, 0.1, (made, seen, 3, 3)).astype(np.float32)
        params = np.zeros(trainer.layout.size, np.float32)
        (place,) = (part for name, part, _ in trainer.layout.slices() if name == "hidden1.input")
        params[place] = weights.ravel()
        self.work.weights[:] = trainer._pack(params)[0]
        turn(self.stack, self.work)
        last = torch.channels_last
        self.weights = torch.tensor(weights).contiguous(memory_format=last)
        self.change = rng.normal(0, 1, (self.images, side, side, made)).astype(np.float32)
        self.given = torch.tensor(self.change).movedim(3, 1)
        self.shown = torch.zeros(0)

    def show(self, share: float) -> None:
        """Draw what enters: so many of its values are one."""
        rng = np.random.default_rng(1)
        pictures = (rng.random(self.pictures) < share).astype(np.float32)
        padded = self.stack.channels[1] - self.pictures[3]
        whole = np.pad(pictures, ((0, 0), (0, 0), (0, 0), (0, padded)))
        list_all(self.stack, self.work, whole.reshape(self.images, -1))
        self.shown = torch.tensor(pictures).movedim(3, 1)

    def forward(self) -> tuple[Callable[[], object], ...]:
        """Return oneDNN, then events, all values and auto."""
        ways = [lambda stack=stack: convolve(stack, self.work) for stack in self._stacks()]
        return lambda: conv2d(self.shown, self.weights, padding=1), *ways

    def backward(self) -> tuple[Callable[[], object], ...]:
        """Return the same of the gradient of the weights."""
        flowing = self._padded(self.change)
        first = self.stack.changes[2] * self.images
        self.work.traces[first : first + len(flowing)] = flowing
        self.work.gains[1, 0], self.work.gains[1, 1:] = 1, 0
        ways = [lambda stack=stack: convolve_back(stack, self.work) for stack in self._stacks()]
        return self._torch_backward, *ways

    def _torch_backward(self) -> object:
        return torch.ops.aten.convolution_backward(
            self.given, self.shown, self.weights, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1,
            [False, True, False],
        )  # fmt: skip

    def _stacks(self) -> list[Any]:
        forced = [self.stack._replace(switches=np.full_like(self.stack.switches, at))
                  for at in (NEVER, ALWAYS)]  # fmt: skip
        return [*forced, self.stack]

    def _padded(self, values: np.ndarray) -> np.ndarray:
        extra = self.stack.channels[2] - values.shape[3]
        return np.pad(values, ((0, 0), (0, 0), (0, 0), (0, extra))).ravel()


def compare(ways: tuple[Callable[[], object], ...], pairs: int) -> list[float]:
    """Return how many times as fast as the first the others are: medians of ratios of turns."""
    for way in ways:
        way()
    ratios: list[list[float]] = [[] for _ in ways[1:]]
    for _ in range(pairs):
        taken = [seconds(way) for way in ways]
        for found, one in zip(ratios, taken[1:], strict=True):
            found.append(taken[0] / one)
    return [statistics.median(found) for found in ratios]


def seconds(way: Callable[[], object]) -> float:
    """Return how long a call takes."""
    begin = time.perf_counter()
    way()
    return time.perf_counter() - begin


@kernel
def list_all(stack, work, pictures):  # type: ignore[no-untyped-def]
    """List what enters the second layer."""
    for image in range(len(pictures)):
        lists.list_picture(lists.signal(stack, work, 1, image), pictures[image])


@kernel
def turn(stack, work):  # type: ignore[no-untyped-def]
    """Make the copies of the weights."""
    copies.turned(stack, work)
    copies.framed(stack, work)


@kernel
def convolve(stack, work):  # type: ignore[no-untyped-def]
    """Write what flows into the second layer."""
    for first in range(0, work.room, stack.together[1]):
        stop = min(work.room, first + stack.together[1])
        convolution.convolve(stack, work, 1, first, stop)


@kernel
def convolve_back(stack, work):  # type: ignore[no-untyped-def]
    """Add the gradient of the second layer's weights."""
    for first in range(0, work.room, stack.together[1]):
        stop = min(work.room, first + stack.together[1])
        gradients.convolve_back(stack, work, 1, 1, first, stop, False)


if __name__ == "__main__":
    sys.exit(main())
