"""Products of all values in the vector registers of a CPU: forward, and for gradients of weights.

Arrays are flat, of float32 or float64, and places in them are counted in elements; a row's width
is a multiple of LANES. Nothing is checked: they are called by the kernels alone, inside numba code.
Terms come in the order of gathering: a sum of the events alone has the same bits, since adding zero
changes none.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _intrinsic

from hpcfed.learning.event.lanes import (
    INT,
    LANES,
    Value,
    cgutils,
    load,
    place,
    pointers,
    running,
    shuffle,
    splat,
    widen,
)
from hpcfed.learning.stack.gathering import TAPS
from hpcfed.learning.stack.vectors import choose, zeros

intrinsic: Any = _intrinsic  # numba publishes no types of it

_N = types.intp

TILES = (12, 4, 1)  # pixels that multiply_tile takes at once
TOGETHER = 8  # channels that product_taps takes at once


@intrinsic
def multiply_tile(typing, out, targets, column, source, places, tile, shape, span, base, matrix):  # type: ignore[no-untyped-def]
    """Write registers of some pixels, ``tile`` (the first, one of TILES): sums of products.

    ``shape`` is (planes, plane step, rows, row step, count): pixel n has the sum over planes p,
    rows q of ``span`` (from, to) and k < count of source[places[n] + p plane_step + q row_step + k]
    times row (p rows + q) count + k of the matrix. With ``matrix`` (place, pitch, lanes) the first
    ``lanes`` of a row, two registers or one, come to out[targets[n] + column:].
    """
    signature = types.void(
        out, targets, _N, source, places, tile, shape, span, base, matrix
    )  # fmt: skip

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        which = (0, 1, 3, 4, 8)
        out, targets, source, places, base = pointers(context, builder, sig, args, which)
        _, _, column, _, _, tile, shape, span, _, matrix = args
        at, size = (builder.extract_value(tile, n) for n in range(2))
        low, high = (builder.extract_value(span, n) for n in range(2))
        first, pitch, lanes = (builder.extract_value(matrix, n) for n in range(3))
        planes, plane_step, rows, row_step, count = (
            builder.extract_value(shape, n) for n in range(5)
        )
        skipped = builder.mul(builder.mul(builder.sub(rows, builder.sub(high, low)), count), pitch)
        begin_row = builder.add(first, builder.mul(builder.mul(low, count), pitch))

        def listed(array: Value, number: int) -> list[Value]:
            numbers = [builder.add(at, INT(r)) for r in range(number)]
            return [widen(builder, builder.load(builder.gep(array, [n]))) for n in numbers]

        def multiply(number: int, each: int) -> None:
            starts = listed(places, number)
            begin = [begin_row, *[zeros(builder, out)] * (number * each)]
            with running(builder, INT(0), planes, begin) as (p, outer, final):
                ahead = builder.mul(p, plane_step)
                with running(builder, low, high, outer) as (q, middle, ends):
                    shift = builder.add(ahead, builder.mul(q, row_step))
                    lefts = [builder.gep(source, [builder.add(one, shift)]) for one in starts]
                    with running(builder, INT(0), count, middle) as (k, (row, *sums), after):
                        after.append(builder.add(row, pitch))
                        line = [builder.gep(base, [builder.add(row, INT(n * LANES))])
                                for n in range(each)]  # fmt: skip
                        own = [load(builder, pointer, LANES) for pointer in line]
                        for r, left in enumerate(lefts):
                            factor = splat(builder, builder.load(builder.gep(left, [k])), LANES)
                            for n in range(each):
                                after.append(factor.times_plus(own[n], sums[r * each + n]))
                    ends.extend(after)
                row, *sums = ends
                final.extend([builder.add(row, skipped), *sums])
            for r, target in enumerate(listed(targets, number)):
                for n in range(each):
                    to = builder.add(builder.add(target, column), INT(n * LANES))
                    final[1 + r * each + n].store(builder.gep(out, [to]))

        def sized(each: int) -> None:
            choose(builder, size, {n: partial(multiply, n, each) for n in TILES})

        choose(builder, lanes, {each * LANES: partial(sized, each) for each in (2, 1)})
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def product_marked(typing, out, to, lanes, source, at, shape, weights, first, marks, word):  # type: ignore[no-untyped-def]
    """Write to out[to:to + lanes] the sums of those channels of a pixel that are marked, else zero.

    ``shape`` is (planes, plane step, row step): a sum is of the products of the TAPS x TAPS
    registers from source[at] on in each plane and a row of weights, those of channel c at
    first + c planes TAPS TAPS LANES. ``lanes`` is MOST, half or a quarter of it.
    """
    signature = types.void(out, _N, _N, source, _N, shape, weights, _N, marks, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, source, weights, marks = pointers(context, builder, sig, args, (0, 3, 6, 8))
        _, to, lanes, _, at, shape, _, first, _, word = args
        planes, plane_step, row_step = (builder.extract_value(shape, n) for n in range(3))
        each = TAPS * TAPS * LANES
        pitch = builder.mul(planes, INT(each))

        def sums(number: int) -> None:
            """Take ``number`` times LANES channels."""
            for n in range(number):
                zeros(builder, out).store(builder.gep(out, [builder.add(to, INT(n * LANES))]))
            kind = ir.IntType(number * LANES)
            place_of = builder.bitcast(builder.gep(marks, [word]), kind.as_pointer())
            found = builder.load(place_of)
            found.align = 2
            bits = widen(builder, found)
            count = builder.ctpop(bits)
            with cgutils.for_range_slice(builder, INT(0), planes, INT(1), INT) as (p, _):
                begin = builder.add(at, builder.mul(p, plane_step))
                own = [
                    load(
                        builder,
                        place(
                            builder, source, builder.add(begin, INT(i * LANES)), INT(q), row_step
                        ),
                        LANES,
                    )
                    for q in range(TAPS)
                    for i in range(TAPS)
                ]
                ahead = builder.add(first, builder.mul(p, INT(each)))
                with running(builder, INT(0), count, [bits]) as (_, (left,), after):
                    channel = builder.cttz(left, ir.Constant(ir.IntType(1), 1))
                    line = builder.add(ahead, builder.mul(channel, pitch))
                    factors = [
                        load(
                            builder,
                            builder.gep(weights, [builder.add(line, INT(n * LANES))]),
                            LANES,
                        )
                        for n in range(TAPS * TAPS)
                    ]
                    rows = []
                    for q in range(0, TAPS * TAPS, TAPS):
                        row = own[q] * factors[q]
                        for n in range(q + 1, q + TAPS):
                            row = own[n].times_plus(factors[n], row)
                        rows.append(row)
                    total = (rows[0] + rows[1]) + rows[2]
                    half = LANES // 2
                    while half:
                        low = shuffle(total, total, list(range(half)))
                        total = low + shuffle(total, total, list(range(half, 2 * half)))
                        half //= 2
                    target = builder.gep(out, [builder.add(to, channel)])
                    whole = builder.extract_element(total.value, ir.IntType(32)(0))
                    builder.store(builder.fadd(builder.load(target), whole), target)
                    after.append(builder.and_(left, builder.sub(left, INT(1))))

        choose(builder, lanes, {count * LANES: partial(sums, count) for count in (4, 2, 1)})
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
            taps = [builder.add(to, builder.mul(INT(i), tap_step)) for i in range(across)]
            targets = [
                place(builder, out, tap, INT(r), channel_step)
                for r in range(number)
                for tap in taps
            ]
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
            choose(builder, channels, {n: partial(products, across, n) for n in (TOGETHER, 1)})

        choose(builder, columns, {across: partial(wide, across) for across in (TAPS, 1)})
        return context.get_dummy_value()

    return signature, generate
