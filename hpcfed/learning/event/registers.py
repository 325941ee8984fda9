"""What the neurons' kernels are told, as values of the code that is being written.

T time bins, N a layer's padded width, R samples at once. A row of N neurons is taken in parts whose
states fit a CPU's vector registers, LANES neurons in each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from llvmlite import ir

from hpcfed.learning.event.lanes import (
    INT,
    LANES,
    Lanes,
    Value,
    blocks,
    data,
    fields,
    load,
    matrix_row,
    place,
    splat,
)

_WIDE = 4 * LANES  # neurons at once, whose states and constants fit 32 registers


class Bins(NamedTuple):
    """The bins of one sample that a call goes through, and where the row of neurons lies.

    Attributes:
        start, stop: the first bin, and the one after the last.
        row: place of the row in the states (R N,).
        width: N.
        matrix: place of the input weights, (in, N), or of their gradient.
        trace: place of the row's bin 0 in the trace.
        stride: from bin to bin in the trace.
        kept: 1 to leave the gradient of i in the trace, else 0.
    """

    start: int
    stop: int
    row: int
    width: int
    matrix: int
    trace: int
    stride: int
    kept: int


class Constants(NamedTuple):
    """The neuron's constants (learning.constants.Neuron), each in all lanes."""

    keep: Lanes
    drive: Lanes
    decay: Lanes
    threshold: Lanes
    relax: Lanes
    beta: Lanes
    slope: Lanes
    peak: Lanes
    kept: Lanes
    taken: Lanes


class Call:
    """One call's arguments, by name, and the code that is being written."""

    def __init__(self, context: Value, builder: Value, sig: Value, args: Value) -> None:
        self.builder = builder
        self.neuron = fields(builder, sig.args[0], args[0])
        self.bins = {k: v for k, (_, v) in fields(builder, sig.args[5], args[5]).items()}
        arrays = fields(builder, sig.args[2], args[2])
        for name, n in (("matrix", 1), ("bounds", 3), ("factors", 4)):
            arrays[name] = sig.args[n], args[n]
        self.arrays = {name: data(context, builder, *both) for name, both in arrays.items()}
        kind, array = arrays["voltages"]
        voltages = context.make_array(kind)(context, builder, array)
        self.has_voltages = builder.icmp_signed("!=", voltages.nitems, INT(0))

    def equal(self, name: str, constant: int) -> Value:
        """Return whether a constant of the neuron is this one."""
        _, value = self.neuron[name]
        if isinstance(value.type, ir.IntType):
            return self.builder.icmp_signed("==", value, value.type(constant))
        return self.builder.fcmp_ordered("==", value, value.type(float(constant)))

    def registers(self) -> Iterator[list[Register]]:
        """Yield the row of neurons in parts, inside loops over them."""
        for block, lanes in blocks(self.builder, self.bins["width"], _WIDE):
            places = [self.builder.add(block, INT(n)) for n in range(0, lanes, LANES)]
            yield [Register(self, place) for place in places]

    def constants(self) -> Constants:
        """Return the neuron's."""
        values = (self.neuron[name][1] for name in Constants._fields)
        return Constants(*(splat(self.builder, value, LANES) for value in values))

    def factor(self, t: Value) -> Lanes:
        """Return the factor of a bin."""
        factor = self.builder.gep(self.arrays["factors"], [t])
        return splat(self.builder, self.builder.load(factor), LANES)

    def events(self, t: Value) -> tuple[Value, Value]:
        """Return the first event of a bin, and the one after its last."""
        first = self.builder.gep(self.arrays["bounds"], [t])
        return self.builder.load(first), self.builder.load(self.builder.gep(first, [INT(1)]))


class Register:
    """LANES neurons of the row: where what they have lies."""

    def __init__(self, call: Call, first: Value) -> None:
        self.call, self.builder, self.first = call, call.builder, first

    def read(self, name: str) -> Lanes:
        """Read what an array of states has for the neurons."""
        return load(self.builder, self.state(name), LANES)

    def state(self, name: str) -> Value:
        """Return where an array of states has the neurons."""
        first = self.builder.add(self.call.bins["row"], self.first)
        return self.builder.gep(self.call.arrays[name], [first])

    def bin(self, name: str, t: Value) -> Value:
        """Return where a bin of the trace, or of another array like it, has the neurons."""
        first = self.builder.add(self.call.bins["trace"], self.first)
        return place(self.builder, self.call.arrays[name], first, t, self.call.bins["stride"])

    def weights(self, event: Value) -> Value:
        """Return where the matrix has the neurons' weights of an event."""
        arrays, bins = self.call.arrays, self.call.bins
        column = self.builder.add(bins["matrix"], self.first)
        return matrix_row(
            self.builder, arrays["matrix"], column, arrays["events"], event, bins["width"]
        )


def split(values: list[Lanes], count: int) -> list[list[Lanes]]:
    """Return ``count`` lists of the values that follow each other."""
    each = len(values) // count
    return [values[n * each : (n + 1) * each] for n in range(count)]


def joined(steps: list[list[Lanes]]) -> list[Lanes]:
    """Return what the steps of all registers have first, then second, and so on."""
    return [value for values in zip(*steps, strict=True) for value in values]


def write(registers: list[Register], names: tuple[str, ...], values: list[Lanes]) -> None:
    """Write the registers' states of each name, one name's after the other's in ``values``."""
    for name, states in zip(names, split(values, len(names)), strict=True):
        for register, state in zip(registers, states, strict=True):
            state.store(register.state(name))
