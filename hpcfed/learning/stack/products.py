"""Products of all values in the vector registers of a CPU: forward, and for gradients of weights.

Arrays are flat, of float32 or float64, and places in them are counted in elements; a row's width
is a multiple of LANES. Nothing is checked: they are called by the kernels alone, inside numba code.
Terms come in the order of gathering: a sum of the events alone has the same bits, since adding zero
changes none.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from numba import types
from numba.extending import intrinsic as _intrinsic

from hpcfed.learning.event.lanes import (
    INT,
    LANES,
    load,
    place,
    pointers,
    running,
    splat,
    widen,
)
from hpcfed.learning.stack.gathering import TAPS
from hpcfed.learning.stack.vectors import choose, zeros

intrinsic: Any = _intrinsic  # numba publishes no types of it

_N = types.intp

TILE = 8  # pixels that multiply_tile takes at once, at most
TOGETHER = 8  # channels that product_taps takes at once


@intrinsic
def multiply_tile(typing, out, to, width, lanes, source, places, at, tile, shape, base, matrix):  # type: ignore[no-untyped-def]
    """Write ``lanes`` values of ``tile`` rows of out, ``width`` apart from ``to`` on: products.

    ``shape`` is (planes, plane step, rows, row step, count): row r has the sum over planes p, rows
    q and k < count of source[places[at + r] + p plane_step + q row_step + k] times the next row of
    the matrix, whose place and pitch ``matrix`` says. A tile is TILE, half of it or 1; lanes are
    two registers or one.
    """
    signature = types.void(out, _N, _N, _N, source, places, _N, _N, shape, base, matrix)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, source, places, base = pointers(context, builder, sig, args, (0, 4, 5, 9))
        _, to, width, lanes, _, _, at, tile, shape, _, matrix = args
        first, pitch = (builder.extract_value(matrix, n) for n in range(2))
        planes, plane_step, rows, row_step, count = (
            builder.extract_value(shape, n) for n in range(5)
        )

        def multiply(number: int, each: int) -> None:
            starts = [
                widen(builder, builder.load(builder.gep(places, [builder.add(at, INT(r))])))
                for r in range(number)
            ]
            begin = [first, *[zeros(builder, out)] * (number * each)]
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
            choose(builder, tile, {n: partial(multiply, n, each) for n in (TILE, TILE // 2, 1)})

        choose(builder, lanes, {each * LANES: partial(sized, each) for each in (2, 1)})
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
