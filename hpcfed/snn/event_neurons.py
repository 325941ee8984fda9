"""A row of spiking neurons through time, on events: forward and backward, in registers.

T time bins, N a layer's padded width, R samples at once. Forward, with d the decayed current and b
the threshold (the equations of ``reference``; a LIF and an IF neuron differ in three constants)::

    i = d + W x;  u = keep v + drive i;  z = [u > b];  v = (1 - z) u;  d = decay i

Backward, with g_y the gradient of y and f = 1 where gradients pass through the reset, else 0::

    g_z += f (beta g_b - u g_v);  g_x = g_z surrogate'(u - b);  g_u = g_x + (1 - z) g_v
    g_i = drive g_u + decay g_d;  g_d = g_i;  g_v = keep g_u;   g_b = (1 - relax)(g_b - g_x)

W x is a sum of one row for each spike; so is its gradient. Both functions take any range of bins
and find the states that they begin with in the work space: a layer that nothing enters but events
goes through all of them at once, and its states never leave the registers.
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
    running,
    splat,
    widen,
    zeros_like,
)
from hpcfed.snn.vectors import intrinsic

_WIDE = 8 * LANES  # with two or three states each, what 32 registers hold


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
                for row in call.rows():
                    number = _run(row, adaptive)
                    builder.store(builder.add(builder.load(spikes), number), spikes)
        return builder.load(spikes)

    return signature, generate


@intrinsic
def return_bins(typing, neuron, gradient, work, bounds, factors, bins):  # type: ignore[no-untyped-def]
    """Go back through the same bins and add to the gradient of the input weights.

    The gradient of the spikes of bin t is factors[t] ``summed`` + ``spike``. Takes and leaves the
    gradients of d, v and b in ``work``. The tanh's derivative must be in ``derivative``: with it, a
    call is for a single bin.
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
                for row in call.rows():
                    _return(row, adaptive, full, surrogate)
        return context.get_dummy_value()

    return signature, generate


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
        self.has_voltages = builder.icmp_signed(
            "!=",
            cgutils.unpack_tuple(
                builder,
                context.make_array(arrays["voltages"][0])(
                    context, builder, arrays["voltages"][1]
                ).shape,
            )[0],
            INT(0),
        )

    def equal(self, name: str, constant: int) -> Value:
        """Return whether a constant of the neuron is this one."""
        _, value = self.neuron[name]
        if isinstance(value.type, ir.IntType):
            return self.builder.icmp_signed("==", value, value.type(constant))
        return self.builder.fcmp_ordered("==", value, value.type(float(constant)))

    def rows(self) -> Iterator[_Row]:
        """Yield parts of the row of neurons, inside loops over them."""
        for block, lanes in blocks(self.builder, self.bins["width"], _WIDE):
            yield _Row(self, block, lanes)


class _Row:
    """Some neurons that lie side by side."""

    def __init__(self, call: _Call, block: Value, lanes: int) -> None:
        self.call, self.builder, self.block, self.lanes = call, call.builder, block, lanes

    def constant(self, name: str) -> Lanes:
        """Return a constant of the neuron."""
        return splat(self.builder, self.call.neuron[name][1], self.lanes)

    def state(self, name: str) -> Lanes:
        """Read what an array of the work space has for the neurons."""
        return load(self.builder, self._state(name), self.lanes)

    def keep(self, name: str, values: Lanes) -> None:
        """Write it."""
        values.store(self._state(name))

    def factor(self, t: Value) -> Lanes:
        """Return the factor of a bin."""
        factor = self.builder.gep(self.call.arrays["factors"], [t])
        return splat(self.builder, self.builder.load(factor), self.lanes)

    def bin(self, name: str, t: Value) -> Value:
        """Return where a bin of the trace, or of another array like it, has the neurons."""
        bins = self.call.bins
        first = self.builder.add(bins["trace"], self.block)
        return place(self.builder, self.call.arrays[name], first, t, bins["stride"])

    def events(self, t: Value) -> tuple[Value, Value]:
        """Return the first event of a bin, and the one after its last."""
        bounds = self.call.arrays["bounds"]
        return tuple(
            self.builder.load(self.builder.gep(bounds, [k]))
            for k in (t, self.builder.add(t, INT(1)))
        )

    def weights(self, event: Value) -> Value:
        """Return where the matrix has the neurons' weights of an event."""
        arrays, bins = self.call.arrays, self.call.bins
        column = self.builder.add(bins["matrix"], self.block)
        return matrix_row(
            self.builder, arrays["matrix"], column, arrays["events"], event, bins["width"]
        )

    def _state(self, name: str) -> Value:
        first = self.builder.add(self.call.bins["row"], self.block)
        return self.builder.gep(self.call.arrays[name], [first])


def _run(row: _Row, adaptive: bool) -> Value:
    builder, bins = row.builder, row.call.bins
    keep, drive, decay, threshold, relax, beta = map(
        row.constant, ("keep", "drive", "decay", "threshold", "relax", "beta")
    )
    zero = zeros_like(keep)
    names = ("current", "voltage", "summed", *(("level",) if adaptive else ()))
    begin = [*map(row.state, names), INT(0)]
    with running(builder, bins["start"], bins["stop"], begin) as (t, now, after):
        d, v, summed, *b, spikes = now
        with running(builder, *row.events(t), [d]) as (event, (i,), sums):
            sums.append(i + load(builder, row.weights(event), row.lanes))
        (i,) = sums
        u = v.times_plus(keep, drive * i)
        level = (threshold - b[0]).times_plus(relax, b[0]) if adaptive else threshold
        x = u - level
        x.store(row.bin("trace", t))
        if adaptive:
            with builder.if_then(row.call.has_voltages):
                u.store(row.bin("voltages", t))
        z = x > zero
        after += [i * decay, z.choose(zero, u), summed + z.choose(row.factor(t), zero)]
        if adaptive:
            after.append(z.choose(level + beta, level))
        number = builder.ctpop(z.bits())
        number = builder.trunc(number, INT) if number.type.width > 64 else widen(builder, number)
        after.append(builder.add(spikes, number))
    for name, values in zip(names, after, strict=False):
        row.keep(name, values)
    return after[-1]


def _return(row: _Row, adaptive: bool, full: bool, surrogate: str) -> None:
    builder, bins = row.builder, row.call.bins
    keep, drive, decay, threshold, relax, beta, slope = map(
        row.constant, ("keep", "drive", "decay", "threshold", "relax", "beta", "slope")
    )
    zero, one = zeros_like(keep), ones_like(keep)
    summed, constant = row.state("summed"), row.state("spike")
    names = ("current", "voltage", *(("level",) if adaptive else ()))
    count = builder.sub(bins["stop"], bins["start"])
    with running(builder, INT(0), count, [*map(row.state, names)]) as (k, now, before):
        t = builder.sub(builder.sub(bins["stop"], k), INT(1))
        g_d, g_v, *g_b = now
        x = load(builder, row.bin("trace", t), row.lanes)
        g_z = summed.times_plus(row.factor(t), constant)
        if full:
            u = load(builder, row.bin("voltages", t), row.lanes) if adaptive else x + threshold
            g_z = (-u).times_plus(g_v, g_z)
            g_z = beta.times_plus(g_b[0], g_z) if adaptive else g_z
        if surrogate == "superspike":
            root = slope.times_plus(abs(x), one)
            g_x = g_z / (root * root)
        elif surrogate == "triangle":
            g_x = g_z * (-slope).times_plus(abs(x), one).larger(zero)
        else:
            g_x = g_z * row.state("derivative")
        g_u = g_x + (x > zero).choose(zero, g_v)
        g_i = g_d.times_plus(decay, drive * g_u)
        before += [g_i, keep * g_u]
        if adaptive:
            before.append((one - relax) * (g_b[0] - g_x))
        with running(builder, *row.events(t), []) as (event, _, _):
            weights = row.weights(event)
            (load(builder, weights, row.lanes) + g_i).store(weights)
        with builder.if_then(builder.icmp_signed("!=", bins["kept"], INT(0))):
            g_i.store(row.bin("trace", t))
    for name, values in zip(names, before, strict=True):
        row.keep(name, values)
