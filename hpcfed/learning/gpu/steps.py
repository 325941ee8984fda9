"""The kernels of a training step or an evaluation, in their order: a list of launches, as data.

T time bins, M = B T rows of a client, C channels, H neurons, K classes, P parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any  # Any: a Triton kernel and its arguments

import torch
from torch import Tensor

from hpcfed.config import Experiment
from hpcfed.learning.augment import is_augmented
from hpcfed.learning.gpu import layers as gpu_layers
from hpcfed.learning.gpu import products as gpu_products
from hpcfed.learning.gpu import readout as gpu_readout
from hpcfed.learning.gpu.augment import change
from hpcfed.learning.gpu.events import Packed
from hpcfed.learning.gpu.launch import Launch
from hpcfed.learning.gpu.optimiser import BETA1, BETA2, EPSILON, optimise, squares
from hpcfed.learning.gpu.plan import WORD, DeviceLayer, Plan
from hpcfed.learning.gpu.work import TERM_DEPTH, Buffers

_WIDEST = 128  # columns of a tile, and neurons whose recurrent weights stay on chip


@dataclass(frozen=True)
class Batches:
    """What launches are about: a network, its settings, samples on the device and work space."""

    plan: Plan
    experiment: Experiment
    packed: Packed
    work: Buffers
    learn: bool

    @property
    def taught(self) -> bool:
        """Whether a teacher's logits are learned from."""
        return self.learn and len(self.packed.teacher) > 0


def step_launches(job: Batches, step: int) -> Iterator[Launch]:
    """Yield what makes up training step number ``step`` of the schedule."""
    yield from batch_launches(job, step)
    yield from _optimiser(job, step)


def batch_launches(job: Batches, step: int) -> Iterator[Launch]:
    """Yield what gives losses, predictions and spikes of a batch and, to learn, the gradient."""
    signal = _Signal(job.packed.cells, job.work.schedule.samples[step], job.packed.bits)
    if job.learn and is_augmented(job.experiment.data):
        yield _change(job, step)
        signal = _Signal(job.work.changed, job.work.own, job.packed.bits)
    signals = [signal, *(_Signal(spikes) for spikes in job.work.spikes)]
    for index in range(len(job.plan.layers)):
        yield from _project(job, step, signals[index], index, job.work.traces[index])
        yield _forward(job, step, index)
    if job.plan.penalty.strength > 0 and job.learn:
        yield from (_penalise(job, step, index) for index in range(len(job.plan.layers)))
    if job.plan.maximum:
        yield from _project(job, step, signals[-1], len(job.plan.layers), job.work.outputs)
        yield _read_maximum(job, step)
    else:
        yield _read_summed(job, step)
    if job.learn:
        yield from _backward(job, step, signals)


@dataclass(frozen=True)
class _Signal:
    """Spikes that a layer receives: samples by number (``slots``), or rows of a layer below."""

    cells: Tensor
    slots: Tensor | None = None
    bits: bool = False


def _backward(job: Batches, step: int, signals: list[_Signal]) -> Iterator[Launch]:
    plan, work = job.plan, job.work
    if plan.maximum:
        yield _weight_gradient(job, step, signals[-1], plan.output, work.outputs)
        yield _propagate(job, step, len(plan.layers) - 1)
    for index in range(len(plan.layers) - 1, -1, -1):
        layer, currents = plan.layers[index], work.traces[index]
        yield _return(job, step, index)
        yield _weight_gradient(job, step, signals[index], layer, currents)
        if layer.recurrent is not None:
            yield _weight_gradient(job, step, signals[index + 1], layer, currents, recurrent=True)
        if index:
            yield _propagate(job, step, index - 1)


def _change(job: Batches, step: int) -> Launch:
    plan, work, data = job.plan, job.work, job.experiment.data
    schedule, size = work.schedule, work.size
    changed, cells = work.changed.view(torch.uint8), job.packed.cells.view(torch.uint8)
    margin, bins = -(-data.channel_jitter // 8) * 8, 4
    return Launch(
        change,
        (size.clients * size.slots, -(-plan.num_bins // bins)),
        (
            changed, work.own, cells, job.packed.bin_offsets,
            schedule.samples[step], schedule.bins[step], schedule.channels[step],
            schedule.first_words[step], schedule.streams, schedule.limit,
            size.slots, plan.num_bins, plan.num_channels, cells.shape[2],
        ),
        {
            "CELLS": max(8, 1 << (plan.num_channels + margin - 1).bit_length()),
            "BINS": bins, "MARGIN": margin, "BITS": job.packed.bits, "DROP": data.drop > 0,
        },
    )  # fmt: skip


def _project(job: Batches, step: int, signal: _Signal, index: int, out: Tensor) -> Iterator[Launch]:
    """Yield what gives a hidden layer, or after the last one the readout, its input currents."""
    work, layer = job.work, (*job.plan.layers, job.plan.output)[index]
    rows, depth, tile = 128, TERM_DEPTH, min(layer.width, _WIDEST)
    clients, tiles, counts = work.size.clients, layer.width // tile, work.schedule.counts[step]
    constants = {"DEPTH": depth, "TILE": tile, "WIDTH": layer.width}
    yield Launch(
        gpu_products.split_weights,
        (-(-layer.inputs // depth), clients, tiles),
        (
            work.terms[index], work.weights, counts, job.plan.size, layer.place, layer.inputs,
            layer.neurons,
        ),
        constants,
    )  # fmt: skip
    num_rows = work.size.slots * job.plan.num_bins
    yield Launch(
        gpu_products.project,
        (-(-num_rows // rows), clients, tiles),
        (
            out, *_signal(job, step, signal), work.terms[index],
            *_extent(job, signal, layer.inputs), _client_stride(job, signal),
        ),
        constants | {"ROWS": rows, "BITS": signal.bits, "EVENTS": signal.slots is not None},
        warps=job.plan.tiles.product_warps,
    )  # fmt: skip


def _weight_gradient(
    job: Batches,
    step: int,
    signal: _Signal,
    layer: DeviceLayer,
    currents: Tensor,
    recurrent: bool = False,
) -> Launch:
    place, inputs = (layer.recurrent, layer.neurons) if recurrent else (layer.place, layer.inputs)
    rows, tile = job.plan.tiles.gradient_rows, min(layer.width, _WIDEST)
    depth = min(max(WORD, 1 << (inputs - 1).bit_length()), _WIDEST)
    return Launch(
        gpu_products.weight_gradient,
        (-(-inputs // depth), job.work.size.clients, layer.width // tile),
        (
            job.work.gradient, *_signal(job, step, signal), currents, job.plan.size, place,
            *_extent(job, signal, inputs), layer.neurons, _client_stride(job, signal),
        ),
        {
            "ROWS": rows, "DEPTH": depth, "TILE": tile, "WIDTH": layer.width,
            "BITS": signal.bits, "EVENTS": signal.slots is not None, "LAG": int(recurrent),
        },
    )  # fmt: skip


def _propagate(job: Batches, step: int, index: int) -> Launch:
    """Return the launch that gives hidden layer ``index`` its spikes' gradient from above."""
    plan, work, layer = job.plan, job.work, job.plan.layers[index]
    top = index + 1 == len(plan.layers)
    above, currents = (
        (plan.output, work.outputs) if top else (plan.layers[index + 1], work.traces[index + 1])
    )
    rows, tile = 64, min(layer.width, _WIDEST)
    num_rows = work.size.slots * plan.num_bins
    return Launch(
        gpu_products.propagate,
        (-(-num_rows // rows), work.size.clients, layer.width // tile),
        (
            work.above[index], currents, work.schedule.counts[step], work.weights, plan.size,
            above.place, num_rows, layer.neurons, above.neurons,
        ),
        {
            "ROWS": rows, "DEPTH": min(above.width, 32), "TILE": tile, "ABOVE": above.width,
            "WIDTH": layer.width,
        },
    )  # fmt: skip


def _forward(job: Batches, step: int, index: int) -> Launch:
    plan, work, layer = job.plan, job.work, job.plan.layers[index]
    return Launch(
        gpu_layers.forward,
        (work.size.blocks, work.size.clients),
        (
            work.traces[index], work.spikes[index], work.voltages[index], work.tallies[index],
            work.totals, work.extremes[index], work.summed, work.weights, work.factors,
            work.schedule.counts[step], plan.size, layer.recurrent or 0, plan.num_bins,
            layer.neurons, *plan.limits[index], *_constants(plan),
        ),
        _shape(job, index) | {"VOLTAGES": plan.voltages and job.learn},
        **_pace(layer),
    )  # fmt: skip


def _return(job: Batches, step: int, index: int) -> Launch:
    plan, work, layer = job.plan, job.work, job.plan.layers[index]
    neuron = plan.neuron
    return Launch(
        gpu_layers.backward,
        (work.size.blocks, work.size.clients),
        (
            work.traces[index], work.above[index], work.voltages[index], work.rates[index],
            work.summed, work.weights, work.factors, work.schedule.counts[step],
            plan.size, layer.recurrent or 0, plan.num_bins, layer.neurons, *_constants(plan),
            float(neuron.slope), float(neuron.full),
        ),
        _shape(job, index)
        | {
            "VOLTAGES": plan.voltages, "PENALISED": plan.penalty.strength > 0,
            "SURROGATE": neuron.surrogate,
        },
        **_pace(layer),
    )  # fmt: skip


def _penalise(job: Batches, step: int, index: int) -> Launch:
    plan, work, layer = job.plan, job.work, job.plan.layers[index]
    return Launch(
        gpu_layers.penalise,
        (work.size.clients,),
        (
            work.rates[index], work.schedule.penalties[step], work.tallies[index],
            work.schedule.counts[step], work.size.blocks, plan.num_bins, layer.neurons,
            *map(float, plan.penalty),
        ),
        {"WIDTH": layer.width, "FIRST": index == 0},
        warps=4,
    )  # fmt: skip


def _read_summed(job: Batches, step: int) -> Launch:
    plan, work, schedule = job.plan, job.work, job.work.schedule
    return Launch(
        gpu_readout.read_summed,
        (work.size.clients,),
        (
            work.summed, schedule.losses[step], work.predictions, work.gradient, work.weights,
            schedule.samples[step], job.packed.labels, job.packed.teacher, schedule.counts[step],
            plan.size, plan.output.place, work.size.blocks, plan.output.neurons,
            plan.output.inputs, *plan.teaching,
        ),
        {
            "WIDTH": plan.layers[-1].width, "CLASSES": plan.output.width, "LEARN": job.learn,
            "TAUGHT": job.taught,
        },
    )  # fmt: skip


def _read_maximum(job: Batches, step: int) -> Launch:
    plan, work, schedule, leak = job.plan, job.work, job.work.schedule, job.plan.leak
    return Launch(
        gpu_readout.read_maximum,
        (work.size.blocks, work.size.clients),
        (
            work.outputs, schedule.losses[step], work.predictions, schedule.samples[step],
            job.packed.labels, job.packed.teacher, schedule.counts[step], work.response,
            plan.num_bins, plan.output.neurons, *map(float, (leak.keep, leak.drive, leak.decay)),
            *plan.teaching,
        ),
        {"CLASSES": plan.output.width, "LEARN": job.learn, "TAUGHT": job.taught},
        warps=4,
    )  # fmt: skip


def _optimiser(job: Batches, step: int) -> Iterator[Launch]:
    plan, work, client = job.plan, job.work, job.experiment.client
    tiles = work.sums.shape[1]
    proximal, clipped = client.proximal > 0, client.clip_norm > 0
    grid = (tiles, work.size.clients)
    if clipped:
        yield Launch(
            squares,
            grid,
            (work.sums, work.gradient, work.weights, work.received, plan.size, client.proximal),
            {"PROXIMAL": proximal},
            warps=4,
        )
    yield Launch(
        optimise,
        grid,
        (
            work.weights, work.gradient, work.first, work.second, work.received, work.sums,
            work.schedule.counts[step], work.schedule.rates[step], plan.size, tiles,
            client.momentum, client.weight_decay, client.proximal, client.clip_norm,
            1 - BETA1, BETA2, 1 - BETA2, EPSILON,
        ),
        {
            "ADAM": client.optimizer == "adam", "PROXIMAL": proximal, "CLIPPED": clipped,
            "DECAYED": client.weight_decay > 0, "TILES": 1 << (tiles - 1).bit_length(),
        },
        warps=4,
    )  # fmt: skip


def _signal(job: Batches, step: int, signal: _Signal) -> tuple[Tensor, Tensor, Tensor]:
    """Return a signal, its samples' numbers (if it has none, anything) and the batch sizes."""
    counts = job.work.schedule.counts[step]
    return signal.cells, counts if signal.slots is None else signal.slots, counts


def _extent(job: Batches, signal: _Signal, num_inputs: int) -> tuple[int, int, int, int, int]:
    """Return rows of a client, T, slots, bytes of a row and values in it."""
    slots, num_bins = job.work.size.slots, job.plan.num_bins
    return slots * num_bins, num_bins, slots, signal.cells.shape[-1], num_inputs


def _client_stride(job: Batches, signal: _Signal) -> int:
    """Return the bytes from one client's rows to the next one's; samples belong to nobody."""
    return 0 if signal.slots is not None else signal.cells[0].numel()


def _constants(plan: Plan) -> tuple[float, ...]:
    neuron = plan.neuron
    return tuple(
        map(
            float,
            (neuron.keep, neuron.drive, neuron.decay, neuron.threshold, neuron.relax, neuron.beta),
        )
    )


def _shape(job: Batches, index: int) -> dict[str, Any]:
    plan, layer = job.plan, job.plan.layers[index]
    return {
        "WIDTH": layer.width,
        "DEPTH": layer.width if layer.width <= _WIDEST else 32,
        "RECURRENT": layer.recurrent is not None,
        "ADAPTIVE": plan.neuron.adaptive,
        "SUMMED": not plan.maximum and index + 1 == len(plan.layers),
    }


def _pace(layer: DeviceLayer) -> dict[str, int]:
    """Return warps and stages of a kernel that goes through time."""
    if layer.width > _WIDEST:  # weights are read in every bin: registers are scarce
        return {"warps": 16, "stages": 1}
    return {"warps": max(layer.width // 16, 1)}
