"""Neurons and norms in the vector registers of a CPU: one bin of a row of values at a time.

Arrays are flat; a row has a multiple of ``LANES`` values. The equations are those of ``neurons``.
To be used inside numba code; nothing is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _intrinsic

from hpcfed.learning.constants import SURROGATES
from hpcfed.learning.event.lanes import (
    INT,
    LANES,
    Lanes,
    Value,
    cgutils,
    data,
    fields,
    load,
    ones_like,
    place,
    pointers,
    running,
    splat,
    zeros_like,
)

intrinsic: Any = _intrinsic  # numba publishes no types of it

_N = types.intp
_SUMS = 4  # running sums of a column, so that an addition need not wait for the one before


class _Row:
    """A row of values, and where the arrays of a NamedTuple have it."""

    def __init__(self, context: Value, builder: Value, sig: Value, args: Value) -> None:
        self.builder = builder
        self.neuron = fields(builder, sig.args[0], args[0])
        self.places = {
            name: data(context, builder, kind, array)
            for name, (kind, array) in fields(builder, sig.args[1], args[1]).items()
        }

    def read(self, name: str, at: Value) -> Lanes:
        return load(self.builder, self.builder.gep(self.places[name], [at]), LANES)

    def write(self, name: str, at: Value, values: Lanes) -> None:
        values.store(self.builder.gep(self.places[name], [at]))

    def constant(self, name: str) -> Lanes:
        return splat(self.builder, self.neuron[name][1], LANES)

    def is_set(self, name: str) -> Value:
        _, value = self.neuron[name]
        if isinstance(value.type, ir.IntType):
            return self.builder.icmp_signed("!=", value, value.type(0))
        return self.builder.fcmp_unordered("!=", value, value.type(0.0))

    def steps(self, length: Value) -> Iterator[Value]:
        with cgutils.for_range_slice(self.builder, INT(0), length, INT(LANES), INT) as (j, _):
            yield j


@intrinsic
def integrate(typing, neuron, row, traces, at, bin, length):  # type: ignore[no-untyped-def]
    """Take one bin of ``length`` values that flow in from traces[at] on.

    Leaves spikes in ``row.sent``, and potentials and levels from place ``bin`` on, where gain and
    offset are read too.
    """
    signature = types.void(neuron, row, traces, _N, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        own = _Row(context, builder, sig, args)
        (traces,) = pointers(context, builder, sig, args, (2,))
        _, _, _, at, bin, length = args
        keep, drive, theta = (own.constant(name) for name in ("keep", "drive", "threshold"))
        zero, one = zeros_like(keep), ones_like(keep)
        kept = own.constant("kept")
        subtracted, to_zero = kept * own.constant("taken"), one - kept

        def steps(with_current: bool) -> None:
            for j in own.steps(length):
                here = builder.add(bin, j)
                x = load(builder, builder.gep(traces, [builder.add(at, j)]), LANES)
                flows = own.read("gain", here) * x + own.read("offset", here)
                level = theta
                if with_current:
                    flows = own.read("d", j) + flows
                    own.write("d", j, own.constant("decay") * flows)
                    level = own.read("level", j)
                    level = level + own.constant("relax") * (theta - level)
                    level = Lanes(
                        builder, builder.select(own.is_set("adaptive"), level.value, theta.value)
                    )
                u = keep * own.read("v", j) + drive * flows
                z = (u > level).choose(one, zero)
                own.write("potentials", here, u)
                own.write("sent", j, z)
                own.write("v", j, u - z * (subtracted + to_zero * u))
                if with_current:
                    own.write("levels", here, level)
                    own.write("level", j, level + own.constant("beta") * z)

        full = builder.or_(own.is_set("decay"), own.is_set("adaptive"))
        with builder.if_else(full) as (general, simple):
            with general:
                steps(True)
            with simple:
                steps(False)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def mark(typing, neuron, row, marks, to, bin, length):  # type: ignore[no-untyped-def]
    """Write to marks[to:] which neurons of a bin have a slope, by a triangle; return how many.

    A bit for each of LANES; ``bin`` is where ``integrate`` has left potentials and levels.
    """
    signature = types.intp(neuron, row, marks, _N, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        own = _Row(context, builder, sig, args)
        (marks,) = pointers(context, builder, sig, args, (2,))
        _, _, _, to, bin, length = args
        peak, slope, theta = (own.constant(name) for name in ("peak", "slope", "threshold"))
        zero = zeros_like(peak)
        full = builder.or_(own.is_set("decay"), own.is_set("adaptive"))
        parts = builder.sdiv(length, INT(LANES))
        with running(builder, INT(0), parts, [INT(0)]) as (part, (count,), counts):
            here = builder.add(bin, builder.mul(part, INT(LANES)))
            level = builder.select(full, own.read("levels", here).value, theta.value)
            away = abs(own.read("potentials", here) - Lanes(builder, level))
            bits = (peak - slope * away > zero).bits()
            builder.store(bits, builder.gep(marks, [builder.add(to, part)]))
            counts.append(builder.add(count, builder.zext(builder.ctpop(bits), INT)))
        return counts[0]

    return signature, generate


@intrinsic
def return_bin(typing, neuron, row, change, at, bin, length):  # type: ignore[no-untyped-def]
    """Take one bin on the way back: write the gradient of y to change[at:], from ``row.heard``.

    A surrogate that is no superspike and no triangle is read from ``row.steepness``.
    """
    signature = types.void(neuron, row, change, _N, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        own = _Row(context, builder, sig, args)
        (change,) = pointers(context, builder, sig, args, (2,))
        _, _, _, at, bin, length = args
        keep, drive, theta = (own.constant(name) for name in ("keep", "drive", "threshold"))
        peak, slope, kept = (own.constant(name) for name in ("peak", "slope", "kept"))
        zero, one = zeros_like(keep), ones_like(keep)
        subtracted, to_zero, full = kept * own.constant("taken"), one - kept, own.constant("full")

        def steps(with_current: bool, surrogate: str) -> None:
            for j in own.steps(length):
                here = builder.add(bin, j)
                u = own.read("potentials", here)
                level = own.read("levels", here) if with_current else theta
                spiked = u > level
                away = abs(u - level)
                if surrogate == "superspike":
                    away = peak + slope * away
                    steep = one / (away * away)
                elif surrogate == "triangle":
                    steep = zero.larger(peak - slope * away)
                else:
                    steep = own.read("steepness", j)
                of_v, of_z = own.read("v", j), own.read("heard", j)
                of_z = of_z - full * of_v * (subtracted + to_zero * u)
                if with_current:
                    of_b = own.read("level", j)
                    of_z = of_z + full * own.constant("beta") * of_b
                of_x = steep * of_z
                of_u = of_x + of_v * (one - spiked.choose(to_zero, zero))
                own.write("v", j, keep * of_u)
                given = drive * of_u
                if with_current:
                    relaxed = one - own.constant("relax")
                    own.write("level", j, relaxed * (of_b - of_x))
                    given = given + own.constant("decay") * own.read("d", j)
                    own.write("d", j, given)
                given.store(builder.gep(change, [builder.add(at, j)]))

        surrogate = own.neuron["surrogate"][1]
        everything = builder.or_(own.is_set("decay"), own.is_set("adaptive"))
        for name in SURROGATES:
            number = surrogate.type(SURROGATES.index(name))
            chosen = builder.icmp_signed("==", surrogate, number)
            for with_current, holds in ((True, everything), (False, builder.not_(everything))):
                with builder.if_then(builder.and_(chosen, holds)):
                    steps(with_current, name)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_products(typing, sums, other, to, one, at, two, from_, length):  # type: ignore[no-untyped-def]
    """sums[to:] += one[at:] two[from_:]; other[to:] += two[from_:], ``length`` values each."""
    signature = types.void(sums, other, _N, one, _N, two, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        sums, other, one, two = pointers(context, builder, sig, args, (0, 1, 3, 5))
        _, _, to, _, at, _, from_, length = args
        with cgutils.for_range_slice(builder, INT(0), length, INT(LANES), INT) as (j, _):
            target = builder.gep(sums, [builder.add(to, j)])
            beside = builder.gep(other, [builder.add(to, j)])
            left = load(builder, builder.gep(one, [builder.add(at, j)]), LANES)
            right = load(builder, builder.gep(two, [builder.add(from_, j)]), LANES)
            (load(builder, target, LANES) + left * right).store(target)
            (load(builder, beside, LANES) + right).store(beside)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def scale_row(typing, out, to, source, at, width, factor):  # type: ignore[no-untyped-def]
    """Write factor source[at:at + width] to out[to:]."""
    signature = types.void(out, _N, source, _N, _N, factor)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, source = pointers(context, builder, sig, args, (0, 2))
        _, to, _, at, width, factor = args
        with cgutils.for_range_slice(builder, INT(0), width, INT(LANES), INT) as (j, _):
            values = load(builder, builder.gep(source, [builder.add(at, j)]), LANES)
            scaled = splat(builder, factor, LANES) * values
            scaled.store(builder.gep(out, [builder.add(to, j)]))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def column_moments(typing, mean, spread, to, source, at, width, count):  # type: ignore[no-untyped-def]
    """Write mean and sum of squared differences from it of ``count`` rows of ``width`` values."""
    signature = types.void(mean, spread, _N, source, _N, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        mean, spread, source = pointers(context, builder, sig, args, (0, 1, 3))
        _, _, to, _, at, width, count = args
        real = source.type.pointee

        def summed(column: Value, term: Any, zero: Lanes) -> Lanes:
            whole = builder.sdiv(count, INT(_SUMS))
            with running(builder, INT(0), whole, [zero] * _SUMS) as (k, sums, results):
                for n in range(_SUMS):
                    row = builder.add(builder.mul(k, INT(_SUMS)), INT(n))
                    value = load(builder, place(builder, source, column, row, width), LANES)
                    results.append(term(value, sums[n]))
            first, second, third, fourth = results
            total = (first + second) + (third + fourth)
            rest = builder.mul(whole, INT(_SUMS))
            with running(builder, rest, count, [total]) as (k, (more,), ends):
                value = load(builder, place(builder, source, column, k, width), LANES)
                ends.append(term(value, more))
            (total,) = ends
            return Lanes(builder, total.value)

        with cgutils.for_range_slice(builder, INT(0), width, INT(LANES), INT) as (block, _):
            column = builder.add(at, block)
            zero = Lanes(builder, ir.Constant(ir.VectorType(real, LANES), None))
            number = splat(builder, builder.sitofp(count, real), LANES)
            middle = summed(column, lambda value, total: total + value, zero) / number

            def squares(value: Lanes, total: Lanes) -> Lanes:
                away = value - middle
                return total + away * away

            middle.store(builder.gep(mean, [builder.add(to, block)]))
            summed(column, squares, zero).store(builder.gep(spread, [builder.add(to, block)]))
        return context.get_dummy_value()

    return signature, generate
