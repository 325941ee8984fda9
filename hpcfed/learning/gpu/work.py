"""What the clients of a launch work in: tensors on the device, made once and used again.

G clients, B = blocks x BLOCK slots for samples, T time bins, L hidden layers, N a layer's width, P
parameters, K classes in their width, n steps.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from hpcfed.config import Experiment
from hpcfed.errors import InputError
from hpcfed.learning.augment import is_augmented
from hpcfed.learning.gpu.events import Packed
from hpcfed.learning.gpu.optimiser import TILE
from hpcfed.learning.gpu.plan import BLOCK, Plan
from hpcfed.learning.gpu.products import TERM

_MOST_PLACES = 1 << 31  # kernels count them in 32 bits
TERM_DEPTH = 64  # inputs that one step of a product takes
TERM_TYPE = getattr(torch, str(TERM.value).replace("fp32", "float32").replace("bf16", "bfloat16"))


@dataclass(frozen=True)
class Size:
    """How much is done at once: G clients with B slots each, and the n steps of a schedule."""

    clients: int
    slots: int
    steps: int

    @property
    def blocks(self) -> int:
        """Programs that a client's samples make up."""
        return self.slots // BLOCK

    def united(self, other: Size) -> Size:
        """Return the least size in which work of both sizes can be done."""
        return Size(
            max(self.clients, other.clients),
            max(self.slots, other.slots),
            max(self.steps, other.steps),
        )


@dataclass(frozen=True)
class Schedule:
    """What the steps of a round are about, and what they cost.

    Attributes:
        samples: (n, G, B) int32, -1 where there is none; a batch fills the first slots.
        counts: (n, at least G) int32 samples of each batch; 0 for a client that is done.
        rates: (n, 4) float32 as ``gpu_optimiser`` is told them.
        bins, channels, first_words: (n, G, B) what ``gpu_augment`` is told; else of length 0.
        streams: (G, 5) int64 addresses of the words that drop events.
        limit: (1,) int64 that a word must reach for its event to be kept.
        losses: (n, G, B) float32 cross-entropy of each sample.
        penalties: (n, at least G) float32 rate penalty of each batch.
    """

    samples: Tensor
    counts: Tensor
    rates: Tensor
    bins: Tensor
    channels: Tensor
    first_words: Tensor
    streams: Tensor
    limit: Tensor
    losses: Tensor
    penalties: Tensor


@dataclass(frozen=True)
class Buffers:
    """Scratch space of a launch, with the schedule; parts that nobody needs have length 0.

    Attributes:
        received: (P,) float32; weights, gradient, first, second: (G, P) with the moments.
        terms: of each layer, and of the readout for the maximum, (G, 3, C, N) what its input
            weights are split into; C, or the neurons below, in whole tiles of TERM_DEPTH.
        sums: (G, tiles) float64 squared norms.
        totals: (G, blocks) int64 spikes of all hidden layers over all steps.
        extremes: of each layer (G, blocks, 2) int64 silent and saturated samples of all steps.
        traces: of each layer (G, B, T, N) float32: currents, then u - b, then currents' gradients.
        spikes: of each layer (G, B, T, N) uint8.
        voltages, above: the like of u, and of gradients of spikes, float32.
        tallies: of each layer (G, blocks, N) int32; rates: (G, N) float32 of the rate penalty.
        summed: (G, B, N) float32 the last layer's spikes summed over time; then its gradient.
        outputs: (G, B, T, K) float32 currents of the readout, then their gradients (maximum).
        predictions: (G, B) int32.
        changed: (G, B, ...) augmented samples, packed like others; own: (G, B) int32 their numbers.
        factors, response: (T,) float32 of the readout.
    """

    size: Size
    schedule: Schedule
    received: Tensor
    weights: Tensor
    gradient: Tensor
    first: Tensor
    second: Tensor
    terms: list[Tensor]
    sums: Tensor
    totals: Tensor
    extremes: list[Tensor]
    traces: list[Tensor]
    spikes: list[Tensor]
    voltages: list[Tensor]
    above: list[Tensor]
    tallies: list[Tensor]
    rates: list[Tensor]
    summed: Tensor
    outputs: Tensor
    predictions: Tensor
    changed: Tensor
    own: Tensor
    factors: Tensor
    response: Tensor

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(_bytes(getattr(self, field.name)) for field in dataclasses.fields(self))


def make_work(
    plan: Plan,
    experiment: Experiment,
    size: Size,
    packed: Packed,
    learn: bool,
    device: torch.device | None = None,
) -> Buffers:
    """Return work space on ``device``, else where ``packed`` is; without ``learn`` to evaluate.

    Raises InputError for a batch whose traces kernels cannot count.
    """
    widest = max(layer.width for layer in (*plan.layers, plan.output))
    if size.slots * plan.num_bins * widest >= _MOST_PLACES:
        raise InputError(
            f"{size.slots} samples x {plan.num_bins} bins x {widest} neurons at once are more than "
            "the GPU engine counts; lower client.batch_size or data.num_bins"
        )
    device = packed.cells.device if device is None else device
    clients, slots, bins = size.clients, size.slots, plan.num_bins
    last = plan.layers[-1].width

    def zeros(*shape: int, dtype: torch.dtype = torch.float32, needed: bool = True) -> Tensor:
        return torch.zeros(shape if needed else 0, dtype=dtype, device=device)

    def layers(dtype: torch.dtype, needed: list[bool]) -> list[Tensor]:
        rows = (clients, slots, bins)
        both = zip(plan.layers, needed, strict=True)
        return [zeros(*rows, layer.width, dtype=dtype, needed=wanted) for layer, wanted in both]

    everywhere = [True] * len(plan.layers)
    below = [learn] * (len(plan.layers) - 1)
    adam, punished = learn and experiment.client.optimizer == "adam", plan.penalty.strength > 0
    augmented = learn and is_augmented(experiment.data)
    tiles = -(-plan.size // TILE.value)
    split = [*plan.layers, *([plan.output] if plan.maximum else [])]
    depths = [-(-layer.inputs // TERM_DEPTH) * TERM_DEPTH for layer in split]
    return Buffers(
        size=size,
        schedule=_schedule(size, device, augmented),
        received=zeros(plan.size),
        weights=zeros(clients, plan.size),
        gradient=zeros(clients, plan.size, needed=learn),
        first=zeros(clients, plan.size, needed=learn),
        second=zeros(clients, plan.size, needed=adam),
        terms=[
            zeros(clients, 3, depth, layer.width, dtype=TERM_TYPE)
            for layer, depth in zip(split, depths, strict=True)
        ],
        sums=zeros(clients, tiles, dtype=torch.float64, needed=learn),
        totals=zeros(clients, size.blocks, dtype=torch.int64),
        extremes=[zeros(clients, size.blocks, 2, dtype=torch.int64) for _ in plan.layers],
        traces=layers(torch.float32, everywhere),
        spikes=layers(torch.uint8, everywhere),
        voltages=layers(torch.float32, [learn and plan.voltages] * len(plan.layers)),
        above=layers(torch.float32, [*below, learn and plan.maximum]),
        tallies=[zeros(clients, size.blocks, x.width, dtype=torch.int32) for x in plan.layers],
        rates=[zeros(clients, x.width, needed=learn and punished) for x in plan.layers],
        summed=zeros(clients, slots, last, needed=not plan.maximum),
        outputs=zeros(clients, slots, bins, plan.output.width, needed=plan.maximum),
        predictions=zeros(clients, slots, dtype=torch.int32),
        changed=zeros(
            clients, slots, *packed.cells.shape[1:], dtype=packed.cells.dtype, needed=augmented
        ),
        own=zeros(clients, slots, dtype=torch.int32, needed=augmented),
        factors=torch.tensor(plan.leak.factors.copy(), device=device),
        response=torch.tensor(plan.leak.response, device=device),
    )


def _schedule(size: Size, device: torch.device, augmented: bool) -> Schedule:
    slots = (size.steps, size.clients, size.slots)
    clients = (size.steps, -(-size.clients // 4) * 4)  # rows of 16 bytes: all steps have one code

    def zeros(*shape: int, dtype: torch.dtype) -> Tensor:
        return torch.zeros(shape, dtype=dtype, device=device)

    shifted = slots if augmented else (0,)
    return Schedule(
        samples=zeros(*slots, dtype=torch.int32),
        counts=zeros(*clients, dtype=torch.int32),
        rates=zeros(size.steps, 4, dtype=torch.float32),
        bins=zeros(*shifted, dtype=torch.int32),
        channels=zeros(*shifted, dtype=torch.int32),
        first_words=zeros(*shifted, dtype=torch.int64),
        streams=zeros(size.clients if augmented else 0, 5, dtype=torch.int64),
        limit=zeros(1, dtype=torch.int64),
        losses=zeros(*slots, dtype=torch.float32),
        penalties=zeros(*clients, dtype=torch.float32),
    )


def _bytes(value: object) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, Schedule):
        return sum(_bytes(getattr(value, field.name)) for field in dataclasses.fields(value))
    return sum(map(_bytes, value)) if isinstance(value, list) else 0
