"""How much memory a pass through layers takes, before it is tried.

T time bins, B batch. A learning pass keeps of each layer what flows in (float32), its spikes as
bytes, and what enters it where that is no spikes; while it goes back it holds the gradients of the
largest layer besides. Layers without a compressed way back (dense ones without norm, neurons that
go on from iteration to iteration, ANNs) keep several values for each neuron and bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from hpcfed.config import ModelConfig
from hpcfed.config.stack import Dense
from hpcfed.networks.stack import Stage, has_norm, weighted

_FLOAT = 4
_TRANSIENT = 2  # of the largest layer: a gradient on each side
_TRANSIENT_ON_GPU = 4  # as well what enters and leaves a convolution
_LIBRARIES = 256 << 20  # what cuDNN and cuBLAS take for themselves
_WORK = 96 << 20  # pieces under way, and what the libraries take for themselves
_PLAIN = 8  # values for each neuron and bin in torch's own graph of a neuron's step
_PLAIN_ANN = 3
_VECTORS = 6  # parameters, received ones, gradient, two moments, a copy


def _is_compressed(model: ModelConfig, stage: Stage) -> bool:
    """Say whether a layer of spiking neurons has a compressed way back."""
    if stage.repeats and model.repetition.carries:
        return False
    return not isinstance(stage.spec, Dense) or has_norm(model, stage)


def gpu_step_bytes(
    model: ModelConfig,
    stages: Sequence[Stage],
    cells: int,
    num_params: int,
    sizes: tuple[int, int],
) -> int:
    """Return about how many bytes a training step of the GPU engine takes.

    ``cells`` are time bins times samples, ``sizes`` the bytes of a value that is sent and of a
    potential that is kept. Of each layer potentials and spikes as bytes are kept, and what pools,
    blocks and the input send as it is.
    """
    value, potential = sizes
    kept, largest = value * prod(stages[0].input), 0
    for stage in weighted(stages):
        size = prod(stage.output)
        largest = max(largest, size)
        kept += (potential + 1) * size
        kept += sum(value * prod(factor.input) for factor in stage.factors[1:])
    for stage in stages:
        kept += 0 if stage.name else value * prod(stage.output)
    moving = _TRANSIENT_ON_GPU * value * largest
    return cells * (kept + moving) + _VECTORS * _FLOAT * num_params + _LIBRARIES


def step_bytes(
    model: ModelConfig, stages: Sequence[Stage], num_bins: int, batch: int, num_params: int
) -> int:
    """Return about how many bytes a training step on B samples takes."""
    cells, largest, kept = num_bins * batch, 0, 0
    for stage in weighted(stages):
        size = prod(stage.output)
        largest = max(largest, size)
        times = max(model.repetition.choices) if stage.repeats else 1
        size *= times
        kept += sum(times * _FLOAT * prod(factor.input) for factor in stage.factors[1:])
        if model.kind != "snn":
            kept += _PLAIN_ANN * _FLOAT * size
        elif _is_compressed(model, stage):
            kept += (_FLOAT + 1) * size
        else:
            kept += (_PLAIN * _FLOAT + 1) * size
    for stage in stages:  # what pools send is kept as it is
        kept += 0 if stage.name or stage.body else _FLOAT * prod(stage.output)
    entering = _FLOAT * prod(stages[0].input)
    moving = _TRANSIENT * _FLOAT * largest
    return cells * (kept + entering + moving) + _VECTORS * _FLOAT * num_params + _WORK
