"""What lies between input and readout: layers of ``model.hidden`` with their shapes and parts.

T time bins, C channels, K classes. Convolutions see (channels, height, width); a dense layer sees
all of it in a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import NamedTuple

from hpcfed.config import ModelConfig
from hpcfed.config.repeat import RepeatConfig
from hpcfed.config.stack import (
    Convolution,
    Dense,
    Dropout,
    Entry,
    Pool,
    Repeated,
    Residual,
    Separable,
    Spec,
    Weighted,
    parse,
)
from hpcfed.errors import InputError
from hpcfed.networks.contract import Layer, Product
from hpcfed.networks.layout import Layout, Part
from hpcfed.samples.samples import Shape


class Factor(NamedTuple):
    """An array of weights: its name and shape, the shape of what enters it, and where it is used.

    At so many ``places`` of a picture.
    """

    name: str
    shape: tuple[int, ...]
    input: tuple[int, ...]
    places: int

    @property
    def operations(self) -> int:
        """Multiply-accumulates, a sample and a bin."""
        return prod(self.shape) * self.places


@dataclass(frozen=True)
class Stage:
    """One entry of ``model.hidden``, or of a residual or repeated block in it.

    Attributes:
        name: prefix of its parts, "hidden0" for the first with weights; "" for those without.
        input, output: shapes at one time; the input with a channel of the time, where it has one.
        body: of a block, its stages.
        shortcut: of a residual block whose output has another shape, what its input goes through.
        repeats: iterations, where it is in a repeated block, of a pass that says nothing of them.
    """

    spec: Spec
    name: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    body: tuple[Stage, ...] = ()
    shortcut: Stage | None = None
    repeats: int = 0

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The arrays of weights that its input is multiplied by, one after the other."""
        match self.spec:
            case Dense(neurons):
                return (Factor(f"{self.name}.input", (neurons, prod(self.input)), self.input, 1),)
            case Convolution(channels, kernel, _, _, groups):
                shape = channels, self.input[0] // groups, kernel, kernel
                return (Factor(f"{self.name}.input", shape, self.input, prod(self.output[1:])),)
            case Separable(channels, kernel, _, _):
                places, between = prod(self.output[1:]), (self.input[0], *self.output[1:])
                return (
                    Factor(
                        f"{self.name}.within",
                        (self.input[0], 1, kernel, kernel),
                        self.input,
                        places,
                    ),
                    Factor(f"{self.name}.input", (channels, self.input[0], 1, 1), between, places),
                )
            case _:
                return ()

    @property
    def operations(self) -> int:
        """Multiply-accumulates of its input, a sample and a bin, of one iteration."""
        return sum(factor.operations for factor in self.factors)


def stages(model: ModelConfig, shape: Shape) -> tuple[Stage, ...]:
    """Return the layers of ``model`` on inputs of ``shape``.

    Raises InputError where a convolution or a pool finds no picture, nothing is left of it, or a
    residual block cannot add, or a repeated one not be repeated.
    """
    found: list[Stage] = []
    current = shape.input
    for entry in model.hidden:
        number = sum(1 for stage in weighted(found) if "." not in stage.name)
        spec = parse(entry)
        if isinstance(spec, Repeated):
            found.append(_repeated(model.repetition, entry, spec, current, number))
        else:
            found.append(_stage(entry, spec, current, number))
        current = found[-1].output
    return tuple(found)


def weighted(found: Sequence[Stage]) -> Iterator[Stage]:
    """Yield the stages with weights; the shortcut of a residual block after its body."""
    for stage in found:
        if stage.name:
            yield stage
        yield from weighted(stage.body)
        if stage.shortcut is not None:
            yield stage.shortcut


def stack_layout(model: ModelConfig, shape: Shape, num_bins: int) -> Layout:
    """Return the parts of a network of ``model`` in order: weights, norms, statistics."""
    found = stages(model, shape)
    parts: list[Part] = []
    for stage in weighted(found):
        parts += [Part(factor.name, factor.shape) for factor in stage.factors]
        if model.recurrent and isinstance(stage.spec, Dense):
            width = stage.spec.neurons
            parts.append(Part(f"{stage.name}.recurrent", (width, width)))
        if has_norm(model, stage):
            parts += _norm_parts(model, stage.name, stage.output[0], num_bins)
    parts.append(Part("readout", (shape.classes, prod(found[-1].output))))
    return Layout(tuple(sorted(parts, key=lambda part: (not part.masked, not part.trained))))


def dense_layout(model: ModelConfig, num_channels: int, num_classes: int) -> Layout:
    """Return the layout of dense layers between C input channels and K classes."""
    return stack_layout(model, Shape((num_channels,), num_classes), num_bins=1)


def dense_layers(model: ModelConfig, num_channels: int) -> tuple[Layer, ...]:
    """Return the hidden layers of dense layers on C input channels."""
    return stack_layers(model, Shape((num_channels,), 1))


def has_norm(model: ModelConfig, stage: Stage) -> bool:
    """Say whether what flows into ``stage`` is normed."""
    if model.norm in (None, "none"):
        return False
    return model.norm_dense is not False or not isinstance(stage.spec, Dense)


def stack_layers(model: ModelConfig, shape: Shape) -> tuple[Layer, ...]:
    """Return the layers of neurons, in order."""
    silent = {
        stage.shortcut.name
        for stage in stages(model, shape)
        if stage.shortcut is not None and model.residual != "spike-add"
    }
    return tuple(
        Layer(stage.name, prod(stage.output), stage.operations + _again(model, stage))
        for stage in weighted(stages(model, shape))
        if stage.name not in silent
    )


def products(model: ModelConfig, shape: Shape, num_bins: int) -> tuple[Product, ...]:
    """Return the products of a network of ``model``, in order, as often as it is evaluated."""
    found = stages(model, shape)
    given: list[Product] = []
    for stage in weighted(found):
        times = stage.repeats or 1
        for factor in stage.factors:
            entering = times * num_bins * prod(factor.input)
            given.append(Product(factor.name, times * factor.operations, entering))
        if again := _again(model, stage):
            given.append(Product(f"{stage.name}.recurrent", again, num_bins * prod(stage.output)))
    last = prod(found[-1].output)
    return (*given, Product("readout", shape.classes * last, num_bins * last))


def operations(model: ModelConfig, found: Sequence[Stage], classes: int, depth: int) -> int:
    """Return a pass's multiply-accumulates, a sample and a bin, with so many iterations."""
    return classes * prod(found[-1].output) + sum(
        (depth if stage.repeats else 1) * (stage.operations + _again(model, stage))
        for stage in weighted(found)
    )


def _again(model: ModelConfig, stage: Stage) -> int:
    recurrent = model.recurrent and isinstance(stage.spec, Dense)
    return prod(stage.output) ** 2 if recurrent else 0


def _repeated(
    config: RepeatConfig, entry: Entry, spec: Repeated, shape: tuple[int, ...], number: int
) -> Stage:
    """Return a block that is repeated; its layers see the time, if they do, as a channel more."""
    extra, inner = int(config.has_time), tuple(entry)[1:]  # type: ignore[arg-type]
    body: list[Stage] = []
    current = shape
    for place, (part, layer) in enumerate(zip(inner, spec.body, strict=True)):
        if extra and isinstance(layer, Convolution) and layer.groups > 1:
            raise InputError(
                f'model.hidden: "{part}" has groups, and in a repeated block the time is a channel '
                f'more; use "{layer.channels}x{layer.kernel}", or set model.repeat.time = false'
            )
        seen = (current[0] + extra, *current[1:])
        one = _stage(part, layer, seen, number + place)
        body.append(replace(one, repeats=config.evaluated_depth))
        current = one.output
    if current != shape:
        raise InputError(
            f"model.hidden: the repeated block {list(inner)} makes {current} of {shape}; what "
            "comes out goes in again, so it needs the same channels and size"
        )
    return Stage(spec, "", shape, current, tuple(body))


def _stage(entry: Entry, spec: Spec, shape: tuple[int, ...], number: int) -> Stage:
    """Return the stage of an entry, on what has ``shape``, after ``number`` with weights."""
    if not isinstance(spec, Residual):
        name = f"hidden{number}" if isinstance(spec, Weighted) else ""
        return Stage(spec, name, shape, _output(entry, spec, shape))
    body: list[Stage] = []
    current = shape
    for place, (part, layer) in enumerate(zip(entry, spec.body, strict=True)):  # type: ignore[arg-type]
        body.append(_stage(part, layer, current, number + place))
        current = body[-1].output
    return Stage(spec, "", shape, current, tuple(body), _shortcut(entry, body, shape))


def _shortcut(entry: Entry, body: Sequence[Stage], shape: tuple[int, ...]) -> Stage | None:
    """Return the convolution of one pixel, or the dense layer, that a block's input goes through.

    None where its shape is that of the block's output.
    """
    last = body[-1]
    if last.output == shape:
        return None
    name = f"{last.name}.shortcut"
    if isinstance(last.spec, Dense):
        return Stage(Dense(last.spec.neurons), name, shape, last.output)
    strides: list[int] = [getattr(one.spec, "stride", 1) for one in body]
    stride = prod(strides)
    spec = Convolution(last.spec.channels, 1, stride, 0, 1)  # type: ignore[union-attr]
    output = _output(name, spec, shape)
    if output != last.output:
        raise InputError(
            f"model.hidden: the residual block {list(entry)} makes {last.output} of {shape}, and "  # type: ignore[arg-type]
            f"its input could only become {output}; use paddings that keep the picture's size"
        )
    return Stage(spec, name, shape, output)


def _output(entry: Entry, spec: Spec, shape: tuple[int, ...]) -> tuple[int, ...]:
    if isinstance(spec, Dense):
        return (spec.neurons,)
    if isinstance(spec, Dropout):
        return shape
    if len(shape) != len(("channels", "height", "width")):
        raise InputError(
            f'model.hidden: "{entry}" needs a picture, and gets {shape}; put convolutions and '
            "pools before dense layers, on images or the events of a two-dimensional sensor"
        )
    channels, *sides = shape
    if isinstance(spec, Pool):
        sides = [1 if spec.size == 0 else side // spec.size for side in sides]
    elif isinstance(spec, Convolution | Separable):
        groups = spec.groups if isinstance(spec, Convolution) else 1
        if channels % groups or spec.channels % groups:
            raise InputError(
                f'model.hidden: "{entry}" has {groups} groups, which do not divide {channels} '
                f"channels into {spec.channels}"
            )
        channels = spec.channels
        sides = [(side + 2 * spec.padding - spec.kernel) // spec.stride + 1 for side in sides]
    if min(sides) < 1:
        raise InputError(f'model.hidden: nothing is left of {shape} after "{entry}"')
    return channels, *sides


def _norm_parts(model: ModelConfig, name: str, channels: int, num_bins: int) -> list[Part]:
    """Return the parts of the norm of layer ``name`` with C channels over T bins, as norms.py."""
    shape = (num_bins, channels) if model.norm == "bntt" else (channels,)
    federated = model.norm_federate or "all"
    affine = partial(Part, masked=False, shared=federated != "local")
    parts = [affine(f"{name}.scale", shape, "ones")]
    if model.norm_shift:
        parts.append(affine(f"{name}.shift", shape, "zeros"))
    if model.norm == "tebn":
        parts.append(affine(f"{name}.factor", (num_bins,), "ones"))
    if model.norm != "group":
        statistic = partial(Part, masked=False, trained=False, shared=federated == "all")
        spread = f"{name}.mean" if model.norm_variance == "pooled" else None
        parts.append(statistic(f"{name}.mean", shape, "zeros"))
        parts.append(statistic(f"{name}.variance", shape, "ones", spread_of=spread))
    return parts
