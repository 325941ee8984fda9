"""A row of spiking neurons through time, on events: forward and backward, in registers.

T time bins, N a layer's padded width, R samples at once. Forward, with d the decayed current; u, v
and b, the threshold, are measured from the threshold at rest, theta (the equations of
``networks.neurons``; LIF, IF and leaky neurons differ in constants)::

    i = d + W x;  u = keep v + drive i - (1 - keep) theta;  z = [u > b];  d = decay i
    v = kept u - taken where z, else u;  b = (1 - relax)(b + beta z), both of the bin before

Backward, with g_y the gradient of y, g_u+ that of the next bin's u, and f = 1 where gradients pass
through the reset, else 0::

    g_z += f (beta g_b + ((kept - 1) u - taken) keep g_u+);  g_x = g_z surrogate'(u - b)
    g_u = g_x + (kept where z, else 1) keep g_u+;  g_i = drive g_u + decay g_d;  g_d = g_i
    g_b = (1 - relax)(g_b - g_x)

All of it is linear in g_z; all but g_i and g_d is computed drive times as large. W x is a sum of a
row for each spike; so is its gradient. Both functions take any range of bins and find the states
that they begin with in the work space: a layer that nothing enters but events goes through all of
them at once, and its states never leave the registers.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numba import types

from hpcfed.base.compiled import inner
from hpcfed.learning.constants import SURROGATES, Real
from hpcfed.learning.event.lanes import (
    INT,
    LANES,
    Lanes,
    Value,
    cgutils,
    load,
    ones_like,
    prefetch,
    running,
    widen,
    zeros_like,
)
from hpcfed.learning.event.registers import Call, Constants, Register, joined, split, write
from hpcfed.learning.event.vectors import intrinsic

AHEAD = 8  # events; the first cache line of a row is enough, the processor fetches the next ones


@intrinsic
def run_bins(typing, neuron, matrix, work, bounds, factors, bins):  # type: ignore[no-untyped-def]
    """Go through bins of a sample whose events lie in ``bounds`` (T + 1,); return the spikes.

    Takes and leaves d, v and b in ``work``, writes u - b to the trace (and u to the voltages, if
    there are any), and adds to ``summed`` the factor (T,) of each bin with a spike.
    """
    signature = types.int64(neuron, matrix, work, bounds, factors, bins)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        call = Call(context, builder, sig, args)
        spikes = cgutils.alloca_once_value(builder, INT(0))
        for adaptive in (False, True):
            with builder.if_then(call.equal("adaptive", adaptive)):
                for registers in call.registers():
                    number = _run(call, registers, adaptive)
                    builder.store(builder.add(builder.load(spikes), number), spikes)
        return builder.load(spikes)

    return signature, generate


@inner
def tanh_derivative(x: Real) -> Real:
    """Return 1 - tanh(x)^2, without the cancellation of that difference."""
    steep = abs(x)
    shrunk = np.exp(-(steep + steep))
    derivative: Real = 4 * shrunk / ((1 + shrunk) * (1 + shrunk))
    return derivative


@intrinsic
def return_bins(typing, neuron, gradient, work, bounds, factors, bins):  # type: ignore[no-untyped-def]
    """Go back through the same bins and add to the gradient of the input weights.

    The gradient of the spikes of bin t is factors[t] ``summed`` + ``spike``. Takes and leaves the
    gradient of d, and those of u and b drive times as large, in ``work``. The tanh's derivative
    must be in ``derivative``: with it, a call is for a single bin.
    """
    signature = types.void(neuron, gradient, work, bounds, factors, bins)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        call = Call(context, builder, sig, args)
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


def _run(call: Call, registers: list[Register], adaptive: bool) -> Value:
    """Write the loop over the bins; return the number of spikes."""
    builder, bins, c = call.builder, call.bins, call.constants()
    zero, leak = zeros_like(c.keep), (c.keep - ones_like(c.keep)) * c.threshold
    names = ("current", "voltage", "summed", *(("level",) if adaptive else ()))
    begin = [*(register.read(name) for name in names for register in registers), INT(0)]
    with running(builder, bins["start"], bins["stop"], begin) as (t, (*now, spikes), after):
        d, *others = split(now, len(names))
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
            v = z.choose(c.kept.times_plus(u, -c.taken), u)
            step = [i * c.decay, v, summed + z.choose(factor, zero)]
            if adaptive:
                step.append(_relaxed(c, z.choose(b[0] + c.beta, b[0])))
            steps.append(step)
            spikes = builder.add(spikes, widen(builder, builder.ctpop(z.bits())))
        after += [*joined(steps), spikes]
    *states, spikes = after
    write(registers, names, states)
    return spikes


def _return(
    call: Call, registers: list[Register], adaptive: bool, full: bool, surrogate: str
) -> None:
    """Write the loop back over the bins."""
    builder, bins, c = call.builder, call.bins, call.constants()
    zero, kept = zeros_like(c.keep), c.kept * c.keep
    summed, constant = ([c.drive * r.read(name) for r in registers] for name in ("summed", "spike"))
    names = ("current", "voltage", *(("level",) if adaptive else ()))
    begin = [register.read(name) for name in names for register in registers]
    count = builder.sub(bins["stop"], bins["start"])
    with running(builder, INT(0), count, begin) as (k, now, before):
        t = builder.sub(builder.sub(bins["stop"], k), INT(1))
        factor, steps = call.factor(t), []
        gradients = zip(registers, summed, constant, *split(now, len(names)), strict=True)
        for register, through_readout, g_z, g_d, g_u, *g_b in gradients:
            x = load(builder, register.bin("trace", t), LANES)
            g_z = through_readout.times_plus(factor, g_z)
            if full:
                u = load(builder, register.bin("voltages", t), LANES) if adaptive else x
                g_z = (c.keep * g_u).times_plus(_of_reset(c, u), g_z)
                g_z = c.beta.times_plus(g_b[0], g_z) if adaptive else g_z
            g_x = _through_surrogate(c, surrogate, g_z, x, register)
            g_u = (x > zero).choose(kept, c.keep).times_plus(g_u, g_x)
            step = [g_d.times_plus(c.decay, g_u), g_u]
            steps.append([*step, _relaxed(c, g_b[0] - g_x)] if adaptive else step)
        before += joined(steps)
        g_i = before[: len(registers)]
        _scatter(call, registers, g_i, t)
        with builder.if_then(builder.icmp_signed("!=", bins["kept"], INT(0))):
            for register, change in zip(registers, g_i, strict=True):
                change.store(register.bin("trace", t))
    write(registers, names, before)


def _relaxed(c: Constants, level: Lanes) -> Lanes:
    return (ones_like(level) - c.relax) * level


def _of_reset(c: Constants, u: Lanes) -> Lanes:
    """Return the derivative of v by the spike."""
    return (c.kept - ones_like(u)).times_plus(u, -c.taken)


def _through_surrogate(
    c: Constants, surrogate: str, g_z: Lanes, x: Lanes, register: Register
) -> Lanes:
    """Return g_z times the surrogate's derivative at x, the distance to the threshold."""
    if surrogate == "superspike":
        root = c.slope.times_plus(abs(x), c.peak)
        return g_z / (root * root)
    if surrogate == "triangle":
        return g_z * (-c.slope).times_plus(abs(x), c.peak).larger(zeros_like(x))
    return g_z * register.read("derivative")


def _scatter(call: Call, registers: list[Register], g_i: list[Lanes], t: Value) -> None:
    """Add the gradient of a bin's current to the rows of its events, the last first."""
    builder = call.builder
    first, last = call.events(t)
    with running(builder, first, last, []) as (k, _, _):
        event = builder.sub(builder.add(first, last), builder.add(k, INT(1)))
        for register, change in zip(registers, g_i, strict=True):
            weights = register.weights(event)
            (load(builder, weights, LANES) + change).store(weights)
        prefetch(builder, registers[0].weights(builder.sub(event, INT(AHEAD))))
