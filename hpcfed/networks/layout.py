"""Where each array of parameters lies in the flat vector, what may become of it, and its start.

C channels, H hidden neurons, K classes, P parameters. Arrays lie one after the other, row-major.
The multilayer and recurrent networks have matrices (out, in), in the order: for each hidden layer
its input weights and, if recurrent, its recurrent weights; then the readout. There are no biases:
the equations have none.

Kinds of parts follow each other, so that each acts on a head of the vector: what a mask may thin
out; what is trained but always sent whole; statistics, which are averaged and never trained; and
counts, which are added up. What stays with its client comes last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.config import ModelConfig
from hpcfed.errors import InputError

F32 = NDArray[np.float32]

Slices = Iterator[tuple[str, slice, tuple[int, ...]]]
MOST_COUNT = 1 << 24  # float32 holds whole numbers up to it
_FIXED = {"zeros": 0.0, "ones": 1.0}


@dataclass(frozen=True)
class Part:
    """One array of parameters.

    Attributes:
        shape: of any rank; axis 0 counts outputs, and the others make the fan-in.
        init: "model" draws by ``model.init``; "zeros" and "ones" are what they say.
        trained: False for a statistic: averaged plainly, never a gradient, decay or proximal pull.
        masked: False for a part that is sent whole, whatever ``uplink.mask`` says.
        groups: slices of axis 0 that may be exchanged one by one.
        shared: False for a part that stays with its client.
        spread_of: of a variance, the part of its means: clients' variances are then pooled.
        summed: what clients count: whole numbers below MOST_COUNT, which the root adds to its own.
        counted_by: a part of counts with as many rows: with ``server.client_weights = "spikes"`` a
            row of this one weighs what the row there adds up to.
    """

    name: str
    shape: tuple[int, ...]
    init: str = "model"
    trained: bool = True
    masked: bool = True
    groups: int = 1
    shared: bool = True
    spread_of: str | None = None
    summed: bool = False
    counted_by: str | None = None

    @property
    def size(self) -> int:
        """Number of parameters."""
        return prod(self.shape)

    @property
    def fan_in(self) -> int:
        """Inputs of each output."""
        return prod(self.shape[1:])

    @property
    def fan_out(self) -> int:
        """Outputs of each input."""
        return self.shape[0] * prod(self.shape[2:])

    def _fault(self) -> str | None:
        if not self.shape or min(self.shape) < 1:
            return f"has the shape {self.shape}; expected at least one axis, none of them empty"
        if self.init != "model" and self.init not in _FIXED:
            return f'has init = "{self.init}"; expected "model", "zeros" or "ones"'
        if self.masked and not self.trained:
            return "is a statistic (trained=False), and a mask would thin it out; set masked=False"
        if self.masked and not self.shared:
            return "stays with its client (shared=False), and a mask is for what is sent"
        if self.summed and (self.trained or not self.shared):
            return "is a count (summed=True); set trained=False, and leave shared as it is"
        if self.groups < 1 or self.shape[0] % self.groups:
            return f"has {self.shape[0]} outputs in {self.groups} groups; expected equal groups"
        return None


@dataclass(frozen=True)
class Layout:
    """The parts of a flat vector of ``size`` float32 parameters, in their order.

    Raises InputError for parts whose names repeat, that cannot be, or that are out of order:
    masked ones first, then whole ones, then statistics; shared ones before others.
    """

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[int, ...]]) -> Layout:
        """Return the layout of trained arrays that masks may thin out, by name."""
        return cls(tuple(Part(name, tuple(shape)) for name, shape in shapes.items()))

    def __post_init__(self) -> None:
        if len(set(self.names)) < len(self.parts):
            raise InputError(f"a layout names parts twice: {', '.join(self.names)}")
        for part in self.parts:
            if (fault := part._fault()) is not None:
                raise InputError(f"the part {part.name} of a layout {fault}")
        kinds = [(not part.masked, not part.trained, part.summed) for part in self.parts]
        shared = [not part.shared for part in self.parts]
        if kinds != sorted(kinds) or shared != sorted(shared):
            raise InputError(
                f"the parts of a layout are out of order ({', '.join(self.names)}); expected those "
                "that masks may thin out, then trained ones that are sent whole, then statistics, "
                "then counts, and none after those that stay with their client"
            )
        sizes = {part.name: part.size for part in self.parts}
        counts = {part.name: part.shape[0] for part in self.parts if part.summed}
        for part in self.parts:
            if part.counted_by is not None and counts.get(part.counted_by) != part.shape[0]:
                raise InputError(
                    f"the part {part.name} of a layout is counted by {part.counted_by}, and there "
                    "are no such counts of as many rows"
                )
            if part.spread_of is not None and sizes.get(part.spread_of) != part.size:
                raise InputError(
                    f"the part {part.name} of a layout is the spread of {part.spread_of}, and "
                    "there is no such part of its size"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parts."""
        return tuple(part.name for part in self.parts)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of the parts."""
        return tuple(part.shape for part in self.parts)

    @cached_property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(part.size for part in self.parts)

    @cached_property
    def num_masked(self) -> int:
        """Length of the head that a mask acts on."""
        return sum(part.size for part in self.parts if part.masked)

    @cached_property
    def num_trained(self) -> int:
        """Length of the head that is trained; statistics follow."""
        return sum(part.size for part in self.parts if part.trained)

    @cached_property
    def num_averaged(self) -> int:
        """Length of the head that is averaged; counts follow, which are added up."""
        return sum(part.size for part in self.parts if part.shared and not part.summed)

    @cached_property
    def num_shared(self) -> int:
        """Length of the head that is sent; what follows stays with each client."""
        return sum(part.size for part in self.parts if part.shared)

    @cached_property
    def spreads(self) -> tuple[tuple[slice, slice], ...]:
        """Places of variances that are pooled, and of their means."""
        places = {name: place for name, place, _ in self.slices()}
        return tuple(
            (places[part.name], places[part.spread_of])
            for part in self.parts
            if part.spread_of is not None
        )

    def split(self, params: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
        """Return views of ``params`` (P,) by name."""
        return {name: params[place].reshape(shape) for name, place, shape in self.slices()}

    def slices(self) -> Slices:
        """Yield each part as its name, its place in the flat vector and its shape."""
        start = 0
        for part in self.parts:
            yield part.name, slice(start, start + part.size), part.shape
            start += part.size


def initial_params(model: ModelConfig, parameters: Layout, seed: int) -> F32:
    """Return (P,) float32 initial parameters; a parameter's raw words follow from its place.

    ``uniform``: within +-init_scale / sqrt(fan_in); ``xavier``: within +-init_scale
    sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010); ``normal``: standard deviation
    init_scale / sqrt(fan_in); ``normal-absolute``: standard deviation init_scale whatever the
    fan-in; ``vgg``: init_scale sqrt(2 / fan_out) for convolutions (He et al. 2015, arXiv
    1502.01852), 0.01 init_scale for matrices. Normal values are Box-Muller pairs in float64.
    """
    stream = Stream(seed, Purpose.INITIAL_WEIGHTS)
    params = np.empty(parameters.size, np.float32)
    for part, (_, place, _) in zip(parameters.parts, parameters.slices(), strict=True):
        if part.init in _FIXED:
            params[place] = _FIXED[part.init]
            continue
        scale = model.init_scale
        if model.init == "xavier":
            scale *= float(np.sqrt(6 / (part.fan_in + part.fan_out)))
        elif model.init == "vgg":
            scale *= float(np.sqrt(2 / part.fan_out)) if len(part.shape) > 2 else 0.01
        elif model.init != "normal-absolute":
            scale /= float(np.sqrt(part.fan_in))
        params[place] = scale * _standard(model.init, stream, part.size, place.start)
    return params


def _standard(init: str, stream: Stream, count: int, start: int) -> NDArray[np.float64]:
    if init in ("uniform", "xavier"):
        return 2.0 * stream.uniforms(2 * count, 2 * start)[0::2] - 1.0
    return stream.normals(count, start)
