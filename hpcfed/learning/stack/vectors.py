"""Inner loops of convolutions, written for the vector registers of a CPU.

Arrays are flat, of float32 or float64, and places in them are counted in elements; a row's
``width`` is a multiple of ``LANES``. A sum begins with zero and takes its terms in the order of
kernel rows, then of what enters: as many dense as active ones, since adding zero changes no bit.
Nothing is checked: they are called by the kernels alone. To be used inside numba code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _intrinsic

from hpcfed.learning.event.lanes import (
    INT,
    LANES,
    Lanes,
    Value,
    cgutils,
    load,
    place,
    pointers,
    running,
    splat,
    widen,
    zeros_like,
)

intrinsic: Any = _intrinsic  # numba publishes no types of it

# a row of the matrix, what it is multiplied by, and totals: the totals with it
Adding = Callable[[Value, Lanes | None, list[Lanes]], list[Lanes]]

MOST = 4 * LANES  # values that gather_rows takes at once
TILE = 8  # pixels that multiply_tile takes at once, at most
TAPS = 3  # of a kernel row that gather_taps and product_taps may take at once
TOGETHER = 8  # channels that product_taps takes at once

_N = types.intp


@intrinsic
def gather_rows(typing, out, to, lanes, base, first, row_step, index, values, bounds, at, rows):  # type: ignore[no-untyped-def]
    """Write to out[to:to + lanes] the sum over the events of some kernel rows of matrix rows.

    ``at`` is (place in bounds, pixels of a row, pitch): in kernel row r of ``rows`` the events are
    those from bounds[place + r pitch] to bounds[place + r pitch + pixels], and event e adds row
    index[e], of ``lanes`` values, of the matrix at first + r row_step, times values[e] if
    ``values`` has any type but none. ``lanes`` is MOST, half or a quarter of it.
    """
    signature = types.void(out, _N, _N, base, _N, _N, index, values, bounds, at, _N)
    valued = not isinstance(values, types.NoneType)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        own = _Gathering(context, builder, sig, args, (0, 3, 6, 7, 8), valued)
        _, to, lanes, _, first, row_step, _, _, _, at, rows = args

        def gather(number: int) -> None:
            def add(row: Value, factor: Lanes | None, sums: list[Lanes]) -> list[Lanes]:
                line = builder.add(first, builder.mul(row, INT(number * LANES)))
                return [own.term(line, n, factor, total) for n, total in enumerate(sums)]

            for n, total in enumerate(own.summed(number, at, rows, row_step, number, add)):
                total.store(builder.gep(own.out, [builder.add(to, INT(n * LANES))]))

        _choose(builder, lanes, {count * LANES: partial(gather, count) for count in (4, 2, 1)})
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def gather_pair(typing, out, to, base, first, before, row_step, index, values, bounds, at, rows):  # type: ignore[no-untyped-def]
    """Do the same for two pixels side by side and LANES values of each, one row after the other.

    The second adds what lies ``before`` what the first adds: the matrix has rows of zeros in front
    of each kernel row and behind it.
    """
    signature = types.void(out, _N, base, _N, _N, _N, index, values, bounds, at, _N)
    valued = not isinstance(values, types.NoneType)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        own = _Gathering(context, builder, sig, args, (0, 2, 6, 7, 8), valued)
        _, to, _, first, before, row_step, _, _, _, at, rows = args

        def add(row: Value, factor: Lanes | None, sums: list[Lanes]) -> list[Lanes]:
            line = builder.add(first, builder.mul(row, INT(LANES)))
            lines = line, builder.sub(line, before)
            return [own.term(one, 0, factor, sums[n]) for n, one in enumerate(lines)]

        for n, total in enumerate(own.summed(2, at, rows, row_step, 1, add)):
            total.store(builder.gep(own.out, [builder.add(to, INT(n * LANES))]))
        return context.get_dummy_value()

    return signature, generate


class _Gathering:
    """The arrays of a sum over events, and its loops."""

    def __init__(self, context, builder, sig, args, which, valued):  # type: ignore[no-untyped-def]
        self.builder = builder
        out, base, index, values, bounds = which
        self.out, self.base, self.index, self.bounds = pointers(
            context, builder, sig, args, (out, base, index, bounds)
        )
        self.values = pointers(context, builder, sig, args, (values,))[0] if valued else None

    def term(self, line: Value, number: int, factor: Lanes | None, total: Lanes) -> Lanes:
        """Add to a total the register ``number`` of the matrix from ``line`` on."""
        builder = self.builder
        place = builder.gep(self.base, [builder.add(line, INT(number * LANES))])
        own = load(builder, place, LANES)
        return total + own if factor is None else factor.times_plus(own, total)

    def summed(
        self, number: int, at: Value, rows: Value, row_step: Value, registers: int, add: Adding
    ) -> list[Lanes]:
        """Return ``number`` registers of sums over the events of kernel rows."""
        builder = self.builder
        start, pixels, pitch = (builder.extract_value(at, n) for n in range(3))
        rows_of_matrix = builder.sdiv(row_step, INT(registers * LANES))
        zero = _zeros(builder, self.out)
        with running(builder, INT(0), rows, [zero] * number) as (r, sums, after):
            lower = builder.gep(self.bounds, [builder.add(start, builder.mul(r, pitch))])
            upper = builder.gep(lower, [pixels])
            lower, upper = (widen(builder, builder.load(one)) for one in (lower, upper))
            shift = builder.mul(r, rows_of_matrix)
            with running(builder, lower, upper, sums) as (k, totals, results):
                entry = widen(builder, builder.load(builder.gep(self.index, [k])))
                factor = None
                if self.values is not None:
                    factor = splat(builder, builder.load(builder.gep(self.values, [k])), LANES)
                results.extend(add(builder.add(entry, shift), factor, totals))
            after.extend(results)
        return after


@intrinsic
def multiply_tile(
    typing, out, to, width, lanes, source, places, at, tile, shape, base, first, pitch
):  # type: ignore[no-untyped-def]
    """Write ``lanes`` values of ``tile`` rows of out, ``width`` apart from ``to`` on: products.

    ``shape`` is (planes, plane step, rows, row step, count): row r has the sum over planes p, rows
    q and k < count of source[places[at + r] + p plane_step + q row_step + k] times the next row,
    ``pitch`` apart, of the matrix at ``first``. A tile is TILE, half of it or 1; lanes are two
    registers or one.
    """
    signature = types.void(out, _N, _N, _N, source, places, _N, _N, shape, base, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, source, places, base = pointers(context, builder, sig, args, (0, 4, 5, 9))
        _, to, width, lanes, _, _, at, tile, shape, _, first, pitch = args
        planes, plane_step, rows, row_step, count = (
            builder.extract_value(shape, n) for n in range(5)
        )

        def multiply(number: int, each: int) -> None:
            starts = [
                widen(builder, builder.load(builder.gep(places, [builder.add(at, INT(r))])))
                for r in range(number)
            ]
            begin = [first, *[_zeros(builder, out)] * (number * each)]
            with running(builder, INT(0), planes, begin) as (p, outer, final):
                ahead = builder.mul(p, plane_step)
                with running(builder, INT(0), rows, outer) as (q, middle, ends):
                    shift = builder.add(ahead, builder.mul(q, row_step))
                    lefts = [builder.gep(source, [builder.add(one, shift)]) for one in starts]
                    with running(builder, INT(0), count, middle) as (k, (row, *sums), after):
                        after.append(builder.add(row, pitch))
                        own = [
                            load(
                                builder,
                                builder.gep(base, [builder.add(row, INT(n * LANES))]),
                                LANES,
                            )
                            for n in range(each)
                        ]
                        for r, left in enumerate(lefts):
                            factor = builder.load(builder.gep(left, [k]))
                            factor = splat(builder, factor, LANES)
                            for n in range(each):
                                after.append(factor.times_plus(own[n], sums[r * each + n]))
                    ends.extend(after)
                final.extend(ends)
            for r in range(number):
                target = place(builder, out, to, INT(r), width)
                for n in range(each):
                    final[1 + r * each + n].store(builder.gep(target, [INT(n * LANES)]))

        def sized(each: int) -> None:
            _choose(builder, tile, {n: partial(multiply, n, each) for n in (TILE, TILE // 2, 1)})

        _choose(builder, lanes, {each * LANES: partial(sized, each) for each in (2, 1)})
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def gather_taps(
    typing, out, to, tap_step, base, shift, row_step, shape, index, values, start, stop
):  # type: ignore[no-untyped-def]
    """Add to the taps of one channel what its events meet: LANES values at each of their places.

    Tap (j, i) of ``shape`` (rows, columns) is out[to + (j columns + i) tap_step:] and adds
    base[shift + index[e] + j row_step + i LANES:] for e in start..stop, times values[e] if
    ``values`` has any type but none.
    """
    signature = types.void(out, _N, _N, base, _N, _N, shape, index, values, _N, _N)
    valued = not isinstance(values, types.NoneType)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, base, index = pointers(context, builder, sig, args, (0, 3, 7))
        given = pointers(context, builder, sig, args, (8,))[0] if valued else None
        _, to, tap_step, _, shift, row_step, shape, _, _, start, stop = args
        rows, columns = (builder.extract_value(shape, n) for n in range(2))

        def gather(first: Value, to: Value, number: int, across: int) -> None:
            """Take ``number`` rows of ``across`` taps."""
            targets = [place(builder, out, to, INT(n), tap_step) for n in range(number * across)]
            begin = [load(builder, target, LANES) for target in targets]
            with running(builder, start, stop, begin) as (k, sums, results):
                own = widen(builder, builder.load(builder.gep(index, [k])))
                factor = None
                if given is not None:
                    factor = splat(builder, builder.load(builder.gep(given, [k])), LANES)
                for j in range(number):
                    line = builder.add(builder.add(first, own), builder.mul(INT(j), row_step))
                    for i in range(across):
                        met = load(
                            builder, builder.gep(base, [builder.add(line, INT(i * LANES))]), LANES
                        )
                        total = sums[j * across + i]
                        results.append(
                            total + met if factor is None else factor.times_plus(met, total)
                        )
            for result, target in zip(results, targets, strict=True):
                result.store(target)

        three = builder.and_(
            builder.icmp_signed("==", columns, INT(TAPS)),
            builder.icmp_signed("==", rows, INT(TAPS)),
        )
        with builder.if_else(three) as (square, other):
            with square:
                gather(shift, to, TAPS, TAPS)
            with other:
                with cgutils.for_range_slice(builder, INT(0), rows, INT(1), INT) as (j, _):
                    with cgutils.for_range_slice(builder, INT(0), columns, INT(1), INT) as (i, _):
                        tap = builder.add(builder.mul(j, columns), i)
                        line = builder.add(shift, builder.mul(j, row_step))
                        gather(
                            builder.add(line, builder.mul(i, INT(LANES))),
                            builder.add(to, builder.mul(tap, tap_step)), 1, 1,
                        )  # fmt: skip
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def product_taps(typing, out, to, steps, base, shift, columns, source, at, shape, channels):  # type: ignore[no-untyped-def]
    """Add to a row of taps of some channels the products of some rows of pixels.

    Tap i of ``columns`` (TAPS or 1) and channel r of ``channels`` (TOGETHER or 1) is
    out[to + i tap_step + r channel_step:], with ``steps`` (tap_step, channel_step), and adds over
    the rows q and pixels k of ``shape`` (rows, row step, pixels, pitch) the products of
    source[at + (q pixels + k) pitch + r] and base[shift + q row_step + (k + i) LANES:].
    """
    signature = types.void(out, _N, steps, base, _N, _N, source, _N, shape, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, base, source = pointers(context, builder, sig, args, (0, 3, 6))
        _, to, steps, _, shift, columns, _, at, shape, channels = args
        tap_step, channel_step = (builder.extract_value(steps, n) for n in range(2))
        rows, row_step, pixels, pitch = (builder.extract_value(shape, n) for n in range(4))

        def products(across: int, number: int) -> None:
            targets = [
                builder.gep(out, [builder.add(
                    builder.add(to, builder.mul(INT(i), tap_step)), builder.mul(INT(r), channel_step)
                )])
                for r in range(number)
                for i in range(across)
            ]  # fmt: skip
            begin = [load(builder, target, LANES) for target in targets]
            with running(builder, INT(0), rows, begin) as (q, outer, final):
                line = builder.add(shift, builder.mul(q, row_step))
                row = builder.add(at, builder.mul(builder.mul(q, pixels), pitch))
                with running(builder, INT(0), pixels, outer) as (k, sums, results):
                    here = builder.add(line, builder.mul(k, INT(LANES)))
                    met = [
                        load(builder, builder.gep(base, [builder.add(here, INT(i * LANES))]), LANES)
                        for i in range(across)
                    ]
                    left = builder.gep(source, [builder.add(row, builder.mul(k, pitch))])
                    for r in range(number):
                        factor = splat(builder, builder.load(builder.gep(left, [INT(r)])), LANES)
                        for i in range(across):
                            results.append(factor.times_plus(met[i], sums[r * across + i]))
                final.extend(results)
            for result, target in zip(final, targets, strict=True):
                result.store(target)

        def wide(across: int) -> None:
            _choose(builder, channels, {n: partial(products, across, n) for n in (TOGETHER, 1)})

        _choose(builder, columns, {across: partial(wide, across) for across in (TAPS, 1)})
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def deal_row(typing, out, to, step, source, at, width):  # type: ignore[no-untyped-def]
    """Copy source[at:at + width], LANES values each ``step`` further in out, from ``to`` on."""
    signature = types.void(out, _N, _N, source, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, source = pointers(context, builder, sig, args, (0, 3))
        _, to, step, _, at, width = args
        parts = builder.sdiv(width, INT(LANES))
        with cgutils.for_range_slice(builder, INT(0), parts, INT(1), INT) as (part, _):
            row = load(builder, place(builder, source, at, part, INT(LANES)), LANES)
            row.store(place(builder, out, to, part, step))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def append_nonzero(typing, source, at, width, index, values, end, first):  # type: ignore[no-untyped-def]
    """Append first + j for each j < width with source[at + j] != 0 to index; return the new end.

    And source[at + j] to ``values``, if that has any type but none. Without branches: LANES entries
    or a part of them are written from each end on, of which those count that are not zero.
    """
    signature = types.intp(source, _N, _N, index, values, _N, _N)
    valued = not isinstance(values, types.NoneType)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        source, index = pointers(context, builder, sig, args, (0, 3))
        given = pointers(context, builder, sig, args, (4,))[0] if valued else None
        _, at, width, _, _, end, first = args
        kind, entry = ir.IntType(32), index.type.pointee
        lanes = _compressible(context, source.type.pointee)
        numbers = ir.Constant(ir.VectorType(kind, lanes), list(range(lanes)))
        parts = builder.sdiv(width, INT(lanes))
        with running(builder, INT(0), parts, [end]) as (part, (to,), ends):
            block = builder.mul(part, INT(lanes))
            row = load(builder, builder.gep(source, [builder.add(at, block)]), lanes)
            marked = builder.fcmp_unordered("!=", row.value, zeros_like(row).value)
            begin = builder.trunc(builder.add(first, block), kind)
            begins = splat(builder, begin, lanes).value
            entries = _compressed(builder, builder.add(begins, numbers), marked)
            if entry.width < kind.width:
                entries = builder.trunc(entries, ir.VectorType(entry, lanes))
            Lanes(builder, entries).store(builder.gep(index, [to]), entry.width // 8)
            if given is not None:
                found = _compressed(builder, row.value, marked)
                Lanes(builder, found).store(builder.gep(given, [to]))
            bits = builder.zext(builder.bitcast(marked, ir.IntType(lanes)), INT)
            ends.append(builder.add(to, builder.ctpop(bits)))
        return ends[0]

    return signature, generate


def _compressible(context: Any, kind: Value) -> int:
    """Return how many numbers a register holds: LLVM compresses several with misaligned stores."""
    wide = "+avx512vl" in context.codegen().magic_tuple()[2]
    return min(LANES, (512 if wide else 128) // (32 if kind == ir.FloatType() else 64))


def _compressed(builder: Value, values: Value, marked: Value) -> Value:
    """Return the marked values one after the other, and anything behind them."""
    kind = values.type
    name = f"llvm.experimental.vector.compress.v{kind.count}{kind.element.intrinsic_name}"
    signature = ir.FunctionType(kind, [kind, marked.type, kind])
    function = cgutils.get_or_insert_function(builder.module, signature, name)
    return builder.call(function, [values, marked, ir.Constant(kind, ir.Undefined)])


def _choose(builder: Value, value: Value, ways: Mapping[int, Callable[[], None]]) -> None:
    """Write code for each of the numbers that a value may be; for the last one in any other case."""
    (number, way), *others = ways.items()
    if not others:
        way()
        return
    with builder.if_else(builder.icmp_signed("==", value, INT(number))) as (yes, no):
        with yes:
            way()
        with no:
            _choose(builder, value, dict(others))


def _zeros(builder: Value, like: Value) -> Lanes:
    """Return a register of zeros of what a pointer points to."""
    return Lanes(builder, ir.Constant(ir.VectorType(like.type.pointee, LANES), None))
