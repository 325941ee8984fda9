"""Rows of values in the vector registers of a CPU: dealt to planes, and listed where not zero.

Arrays are flat, of float32 or float64, and places in them are counted in elements; a row's width
is a multiple of LANES. Nothing is checked: they are called by the kernels alone, inside numba code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    data,
    load,
    place,
    pointers,
    running,
    splat,
    zeros_like,
)

intrinsic: Any = _intrinsic  # numba publishes no types of it

_N = types.intp

MOST = 4 * LANES  # channels whose weights lie side by side, at most


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
def deal_back(typing, out, to, step, factors, change, from_, source, at, width):  # type: ignore[no-untyped-def]
    """Do the same with gain change + (slope x + rest) of change[from_:] and x = source[at:].

    Gain, slope and rest are the arrays ``factors``.
    """
    signature = types.void(out, _N, _N, factors, change, _N, source, _N, _N)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, change, source = pointers(context, builder, sig, args, (0, 4, 6))
        _, to, step, factors, _, from_, _, at, width = args
        gain, slope, rest = (
            data(context, builder, kind, builder.extract_value(factors, n))
            for n, kind in enumerate(sig.args[3])
        )
        parts = builder.sdiv(width, INT(LANES))
        with cgutils.for_range_slice(builder, INT(0), parts, INT(1), INT) as (part, _):
            by, given, along, x, beyond = (
                load(builder, place(builder, array, first, part, INT(LANES)), LANES)
                for array, first in (
                    (gain, INT(0)), (change, from_), (slope, INT(0)), (source, at), (rest, INT(0)),
                )
            )  # fmt: skip
            (by * given + (along * x + beyond)).store(place(builder, out, to, part, step))
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


def choose(builder: Value, value: Value, ways: Mapping[int, Callable[[], None]]) -> None:
    """Write code for each number that a value may be; the last one's for any other, too."""
    (number, way), *others = ways.items()
    if not others:
        way()
        return
    with builder.if_else(builder.icmp_signed("==", value, INT(number))) as (yes, no):
        with yes:
            way()
        with no:
            choose(builder, value, dict(others))


def zeros(builder: Value, like: Value) -> Lanes:
    """Return a register of zeros of what a pointer points to."""
    return Lanes(builder, ir.Constant(ir.VectorType(like.type.pointee, LANES), None))
