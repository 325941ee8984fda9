"""Sums over events in the vector registers of a CPU: forward, and for gradients of weights.

Arrays are flat, of float32 or float64, and places in them are counted in elements; a row's width
is a multiple of LANES. Nothing is checked: they are called by the kernels alone, inside numba code.
A sum begins with zero and takes its terms in the order of kernel rows, then of events.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

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
)
from hpcfed.learning.stack.vectors import choose, zeros

intrinsic: Any = _intrinsic  # numba publishes no types of it

_N = types.intp

TAPS = 3  # of a kernel row that gather_taps takes at once

# a row of the matrix, what it is multiplied by, and totals: the totals with it
Adding = Callable[[Value, Lanes | None, list[Lanes]], list[Lanes]]


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

        choose(builder, lanes, {count * LANES: partial(gather, count) for count in (4, 2, 1)})
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


@intrinsic
def gather_taps(typing, out, to, tap_step, base, at, shape, index, values, start, stop):  # type: ignore[no-untyped-def]
    """Add to the taps of one channel what its events meet: LANES values at each of their places.

    Tap (j, i) of ``shape`` (rows, columns) is out[to + (j columns + i) tap_step:] and adds
    base[place + index[e] + j row_step + i LANES:] for e in start..stop, with ``at`` (place,
    row_step), times values[e] if ``values`` has any type but none.
    """
    signature = types.void(out, _N, _N, base, at, shape, index, values, _N, _N)
    valued = not isinstance(values, types.NoneType)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, base, index = pointers(context, builder, sig, args, (0, 3, 6))
        given = pointers(context, builder, sig, args, (7,))[0] if valued else None
        _, to, tap_step, _, at, shape, _, _, start, stop = args
        shift, row_step = (builder.extract_value(at, n) for n in range(2))
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
                every = partial(cgutils.for_range_slice, builder, INT(0), step=INT(1), intp=INT)
                with every(stop=rows) as (j, _), every(stop=columns) as (i, _):
                    tap = builder.add(builder.mul(j, columns), i)
                    line = builder.add(shift, builder.mul(j, row_step))
                    gather(
                        builder.add(line, builder.mul(i, INT(LANES))),
                        builder.add(to, builder.mul(tap, tap_step)), 1, 1,
                    )  # fmt: skip
        return context.get_dummy_value()

    return signature, generate


class _Gathering:
    """The arrays of a sum over events, and its loops."""

    def __init__(
        self, context: Value, builder: Value, sig: Value, args: Value, which: tuple[int, ...],
        valued: bool,
    ) -> None:  # fmt: skip
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
        zero = zeros(builder, self.out)
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
