"""Five inner loops over rows of neurons, written for the vector registers of a CPU.

A compiler keeps a running sum of unknown length in memory; here it stays in registers while rows
are added, which makes training two to three times as fast. Every function works on flat arrays of
float32 or float64 and places in them, counted in elements; a row's ``width`` is a multiple of
``LANES``. Nothing is checked: they are called by the kernels alone. To be used inside numba code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as _cgutils
from numba.extending import intrinsic as _intrinsic

intrinsic: Any = _intrinsic  # numba publishes no types of these
cgutils: Any = _cgutils

LANES = 16  # one AVX-512 register of float32
ROWS = 4  # samples that multiply_rows takes at once

_WIDE = 4 * LANES  # keeps four AVX-512 registers busy, enough to hide an addition's latency
_INT = ir.IntType(64)
_N = types.intp
_Value = Any  # llvmlite's values and builders carry no types


@intrinsic
def add_rows(typing, out, to, base, first, width, index, start, stop):  # type: ignore[no-untyped-def]
    """out[to:to + width] += sum over k in start..stop of row index[k] of the matrix at first."""
    signature = types.void(out, _N, base, _N, _N, index, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, base, index = _pointers(context, builder, sig, args, (0, 2, 5))
        _, to, _, first, width, _, start, stop = args
        for block, lanes in _blocks(builder, width, _WIDE):
            target = builder.gep(out, [builder.add(to, block)])
            column = builder.add(first, block)
            begin = _load(builder, target, lanes)
            with _sum(builder, start, stop, [begin]) as (k, sums, results):
                row = _load(builder, _row(builder, base, column, index, k, width), lanes)
                results.append(builder.fadd(sums[0], row))
            _store(builder, results[0], target)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def scatter_row(typing, base, first, width, index, start, stop, source, at):  # type: ignore[no-untyped-def]
    """Add source[at:at + width] to row index[k] of the matrix at first, for k in start..stop."""
    signature = types.void(base, _N, _N, index, _N, _N, source, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        base, index, source = _pointers(context, builder, sig, args, (0, 3, 6))
        _, first, width, _, start, stop, _, at = args
        for block, lanes in _blocks(builder, width, _WIDE):
            row = _load(builder, builder.gep(source, [builder.add(at, block)]), lanes)
            column = builder.add(first, block)
            with cgutils.for_range_slice(builder, start, stop, _INT(1), _INT) as (k, _):
                target = _row(builder, base, column, index, k, width)
                _store(builder, builder.fadd(_load(builder, target, lanes), row), target)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def multiply_rows(typing, out, to, width, left, at, stride, base, first, count):  # type: ignore[no-untyped-def]
    """Add to row r of out the sum over k < count of left[at + r stride + k] times matrix row k.

    For the ROWS rows of out, which lie one after the other from ``to``.
    """
    signature = types.void(out, _N, _N, left, _N, _N, base, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, left, base = _pointers(context, builder, sig, args, (0, 3, 6))
        _, to, width, _, at, stride, _, first, count = args
        lefts = [_place(builder, left, at, _INT(r), stride) for r in range(ROWS)]
        for block, lanes in _blocks(builder, width, 2 * LANES):
            start = builder.add(to, block)
            targets = [_place(builder, out, start, _INT(r), width) for r in range(ROWS)]
            begin = [_load(builder, target, lanes) for target in targets]
            column = builder.add(first, block)
            with _sum(builder, _INT(0), count, begin) as (k, sums, results):
                row = _load(builder, _place(builder, base, column, k, width), lanes)
                for pointer, value in zip(lefts, sums, strict=True):
                    factor = builder.load(builder.gep(pointer, [k]))
                    results.append(_fma(builder, _splat(builder, factor, lanes), row, value))
            for result, target in zip(results, targets, strict=True):
                _store(builder, result, target)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def append_positive(typing, values, at, width, index, end):  # type: ignore[no-untyped-def]
    """Write each j with values[at + j] > 0 to index from ``end`` on; return the new end."""
    signature = types.intp(values, _N, _N, index, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        values, index = _pointers(context, builder, sig, args, (0, 3))
        _, at, width, _, end = args
        place = cgutils.alloca_once_value(builder, end)
        for block, lanes in _blocks(builder, width, _WIDE):
            bits_type = ir.IntType(lanes)
            row = _load(builder, builder.gep(values, [builder.add(at, block)]), lanes)
            positive = builder.fcmp_ordered(">", row, ir.Constant(row.type, None))
            bits = cgutils.alloca_once_value(builder, builder.bitcast(positive, bits_type))
            loop = builder.append_basic_block("spike")
            body = builder.append_basic_block("spike.body")
            done = builder.append_basic_block("spike.done")
            builder.branch(loop)
            builder.position_at_end(loop)
            left = builder.load(bits)
            builder.cbranch(builder.icmp_unsigned("!=", left, bits_type(0)), body, done)
            builder.position_at_end(body)
            lowest = _widen(builder, builder.cttz(left, ir.IntType(1)(1)))
            to = builder.load(place)
            neuron = builder.add(block, lowest)
            builder.store(builder.trunc(neuron, index.type.pointee), builder.gep(index, [to]))
            builder.store(builder.add(to, _INT(1)), place)
            builder.store(builder.and_(left, builder.sub(left, bits_type(1))), bits)
            builder.branch(loop)
            builder.position_at_end(done)
        return builder.load(place)

    return signature, generate


@intrinsic
def turn_block(typing, out, to, pitch, source, at, stride):  # type: ignore[no-untyped-def]
    """Write LANES rows of LANES as columns: out[to + n pitch + k] = source[at + k stride + n]."""
    signature = types.void(out, _N, _N, source, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, source = _pointers(context, builder, sig, args, (0, 3))
        _, to, pitch, _, at, stride = args
        numbers = [_INT(k) for k in range(LANES)]
        rows = [_load(builder, _place(builder, source, at, k, stride), LANES) for k in numbers]
        for half in (1, 2, 4, 8):  # blocks of so many change places across the diagonal
            low = [n if not n & half else LANES + n - half for n in range(LANES)]
            high = [n + half if not n & half else LANES + n for n in range(LANES)]
            for k in range(LANES):
                if not k & half:
                    above, below = rows[k], rows[k + half]
                    rows[k] = _shuffle(builder, above, below, low)
                    rows[k + half] = _shuffle(builder, above, below, high)
        for n, row in zip(numbers, rows, strict=True):
            _store(builder, row, _place(builder, out, to, n, pitch))
        return context.get_dummy_value()

    return signature, generate


def _pointers(
    context: _Value, builder: _Value, sig: _Value, args: _Value, which: tuple[int, ...]
) -> list[_Value]:
    """Return where the data of the arrays among the arguments begin."""
    return [context.make_array(sig.args[n])(context, builder, args[n]).data for n in which]


def _blocks(builder: _Value, width: _Value, wide: int) -> Iterator[tuple[_Value, int]]:
    """Yield (place in the row, lanes) inside two loops: wide blocks, then blocks of LANES."""
    rest = builder.and_(width, _INT(-wide))
    with cgutils.for_range_slice(builder, _INT(0), rest, _INT(wide), _INT) as (block, _):
        yield block, wide
    with cgutils.for_range_slice(builder, rest, width, _INT(LANES), _INT) as (block, _):
        yield block, LANES


@contextmanager
def _sum(
    builder: _Value, start: _Value, stop: _Value, begin: list[_Value]
) -> Iterator[tuple[_Value, list[_Value], list[_Value]]]:
    """Loop k from start to stop with running values in registers.

    Yields k, the values before the step and an empty list for those after it; when the block is
    left, that list holds the final values.
    """
    before = builder.block
    loop, done = builder.append_basic_block("sum"), builder.append_basic_block("sum.done")
    builder.cbranch(builder.icmp_signed("<", start, stop), loop, done)
    builder.position_at_end(loop)
    k = builder.phi(_INT)
    values = [builder.phi(value.type) for value in begin]
    results: list[_Value] = []
    yield k, values, results
    after, following = builder.block, builder.add(k, _INT(1))
    builder.cbranch(builder.icmp_signed("<", following, stop), loop, done)
    for phi, first, later in zip([k, *values], [start, *begin], [following, *results], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(later, after)
    builder.position_at_end(done)
    for n, first in enumerate(begin):
        final = builder.phi(first.type)
        final.add_incoming(first, before)
        final.add_incoming(results[n], after)
        results[n] = final


def _place(builder: _Value, base: _Value, first: _Value, row: _Value, stride: _Value) -> _Value:
    return builder.gep(base, [builder.add(first, builder.mul(row, stride))])


def _row(
    builder: _Value, base: _Value, column: _Value, index: _Value, k: _Value, width: _Value
) -> _Value:
    row = _widen(builder, builder.load(builder.gep(index, [k])))
    return _place(builder, base, column, row, width)


def _widen(builder: _Value, value: _Value) -> _Value:
    return value if value.type.width == _INT.width else builder.zext(value, _INT)


def _load(builder: _Value, pointer: _Value, lanes: int) -> _Value:
    vector = ir.VectorType(pointer.type.pointee, lanes)
    loaded = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    loaded.align = 4
    return loaded


def _store(builder: _Value, value: _Value, pointer: _Value) -> None:
    stored = builder.store(value, builder.bitcast(pointer, value.type.as_pointer()))
    stored.align = 4


def _fma(builder: _Value, factor: _Value, row: _Value, value: _Value) -> _Value:
    vector = row.type
    name = f"llvm.fma.v{vector.count}{vector.element.intrinsic_name}"
    kind = ir.FunctionType(vector, [vector] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, name)
    return builder.call(function, [factor, row, value])


def _shuffle(builder: _Value, one: _Value, other: _Value, lanes: list[int]) -> _Value:
    kind = ir.VectorType(ir.IntType(32), len(lanes))
    return builder.shuffle_vector(one, other, ir.Constant(kind, lanes))


def _splat(builder: _Value, scalar: _Value, lanes: int) -> _Value:
    vector = ir.VectorType(scalar.type, lanes)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
    return builder.shuffle_vector(single, single, zeros)
