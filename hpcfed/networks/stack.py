"""What lies between input and readout: layers of ``model.hidden`` with their shapes and parts.

T time bins, C channels, K classes. Convolutions see (channels, height, width); a dense layer sees
all of it in a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from hpcfed.config import ModelConfig
from hpcfed.config.stack import Convolution, Dense, Pool, Spec, parse
from hpcfed.errors import InputError
from hpcfed.networks.contract import Layer
from hpcfed.networks.layout import Layout, Part
from hpcfed.samples.samples import Shape


@dataclass(frozen=True)
class Stage:
    """One entry of ``model.hidden``.

    Attributes:
        name: prefix of its parts, "hidden0" for the first with weights; "" for a pool.
        input, output: shapes at one time.
    """

    spec: Spec
    name: str
    input: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of its weights; () for a pool."""
        match self.spec:
            case Dense(neurons):
                return neurons, prod(self.input)
            case Convolution(channels, kernel, _, _, groups):
                return channels, self.input[0] // groups, kernel, kernel
            case _:
                return ()

    @property
    def operations(self) -> int:
        """Multiply-accumulates of its input, a sample and a bin."""
        places = prod(self.output[1:]) if isinstance(self.spec, Convolution) else 1
        return prod(self.weight_shape) * places


def stages(model: ModelConfig, shape: Shape) -> tuple[Stage, ...]:
    """Return the layers of ``model`` on inputs of ``shape``.

    Raises InputError where a convolution or a pool finds no picture, or nothing is left of it.
    """
    found: list[Stage] = []
    current = shape.input
    for entry in model.hidden:
        spec = parse(entry)
        output = _output(entry, spec, current)
        number = len([stage for stage in found if stage.name])
        name = "" if isinstance(spec, Pool) else f"hidden{number}"
        found.append(Stage(spec, name, current, output))
        current = output
    return tuple(found)


def stack_layout(model: ModelConfig, shape: Shape, num_bins: int) -> Layout:
    """Return the parts of a network of ``model`` in order: weights, norms, statistics."""
    found = stages(model, shape)
    parts: list[Part] = []
    for stage in found:
        if stage.name:
            parts.append(Part(f"{stage.name}.input", stage.weight_shape))
            if model.recurrent and isinstance(stage.spec, Dense):
                width = stage.spec.neurons
                parts.append(Part(f"{stage.name}.recurrent", (width, width)))
            parts += _norm_parts(model, stage.name, stage.output[0], num_bins)
    parts.append(Part("readout", (shape.classes, prod(found[-1].output))))
    return Layout(tuple(sorted(parts, key=lambda part: (not part.masked, not part.trained))))


def stack_layers(model: ModelConfig, shape: Shape) -> tuple[Layer, ...]:
    """Return the hidden layers with weights, in order."""
    return tuple(_layers(model, shape))


def _layers(model: ModelConfig, shape: Shape) -> Iterator[Layer]:
    for stage in stages(model, shape):
        if stage.name:
            neurons = prod(stage.output)
            again = neurons**2 if model.recurrent and isinstance(stage.spec, Dense) else 0
            yield Layer(stage.name, neurons, stage.operations + again)


def _output(entry: int | str, spec: Spec, shape: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(spec, Dense):
        return (spec.neurons,)
    if len(shape) != len(("channels", "height", "width")):
        raise InputError(
            f'model.hidden: "{entry}" needs a picture, and gets {shape}; put convolutions and '
            "pools before dense layers, on images or the events of a two-dimensional sensor"
        )
    channels, *sides = shape
    if isinstance(spec, Pool):
        sides = [1 if spec.size == 0 else side // spec.size for side in sides]
    else:
        if channels % spec.groups or spec.channels % spec.groups:
            raise InputError(
                f'model.hidden: "{entry}" has {spec.groups} groups, which do not divide {channels} '
                f"channels into {spec.channels}"
            )
        channels = spec.channels
        sides = [(side + 2 * spec.padding - spec.kernel) // spec.stride + 1 for side in sides]
    if min(sides) < 1:
        raise InputError(f'model.hidden: nothing is left of {shape} after "{entry}"')
    return channels, *sides


def _norm_parts(model: ModelConfig, name: str, channels: int, num_bins: int) -> list[Part]:
    """Return the parts of the norm of layer ``name`` with C channels over T bins, as norms.py."""
    if model.norm in (None, "none"):
        return []
    shape = (num_bins, channels) if model.norm == "bntt" else (channels,)
    parts = [Part(f"{name}.scale", shape, "ones", masked=False)]
    if model.norm_shift:
        parts.append(Part(f"{name}.shift", shape, "zeros", masked=False))
    if model.norm == "tebn":
        parts.append(Part(f"{name}.factor", (num_bins,), "ones", masked=False))
    if model.norm != "group":
        statistics = (("mean", "zeros"), ("variance", "ones"))
        parts += [
            Part(f"{name}.{what}", shape, init, trained=False, masked=False)
            for what, init in statistics
        ]
    return parts
