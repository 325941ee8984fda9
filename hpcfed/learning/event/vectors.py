"""Five inner loops over rows of neurons, written for the vector registers of a CPU.

Every function works on flat arrays of float32 or float64 and places in them, counted in elements; a
row's ``width`` is a multiple of ``LANES``. Nothing is checked: they are called by the kernels
alone. To be used inside numba code.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _intrinsic

from hpcfed.learning.event.lanes import (
    INT,
    LANES,
    blocks,
    cgutils,
    load,
    matrix_row,
    place,
    pointers,
    running,
    shuffle,
    splat,
    widen,
    zeros_like,
)

intrinsic: Any = _intrinsic  # numba publishes no types of it

ROWS = 4  # samples that multiply_rows takes at once

_WIDE = 4 * LANES  # keeps four AVX-512 registers busy, enough to hide an addition's latency
_N = types.intp


@intrinsic
def add_rows(typing, out, to, base, first, width, index, start, stop):  # type: ignore[no-untyped-def]
    """out[to:to + width] += sum over k in start..stop of row index[k] of the matrix at first."""
    signature = types.void(out, _N, base, _N, _N, index, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, base, index = pointers(context, builder, sig, args, (0, 2, 5))
        _, to, _, first, width, _, start, stop = args
        for block, lanes in blocks(builder, width, _WIDE):
            target = builder.gep(out, [builder.add(to, block)])
            column = builder.add(first, block)
            begin = load(builder, target, lanes)
            with running(builder, start, stop, [begin]) as (k, (total,), results):
                row = matrix_row(builder, base, column, index, k, width)
                results.append(total + load(builder, row, lanes))
            results[0].store(target)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def scatter_row(typing, base, first, width, index, start, stop, source, at):  # type: ignore[no-untyped-def]
    """Add source[at:at + width] to row index[k] of the matrix at first, for k in start..stop."""
    signature = types.void(base, _N, _N, index, _N, _N, source, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        base, index, source = pointers(context, builder, sig, args, (0, 3, 6))
        _, first, width, _, start, stop, _, at = args
        for block, lanes in blocks(builder, width, _WIDE):
            row = load(builder, builder.gep(source, [builder.add(at, block)]), lanes)
            column = builder.add(first, block)
            with running(builder, start, stop, []) as (k, _, _):
                target = matrix_row(builder, base, column, index, k, width)
                (load(builder, target, lanes) + row).store(target)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def multiply_rows(typing, out, to, width, left, at, stride, base, first, count, rows):  # type: ignore[no-untyped-def]
    """Add to row r of out the sum over k < count of left[at + r stride + k] times matrix row k.

    For the ``rows`` rows of out, ROWS or one, which lie one after the other from ``to``.
    """
    signature = types.void(out, _N, _N, left, _N, _N, base, _N, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, left, base = pointers(context, builder, sig, args, (0, 3, 6))
        _, to, width, _, at, stride, _, first, count, rows = args

        def multiply(rows: int) -> None:
            lefts = [place(builder, left, at, INT(r), stride) for r in range(rows)]
            for block, lanes in blocks(builder, width, 2 * LANES):
                start = builder.add(to, block)
                targets = [place(builder, out, start, INT(r), width) for r in range(rows)]
                begin = [load(builder, target, lanes) for target in targets]
                column = builder.add(first, block)
                with running(builder, INT(0), count, begin) as (k, sums, results):
                    row = load(builder, place(builder, base, column, k, width), lanes)
                    for pointer, total in zip(lefts, sums, strict=True):
                        factor = splat(builder, builder.load(builder.gep(pointer, [k])), lanes)
                        results.append(factor.times_plus(row, total))
                for result, target in zip(results, targets, strict=True):
                    result.store(target)

        with builder.if_else(builder.icmp_signed("==", rows, INT(ROWS))) as (several, one):
            with several:
                multiply(ROWS)
            with one:
                multiply(1)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def append_positive(typing, values, at, width, index, end):  # type: ignore[no-untyped-def]
    """Write each j with values[at + j] > 0 to index from ``end`` on; return the new end."""
    signature = types.intp(values, _N, _N, index, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        values, index = pointers(context, builder, sig, args, (0, 3))
        _, at, width, _, end = args
        free = cgutils.alloca_once_value(builder, end)
        for block, lanes in blocks(builder, width, _WIDE):
            row = load(builder, builder.gep(values, [builder.add(at, block)]), lanes)
            positive = (row > zeros_like(row)).bits()
            bits = cgutils.alloca_once_value(builder, positive)
            loop = builder.append_basic_block("spike")
            body = builder.append_basic_block("spike.body")
            done = builder.append_basic_block("spike.done")
            builder.branch(loop)
            builder.position_at_end(loop)
            left = builder.load(bits)
            builder.cbranch(builder.icmp_unsigned("!=", left, left.type(0)), body, done)
            builder.position_at_end(body)
            lowest = widen(builder, builder.cttz(left, ir.IntType(1)(1)))
            to = builder.load(free)
            neuron = builder.add(block, lowest)
            builder.store(builder.trunc(neuron, index.type.pointee), builder.gep(index, [to]))
            builder.store(builder.add(to, INT(1)), free)
            builder.store(builder.and_(left, builder.sub(left, left.type(1))), bits)
            builder.branch(loop)
            builder.position_at_end(done)
        return builder.load(free)

    return signature, generate


@intrinsic
def turn_block(typing, out, to, pitch, source, at, stride):  # type: ignore[no-untyped-def]
    """Write LANES rows of LANES as columns: out[to + n pitch + k] = source[at + k stride + n]."""
    signature = types.void(out, _N, _N, source, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, source = pointers(context, builder, sig, args, (0, 3))
        _, to, pitch, _, at, stride = args
        numbers = [INT(k) for k in range(LANES)]
        rows = [load(builder, place(builder, source, at, k, stride), LANES) for k in numbers]
        for half in (1, 2, 4, 8):  # blocks of so many change places across the diagonal
            low = [n if not n & half else LANES + n - half for n in range(LANES)]
            high = [n + half if not n & half else LANES + n for n in range(LANES)]
            for k in range(LANES):
                if not k & half:
                    above, below = rows[k], rows[k + half]
                    rows[k], rows[k + half] = (shuffle(above, below, n) for n in (low, high))
        for n, row in zip(numbers, rows, strict=True):
            row.store(place(builder, out, to, n, pitch))
        return context.get_dummy_value()

    return signature, generate
