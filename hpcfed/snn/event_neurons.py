"""A row of spiking neurons through time, on events: forward and backward, in registers.

T time bins, N a layer's padded width, R samples at once. Forward, with d the decayed current; u, v
and b, the threshold, are measured from the threshold at rest, theta (the equations of
``reference``; a LIF and an IF neuron differ in three constants)::

    i = d + W x;  u = keep v + drive i - (1 - keep) theta;  z = [u > b];  d = decay i
    v = -theta where z, else u;  b = (1 - relax)(b + beta z), both of the bin before

Backward, with g_y the gradient of y, g_u+ that of the next bin's u, and f = 1 where gradients pass
through the reset, else 0::

    g_z += f (beta g_b - (u + theta) keep g_u+);  g_x = g_z surrogate'(u - b)
    g_u = g_x + (1 - z) keep g_u+;  g_i = drive g_u + decay g_d;  g_d = g_i
    g_b = (1 - relax)(g_b - g_x)

All of it is linear in g_z; all but g_i and g_d is computed drive times as large. W x is a sum of a
row for each spike; so is its gradient. Both functions take any range of bins and find the states
that they begin with in the work space: a layer that nothing enters but events goes through all of
them at once, and its states never leave the registers.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from llvmlite import ir
from numba import types

from hpcfed.snn.event_plan import SURROGATES
from hpcfed.snn.lanes import (
    INT,
    LANES,
    Lanes,
    Value,
    blocks,
    cgutils,
    data,
    fields,
    load,
    matrix_row,
    ones_like,
    place,
    prefetch,
    running,
    splat,
    widen,
    zeros_like,
)
from hpcfed.snn.vectors import intrinsic

AHEAD = 8  # events; the first cache line of a row is enough, the processor fetches the next ones
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


@intrinsic
def run_bins(typing, neuron, matrix, work, bounds, factors, bins):  # type: ignore[no-untyped-def]
    """Go through bins of a sample whose events lie in ``bounds`` (T + 1,); return the spikes.

    Takes and leaves d, v and b in ``work``, writes u - b to the trace (and u to the voltages, if
    there are any), and adds to ``summed`` the factor (T,) of each bin with a spike.
    """
    signature = types.int64(neuron, matrix, work, bounds, factors, bins)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        call = _Call(context, builder, sig, args)
        spikes = cgutils.alloca_once_value(builder, INT(0))
        for adaptive in (False, True):
            with builder.if_then(call.equal("adaptive", adaptive)):
                for registers in call.registers():
                    number = _run(call, registers, adaptive)
                    builder.store(builder.add(builder.load(spikes), number), spikes)
        return builder.load(spikes)

    return signature, generate


@intrinsic
def return_bins(typing, neuron, gradient, work, bounds, factors, bins):  # type: ignore[no-untyped-def]
    """Go back through the same bins and add to the gradient of the input weights.

    The gradient of the spikes of bin t is factors[t] ``summed`` + ``spike``. Takes and leaves the
    gradient of d, and those of u and b drive times as large, in ``work``. The tanh's derivative
    must be in ``derivative``: with it, a call is for a single bin.
    """
    signature = types.void(neuron, gradient, work, bounds, factors, bins)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        call = _Call(context, builder, sig, args)
        for adaptive, full, surrogate in product((False, True), (False, True), SURROGATES):
            this = (
                call.equal("adaptive", adaptive),
                call.equal("full", full),
                call.equal("surrogate", SURROGATES.index(surrogate)),
            )
            with builder.if_then(builder.and_(this[0], builder.and_(*this[1:]))):
                for registers in call.registers():
                    _return(call, registers, adaptive, full, surrogate)
        return context.get_dummy_value()

    return signature, generate


class _Constants(NamedTuple):
    keep: Lanes
    drive: Lanes
    decay: Lanes
    threshold: Lanes
    relax: Lanes
    beta: Lanes
    slope: Lanes


class _Call:
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

    def registers(self) -> Iterator[list[_Register]]:
        """Yield the row of neurons in parts, inside loops over them."""
        for block, lanes in blocks(self.builder, self.bins["width"], _WIDE):
            places = [self.builder.add(block, INT(n)) for n in range(0, lanes, LANES)]
            yield [_Register(self, place) for place in places]

    def constants(self) -> _Constants:
        """Return the neuron's."""
        values = (self.neuron[name][1] for name in _Constants._fields)
        return _Constants(*(splat(self.builder, value, LANES) for value in values))

    def factor(self, t: Value) -> Lanes:
        """Return the factor of a bin."""
        factor = self.builder.gep(self.arrays["factors"], [t])
        return splat(self.builder, self.builder.load(factor), LANES)

    def events(self, t: Value) -> tuple[Value, Value]:
        """Return the first event of a bin, and the one after its last."""
        first = self.builder.gep(self.arrays["bounds"], [t])
        return self.builder.load(first), self.builder.load(self.builder.gep(first, [INT(1)]))


class _Register:
    """LANES neurons of the row: where what they have lies."""

    def __init__(self, call: _Call, first: Value) -> None:
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


def _run(call: _Call, registers: list[_Register], adaptive: bool) -> Value:
    """Write the loop over the bins; return the number of spikes."""
    builder, bins, c = call.builder, call.bins, call.constants()
    zero, leak = zeros_like(c.keep), (c.keep - ones_like(c.keep)) * c.threshold
    names = ("current", "voltage", "summed", *(("level",) if adaptive else ()))
    begin = [*(register.read(name) for name in names for register in registers), INT(0)]
    with running(builder, bins["start"], bins["stop"], begin) as (t, (*now, spikes), after):
        d, *others = _split(now, len(names))
        first, last = call.events(t)
        with running(builder, first, last, d) as (event, sums, currents):
            for register, i in zip(registers, sums, strict=True):
                currents.append(i + load(builder, register.weights(event), LANES))
            prefetch(builder, registers[0].weights(builder.add(event, INT(AHEAD))))
        factor, steps = call.factor(t), []
        for register, i, v, summed, *b in zip(registers, currents, *others, strict=True):
            x = u = v.times_plus(c.keep, c.drive.times_plus(i, leak))
            if adaptive:
                x = u - b[0]
                with builder.if_then(call.has_voltages):
                    u.store(register.bin("voltages", t))
            x.store(register.bin("trace", t))
            z = x > zero
            step = [i * c.decay, z.choose(-c.threshold, u), summed + z.choose(factor, zero)]
            if adaptive:
                step.append(_relaxed(c, z.choose(b[0] + c.beta, b[0])))
            steps.append(step)
            spikes = builder.add(spikes, widen(builder, builder.ctpop(z.bits())))
        after += [*_joined(steps), spikes]
    *states, spikes = after
    _write(registers, names, states)
    return spikes


def _return(
    call: _Call, registers: list[_Register], adaptive: bool, full: bool, surrogate: str
) -> None:
    """Write the loop back over the bins."""
    builder, bins, c = call.builder, call.bins, call.constants()
    zero = zeros_like(c.keep)
    summed, constant = ([c.drive * r.read(name) for r in registers] for name in ("summed", "spike"))
    names = ("current", "voltage", *(("level",) if adaptive else ()))
    begin = [register.read(name) for name in names for register in registers]
    count = builder.sub(bins["stop"], bins["start"])
    with running(builder, INT(0), count, begin) as (k, now, before):
        t = builder.sub(builder.sub(bins["stop"], k), INT(1))
        factor, steps = call.factor(t), []
        gradients = zip(registers, summed, constant, *_split(now, len(names)), strict=True)
        for register, through_readout, g_z, g_d, g_u, *g_b in gradients:
            x = load(builder, register.bin("trace", t), LANES)
            g_z = through_readout.times_plus(factor, g_z)
            if full:
                u = load(builder, register.bin("voltages", t), LANES) if adaptive else x
                g_z = (-c.keep * g_u).times_plus(u + c.threshold, g_z)
                g_z = c.beta.times_plus(g_b[0], g_z) if adaptive else g_z
            g_x = _through_surrogate(c, surrogate, g_z, x, register)
            g_u = (x > zero).choose(zero, g_u).times_plus(c.keep, g_x)
            step = [g_d.times_plus(c.decay, g_u), g_u]
            steps.append([*step, _relaxed(c, g_b[0] - g_x)] if adaptive else step)
        before += _joined(steps)
        g_i = before[: len(registers)]
        _scatter(call, registers, g_i, t)
        with builder.if_then(builder.icmp_signed("!=", bins["kept"], INT(0))):
            for register, change in zip(registers, g_i, strict=True):
                change.store(register.bin("trace", t))
    _write(registers, names, before)


def _relaxed(c: _Constants, level: Lanes) -> Lanes:
    return (ones_like(level) - c.relax) * level


def _through_surrogate(
    c: _Constants, surrogate: str, g_z: Lanes, x: Lanes, register: _Register
) -> Lanes:
    """Return g_z times the surrogate's derivative at x, the distance to the threshold."""
    one = ones_like(x)
    if surrogate == "superspike":
        root = c.slope.times_plus(abs(x), one)
        return g_z / (root * root)
    if surrogate == "triangle":
        return g_z * (-c.slope).times_plus(abs(x), one).larger(zeros_like(x))
    return g_z * register.read("derivative")


def _scatter(call: _Call, registers: list[_Register], g_i: list[Lanes], t: Value) -> None:
    """Add the gradient of a bin's current to the rows of its events, the last first."""
    builder = call.builder
    first, last = call.events(t)
    with running(builder, first, last, []) as (k, _, _):
        event = builder.sub(builder.add(first, last), builder.add(k, INT(1)))
        for register, change in zip(registers, g_i, strict=True):
            weights = register.weights(event)
            (load(builder, weights, LANES) + change).store(weights)
        prefetch(builder, registers[0].weights(builder.sub(event, INT(AHEAD))))


def _split(values: list[Lanes], count: int) -> list[list[Lanes]]:
    """Return ``count`` lists of the values that follow each other."""
    each = len(values) // count
    return [values[n * each : (n + 1) * each] for n in range(count)]


def _joined(steps: list[list[Lanes]]) -> list[Lanes]:
    """Return what the steps of all registers have first, then second, and so on."""
    return [value for values in zip(*steps, strict=True) for value in values]


def _write(registers: list[_Register], names: tuple[str, ...], values: list[Lanes]) -> None:
    for name, states in zip(names, _split(values, len(names)), strict=True):
        for register, state in zip(registers, states, strict=True):
            state.store(register.state(name))
