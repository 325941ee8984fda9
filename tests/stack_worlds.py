"""Layers of the stacked event engine by themselves, and what torch autograd makes of whole stacks.

T time bins, B batch, C channels, N channels that a layer makes, n images, P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any  # kernels carry no types

import numba
import numpy as np
import torch
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from tiny_images import settings
from torch.nn.functional import conv2d

from hpcfed.base.philox import CompiledStream
from hpcfed.base.purposes import Purpose
from hpcfed.config import Experiment
from hpcfed.learning.autograd.training import NorseTrainer, learned_loss, matrices, rate_penalty
from hpcfed.learning.constants import Reals, RealType
from hpcfed.learning.feed import feed
from hpcfed.learning.stack import kernels
from hpcfed.learning.stack.lists import list_picture, signal
from hpcfed.learning.stack.memory import make_work
from hpcfed.learning.stack.plan import flatten, pack
from hpcfed.learning.stack.tables import Stack
from hpcfed.learning.stack.training import StackTrainer
from hpcfed.learning.stack.work import Work
from hpcfed.learning.teaching import taught
from hpcfed.networks.contract import Activity, Pass
from hpcfed.networks.layout import Layout, initial_params
from hpcfed.networks.network import build_network
from hpcfed.samples.events import EventSet
from hpcfed.samples.images import ImageSet
from hpcfed.samples.samples import Shape, shape_of

BY_EVENTS, BY_ALL_VALUES = 9.0, -1.0  # shares of active values from which on all are multiplied

# as kernels are compiled, but not kept in files: those are named by the sources of one package
_kernel: Any = numba.njit(_nrt=False, error_model="numpy")
_turned, _framed = kernels.turned, kernels.framed
_convolve, _convolve_back = kernels.convolve, kernels.convolve_back


@_kernel
def _show(stack: Stack, work: Work, number: int, pictures: Reals) -> None:
    for image in range(len(pictures)):
        list_picture(signal(stack, work, number, image), pictures[image])


@_kernel
def _forward(stack: Stack, work: Work, step: int, images: int) -> None:
    _framed(stack, work)
    for first in range(0, images, stack.together[step]):
        _convolve(stack, work, step, first, min(images, first + stack.together[step]))


@_kernel
def _backward(stack: Stack, work: Work, step: int, images: int, needed: bool) -> None:
    _turned(stack, work)
    for first in range(0, images, stack.together[step]):
        stop = min(images, first + stack.together[step])
        _convolve_back(stack, work, step, 1, first, stop, needed)


# --- one layer ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OneLayer:
    """A layer that sees pictures (n, C, H, W); a dense one has no ``kernel``.

    That is (size, stride, padding).
    """

    channels: int
    made: int
    kernel: tuple[int, ...]
    size: tuple[int, int]
    images: int
    valued: bool = False

    @property
    def stride_and_padding(self) -> tuple[int, int]:
        """What torch calls so."""
        return self.kernel[1:] if self.kernel else (1, 0)

    @property
    def weights_shape(self) -> tuple[int, ...]:
        """(N, C, rows, columns)."""
        spans = self.kernel[:1] * 2 if self.kernel else self.size
        return self.made, self.channels, *spans

    def pictures(self, density: float, seed: int = 0) -> NDArray[np.float64]:
        """Return random ones, or values of either sign, among zeros."""
        rng = np.random.default_rng([seed, round(1000 * density)])
        shape = self.images, self.channels, *self.size
        there = (rng.random(shape) < density).astype(np.float64)
        return there * rng.normal(0, 1, shape).astype(np.float32) if self.valued else there

    def weights(self) -> NDArray[np.float64]:
        """Return random weights that are numbers of float32."""
        rng = np.random.default_rng(self.made)
        return rng.normal(0, 0.1, self.weights_shape).astype(np.float32).astype(np.float64)


@dataclass(frozen=True)
class Products:
    """What a layer makes (n, N, H', W'), and the gradients of its weights and of its input."""

    sums: Reals
    of_weights: Reals
    of_input: Reals


def torch_products(
    layer: OneLayer, pictures: Reals, weights: Reals, back: Reals | None = None
) -> Products:
    """Return torch's, with the gradient ``back`` of what flows in, or a random one."""
    x, w = (torch.tensor(one).requires_grad_() for one in (pictures, weights))
    stride, padding = layer.stride_and_padding
    made = conv2d(x, w, stride=stride, padding=padding)
    back = random_back(layer, made.shape).astype(pictures.dtype) if back is None else back
    of_weights, of_input = torch.autograd.grad(made, [w, x], torch.tensor(back))
    return Products(made.detach().numpy(), of_weights.numpy(), of_input.numpy())


def random_back(layer: OneLayer, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return a gradient of numbers of float32."""
    rng = np.random.default_rng(layer.images)
    return rng.normal(0, 1, shape).astype(np.float32).astype(np.float64)


def ordered_sums(layer: OneLayer, pictures: Reals, weights: Reals) -> NDArray[np.float32]:
    """Return sums in float32 in the stated order: kernel rows, columns, channels, from zero on.

    A product and its sum are rounded once: exact in float64, but for ties that are not there.
    """
    stride, padding = layer.stride_and_padding
    borders = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    seen = np.pad(pictures.astype(np.float64), borders)
    rows, columns = weights.shape[2:]
    height, width = ((n - k) // stride + 1 for n, k in zip(seen.shape[2:], (rows, columns),
                                                           strict=True))  # fmt: skip
    total = np.zeros((len(seen), layer.made, height, width), np.float32)
    for j in range(rows):
        for i in range(columns):
            ends = j + stride * (height - 1) + 1, i + stride * (width - 1) + 1
            for c in range(layer.channels):
                part = seen[:, c, j : ends[0] : stride, i : ends[1] : stride]
                factors = weights[:, c, j, i].astype(np.float64)
                total = (total + part[:, None] * factors[:, None, None]).astype(np.float32)
    return total


def stack_products(
    layer: OneLayer, pictures: Reals, weights: Reals, switch: float, dtype: RealType
) -> Products:
    """Return the engine's, forced to take events or all values; pictures see a layer before."""
    entry = "{}c{}s{}p{}".format(layer.made, *layer.kernel) if layer.kernel else layer.made
    before = [f"{layer.channels}c1", *(["d0.5"] if layer.valued else [])]
    model = {"hidden": [*before, entry], "norm": None}
    experiment = settings("event", model=model, data={"num_bins": layer.images})
    trainer = StackTrainer(experiment, Shape((1, *layer.size), 3), dtype)
    stack, lengths, step = trainer._network.stack, trainer._lengths, len(before)
    stack = stack._replace(
        switches=np.full_like(stack.switches, switch), marks=np.full_like(stack.marks, -1)
    )
    work = make_work(stack, lengths, 1, dtype, 0, True)
    place = next(part for name, part, _ in trainer.layout.slices() if name == "hidden1.input")
    params = np.zeros(trainer.layout.size, dtype)
    params[place] = weights.ravel()
    work.weights[:] = pack(stack, lengths, trainer.layout, params)[0]

    seen = np.zeros((layer.images, *layer.size, stack.channels[step]), dtype)
    seen[..., : layer.channels] = np.moveaxis(pictures, 1, -1)
    _show(stack, work, step, seen.reshape(layer.images, -1))
    _forward(stack, work, step, layer.images)
    shape = (
        layer.images,
        *(int(one[step + 1]) for one in (stack.heights, stack.widths, stack.channels)),
    )
    first = int(stack.traces[1]) * work.room
    flowing = work.traces[first : first + np.prod(shape)].reshape(shape)
    sums = np.moveaxis(flowing[..., : layer.made], -1, 1).copy()
    assert not flowing[..., layer.made :].any()

    at, (_, *picture) = int(stack.changes[step + 1]) * work.room, shape
    back = work.traces[at : at + np.prod(shape)].reshape(-1, *picture)
    back[:] = 0
    back[..., : layer.made] = np.moveaxis(random_back(layer, sums.shape), 1, -1)
    work.gains[1, 0], work.gains[1, 1:], work.gradient[:] = 1, 0, 0
    _backward(stack, work, step, layer.images, True)
    found = flatten(stack, trainer.layout, work.gradient, work.statistics)[place]
    at = int(stack.changes[step]) * work.room
    given = work.traces[at : at + seen.size].reshape(seen.shape)[..., : layer.channels]
    assert not work.dense.any()
    assert work.taken[step, 0 if switch > 0 else 1] == layer.images
    return Products(sums, found.reshape(weights.shape), np.moveaxis(given, -1, 1).copy())


# --- whole stacks ---------------------------------------------------------------------------------


def sensed(
    number: int,
    num_bins: int,
    plane: tuple[int, int, int] = (2, 6, 5),
    *,
    counts: bool = True,
    classes: int = 3,
) -> EventSet:
    """Return random events of a two-dimensional sensor; the second sample has none."""
    rng = np.random.default_rng(2)
    shape = number, num_bins, int(np.prod(plane))
    values = (rng.random(shape) < 0.25) * (rng.integers(1, 4, shape) if counts else 1)
    values[1] = 0
    rows, bins, channels = np.nonzero(values)
    per_bin = np.count_nonzero(values, axis=2)
    return EventSet(
        channels=channels.astype(np.uint16),
        counts=values[rows, bins, channels].astype(np.uint16) if counts else None,
        bin_offsets=np.pad(per_bin.cumsum(1), ((0, 0), (1, 0))).astype(np.uint32),
        sample_offsets=np.append(0, per_bin.sum(1).cumsum()).astype(np.int64),
        labels=rng.integers(0, classes, number),
        groups=np.zeros(number, np.int64),
        num_channels=shape[2],
        duration=num_bins / 100,
        class_names=tuple(map(str, range(classes))),
        group_names=("all",),
        plane=plane,
    )


def with_teacher(samples: ImageSet) -> ImageSet:
    """Return the samples with random logits of a teacher."""
    rng = np.random.default_rng(7)
    logits = rng.normal(0, 2, (samples.num_samples, len(samples.class_names)))
    return replace(samples, teacher=logits.astype(np.float32))


def shaken(experiment: Experiment, layout: Layout, seed: int = 3) -> NDArray[np.float64]:
    """Return first parameters (P,) with norms that are no longer ones and zeros."""
    rng = np.random.default_rng(seed)
    params = initial_params(experiment.model, layout, seed).astype(np.float64)
    for name, part, _ in layout.slices():
        if name.endswith(("scale", "shift", "factor", "variance")):
            params[part] += rng.uniform(0, 0.3, params[part].shape)
        if name.endswith("mean"):
            params[part] += rng.uniform(-0.1, 0.1, params[part].shape)
    return params.astype(np.float32).astype(np.float64)


def autograd(
    experiment: Experiment, samples: ImageSet | EventSet, params: Reals
) -> tuple[Reals, float, Activity]:
    """Return the reference's gradient (P,) and loss of all samples at once, and its activity."""
    network, place = build_network(experiment, shape_of(samples)), 0
    stream = CompiledStream(experiment.seed, Purpose.NETWORK, 0, 0)

    def words(count: int) -> NDArray[np.uint32]:
        nonlocal place
        place += count
        return stream.words(count, place - count)

    ids = np.arange(samples.num_samples)
    shown = torch.tensor(feed(experiment, samples).batch(ids), dtype=torch.float64)
    leaf = torch.tensor(params).requires_grad_()
    call = Pass(learn=True, words=words, rates=True)
    found = network.forward(matrices(network.layout, leaf), shown, call)
    teacher = taught(experiment, samples)
    aim = torch.tensor(teacher) if len(teacher) else None
    loss = learned_loss(experiment, found.logits, torch.tensor(samples.labels), aim)
    loss = loss + rate_penalty(experiment.client, found.spikes)
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient.numpy(), loss.item(), found


def assert_same_gradient(
    experiment: Experiment,
    samples: ImageSet | EventSet,
    dtype: RealType = np.float64,
    tolerance: float = 1e-9,
) -> list[int]:
    """Require the reference's loss and gradient of every part; return the spikes of the layers."""
    trainer = StackTrainer(experiment, shape_of(samples), dtype)
    params = shaken(experiment, trainer.layout)
    ids = np.arange(samples.num_samples)
    expected, its_loss, activity = autograd(experiment, samples, params)
    found, loss = trainer.gradient(params.astype(dtype), samples, ids)
    assert_allclose(loss, its_loss, rtol=tolerance)
    for name, part, _ in trainer.layout.slices():
        scale = max(np.abs(expected[part]).max(), 1e-3)  # those through norms may cancel
        assert_allclose(found[part], expected[part], rtol=0, atol=tolerance * scale, err_msg=name)
    return [int(spikes.bool().sum()) for spikes in activity.spikes]


def assert_same_evaluation(
    ours: StackTrainer, theirs: NorseTrainer, params: Reals, samples: ImageSet | EventSet
) -> None:
    """Require all that an evaluation finds, of samples in an order of their own."""
    ids = np.random.default_rng(4).permutation(samples.num_samples)
    call = partial(params.astype(np.float32).copy)
    found, expected = (one.evaluate(call(), samples, ids) for one in (ours, theirs))
    assert_allclose(found.logits, expected.logits, rtol=1e-5, atol=2e-6)
    assert_allclose(found.losses, expected.losses, rtol=1e-5, atol=2e-6)
    for name in ("predictions", "spikes", "neurons"):
        assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    assert found.entering is not None
    assert expected.entering is not None
    assert_array_equal(found.entering[:, 0], expected.entering[:, 0])
    assert_allclose(found.entering[:, 1], expected.entering[:, 1], rtol=1e-6, atol=2)
    rasters = (one.hidden_spikes(call(), samples, ids) for one in (ours, theirs))
    for mine, reference in zip(*rasters, strict=True):
        assert_array_equal(mine, reference)
