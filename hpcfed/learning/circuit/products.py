"""Sums over rows that need no order, written for a CPU's vector registers: see ``rows``.

Matrices are flat, and a row's ``width`` is a multiple of ``rows.ROW_LANES``. Nothing is checked:
the kernel alone calls them. To be used inside numba code.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir
from numba import types

from hpcfed.learning.circuit.rows import (
    beginnings,
    intrinsic,
    number,
    row_blocks,
)
from hpcfed.learning.event.lanes import (
    INT,
    Lanes,
    Value,
    load,
    place,
    pointers,
    running,
    zeros_like,
)

_SUMS = 4
_N = types.intp


@intrinsic
def add_row(typing, out, to, width, base, first):  # type: ignore[no-untyped-def]
    """out[to:to + width] += base[first:first + width]."""
    signature = types.void(out, _N, _N, base, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, base = pointers(context, builder, sig, args, (0, 3))
        _, to, width, _, first = args
        for block, lanes in row_blocks(builder, width):
            target = builder.gep(out, [builder.add(to, block)])
            row = load(builder, builder.gep(base, [builder.add(first, block)]), lanes)
            (load(builder, target, lanes) + row).store(target)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_product(typing, out, to, width, base, first, stride, count, factors, at):  # type: ignore[no-untyped-def]
    """out[to:to + width] += sum over k < count of factors[at + k] times row k."""
    signature = types.void(out, _N, _N, base, _N, _N, _N, factors, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, base, factors = pointers(context, builder, sig, args, (0, 3, 7))
        _, to, width, _, first, stride, count, _, at = args

        for block, lanes in row_blocks(builder, width):
            target = builder.gep(out, [builder.add(to, block)])
            column = builder.add(first, block)
            begin = load(builder, target, lanes)

            def term(k: Value, total: Lanes, column: Value = column, lanes: int = lanes) -> Lanes:
                row = load(builder, place(builder, base, column, k, stride), lanes)
                factor = number(builder, factors, builder.add(at, k), lanes)
                return factor.times_plus(row, total)

            _sum(builder, count, begin, term).store(target)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def sum_rows(typing, out, to, width, base, stride, index, begin, end):  # type: ignore[no-untyped-def]
    """out[to:to + width] = sum over begin <= k < end of rows index[k] of ``base``."""
    signature = types.void(out, _N, _N, base, _N, index, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, base, index = pointers(context, builder, sig, args, (0, 3, 5))
        _, to, width, _, stride, _, begin, end = args
        for block, lanes in row_blocks(builder, width):
            zero = Lanes(builder, ir.Constant(ir.VectorType(out.type.pointee, lanes), None))

            def term(k: Value, total: Lanes, block: Value = block, lanes: int = lanes) -> Lanes:
                line = builder.load(builder.gep(index, [builder.add(begin, k)]))
                return total + load(builder, place(builder, base, block, line, stride), lanes)

            total = _sum(builder, builder.sub(end, begin), zero, term)
            total.store(builder.gep(out, [builder.add(to, block)]))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def correlate(typing, outs, width, bases, places, factors):  # type: ignore[no-untyped-def]
    """Write to rows ``outs`` 1 + sums over k of factors[y] times what is y = places[k] further on.

    Further on than where each of ``bases`` begins, of which there are as many as ``outs``.
    """
    signature = types.void(outs, _N, bases, places, factors)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        outs, bases = (beginnings(context, builder, sig.args[n], args[n]) for n in (0, 2))
        places, factors = pointers(context, builder, sig, args, (3, 4))
        count = builder.extract_value(
            context.make_array(sig.args[3])(context, builder, args[3]).shape, 0
        )
        for block, lanes in row_blocks(builder, args[1]):
            starts = [builder.gep(base, [block]) for base in bases]
            kind = ir.VectorType(factors.type.pointee, lanes)
            ones = [Lanes(builder, ir.Constant(kind, [1.0] * lanes))] * len(outs)

            def terms(
                k: Value, totals: list[Lanes], starts: list[Value] = starts, lanes: int = lanes
            ) -> list[Lanes]:
                y = builder.load(builder.gep(places, [k]))
                factor = number(builder, factors, y, lanes)
                return [
                    factor.times_plus(load(builder, builder.gep(start, [y]), lanes), total)
                    for start, total in zip(starts, totals, strict=True)
                ]

            for out, total in zip(outs, _sums(builder, count, ones, terms), strict=True):
                total.store(builder.gep(out, [block]))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def spread(typing, out, width, base, first, columns, count):  # type: ignore[no-untyped-def]
    """Write rows i < count of ``out``: sums over k of columns[k][i] times row k of ``base``.

    Rows lie ``width`` apart. As many as ``columns`` are kept in registers.
    """
    signature = types.void(out, _N, base, _N, columns, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, base = pointers(context, builder, sig, args, (0, 2))
        columns = beginnings(context, builder, sig.args[4], args[4])
        _, width, _, first, _, count = args
        for block, lanes in row_blocks(builder, width):
            start = builder.add(first, block)
            rows = [
                load(builder, place(builder, base, start, INT(k), width), lanes)
                for k in range(len(columns))
            ]
            with running(builder, INT(0), count, []) as (i, _, _):
                total = zeros_like(rows[0])
                for row, column in zip(rows, columns, strict=True):
                    total = number(builder, column, i, lanes).times_plus(row, total)
                total.store(place(builder, out, block, i, width))
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def gather(typing, out, first, width, base, columns, count):  # type: ignore[no-untyped-def]
    """Add to rows k of ``out`` the sums over i < count of columns[k][i] times row i of ``base``."""
    signature = types.void(out, _N, _N, base, columns, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, base = pointers(context, builder, sig, args, (0, 3))
        columns = beginnings(context, builder, sig.args[4], args[4])
        _, first, width, _, _, count = args
        for block, lanes in row_blocks(builder, width):
            start = builder.add(first, block)
            targets = [place(builder, out, start, INT(k), width) for k in range(len(columns))]
            begin = [load(builder, target, lanes) for target in targets]
            with running(builder, INT(0), count, begin) as (i, totals, results):
                row = load(builder, place(builder, base, block, i, width), lanes)
                for column, total in zip(columns, totals, strict=True):
                    results.append(number(builder, column, i, lanes).times_plus(row, total))
            for result, target in zip(results, targets, strict=True):
                result.store(target)
        return context.get_dummy_value()

    return signature, generate


def _sums(
    builder: Value,
    count: Value,
    begin: list[Lanes],
    terms: Callable[[Value, list[Lanes]], list[Lanes]],
) -> list[Lanes]:
    """Return ``begin`` plus ``count`` terms, each in several sums: one would wait for itself."""
    nothing, many = [zeros_like(one) for one in begin], len(begin)
    parts = max(1, _SUMS // many)
    rounds = builder.udiv(count, INT(parts))
    with running(builder, INT(0), rounds, begin + nothing * (parts - 1)) as (k, totals, results):
        first = builder.mul(k, INT(parts))
        for n in range(parts):
            own = totals[n * many : (n + 1) * many]
            results += terms(builder.add(first, INT(n)), own)
    while len(results) > many:
        half = len(results) // 2
        results = [one + other for one, other in zip(results[:half], results[half:], strict=True)]
    done = builder.mul(rounds, INT(parts))
    with running(builder, done, count, results) as (k, totals, last):
        last += terms(k, totals)
    return last


def _sum(
    builder: Value, count: Value, begin: Lanes, term: Callable[[Value, Lanes], Lanes]
) -> Lanes:
    return _sums(builder, count, [begin], lambda k, totals: [term(k, totals[0])])[0]
