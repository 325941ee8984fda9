"""Arithmetic on neurons that lie side by side: equations in Python become a CPU's vector code.

A compiler keeps what changes from bin to bin, or from row to row, in memory; written like this it
stays in registers, which makes training several times as fast. Functions that use these classes are
numba's intrinsics: they run while a kernel is compiled. None of it checks bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils as _cgutils

cgutils: Any = _cgutils  # numba and llvmlite publish no types of these
Value = Any
INT = ir.IntType(64)

LANES = 16  # one AVX-512 register of float32; a row's width is a multiple of it


@dataclass(frozen=True)
class Lanes:
    """Numbers (lanes,) of one dtype, or the answers to a comparison of them."""

    builder: Value
    value: Value

    def __add__(self, other: Lanes) -> Lanes:
        return Lanes(self.builder, self.builder.fadd(self.value, other.value))

    def __sub__(self, other: Lanes) -> Lanes:
        return Lanes(self.builder, self.builder.fsub(self.value, other.value))

    def __mul__(self, other: Lanes) -> Lanes:
        return Lanes(self.builder, self.builder.fmul(self.value, other.value))

    def __truediv__(self, other: Lanes) -> Lanes:
        return Lanes(self.builder, self.builder.fdiv(self.value, other.value))

    def __gt__(self, other: Lanes) -> Lanes:
        return Lanes(self.builder, self.builder.fcmp_ordered(">", self.value, other.value))

    def __neg__(self) -> Lanes:
        return Lanes(self.builder, self.builder.fneg(self.value))

    def __abs__(self) -> Lanes:
        return self._call("fabs", self)

    def times_plus(self, factor: Lanes, term: Lanes) -> Lanes:
        """Return self * factor + term, rounded once."""
        return self._call("fma", self, factor, term)

    def larger(self, other: Lanes) -> Lanes:
        """Return the larger of each two."""
        return (self > other).choose(self, other)

    def choose(self, yes: Lanes, no: Lanes) -> Lanes:
        """Return numbers of ``yes`` where a comparison holds, else of ``no``."""
        return Lanes(self.builder, self.builder.select(self.value, yes.value, no.value))

    def bits(self) -> Value:
        """Return a comparison's answers as one integer, the first neuron's in the lowest bit."""
        return self.builder.bitcast(self.value, ir.IntType(self.value.type.count))

    def store(self, pointer: Value, align: int = 4) -> None:
        """Write the numbers from ``pointer`` on, which lies at a multiple of ``align`` bytes."""
        target = self.builder.bitcast(pointer, self.value.type.as_pointer())
        self.builder.store(self.value, target).align = align

    def _call(self, name: str, *arguments: Lanes) -> Lanes:
        vector = self.value.type
        kind = ir.FunctionType(vector, [vector] * len(arguments))
        name = f"llvm.{name}.v{vector.count}{vector.element.intrinsic_name}"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return Lanes(self.builder, self.builder.call(function, [one.value for one in arguments]))


def load(builder: Value, pointer: Value, lanes: int) -> Lanes:
    """Read the numbers from ``pointer`` on."""
    vector = ir.VectorType(pointer.type.pointee, lanes)
    loaded = builder.load(builder.bitcast(pointer, vector.as_pointer()))
    loaded.align = 4
    return Lanes(builder, loaded)


def splat(builder: Value, scalar: Value, lanes: int) -> Lanes:
    """Return a number in all lanes."""
    vector = ir.VectorType(scalar.type, lanes)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), lanes), None)
    return Lanes(builder, builder.shuffle_vector(single, single, zeros))


def zeros_like(lanes: Lanes) -> Lanes:
    """Return zeros of the same dtype and number."""
    return Lanes(lanes.builder, ir.Constant(lanes.value.type, None))


def ones_like(lanes: Lanes) -> Lanes:
    """Return ones of the same dtype and number."""
    kind = lanes.value.type
    return Lanes(lanes.builder, ir.Constant(kind, [1.0] * kind.count))


def shuffle(one: Lanes, other: Lanes, places: list[int]) -> Lanes:
    """Return the lanes of both, one after the other, that are at ``places``."""
    kind = ir.VectorType(ir.IntType(32), len(places))
    lanes = one.builder.shuffle_vector(one.value, other.value, ir.Constant(kind, places))
    return Lanes(one.builder, lanes)


def place(builder: Value, base: Value, first: Value, row: Value, stride: Value) -> Value:
    """Return where row number ``row`` begins, with row 0 at ``first``."""
    return builder.gep(base, [builder.add(first, builder.mul(row, stride))])


def matrix_row(
    builder: Value, base: Value, column: Value, index: Value, k: Value, width: Value
) -> Value:
    """Return where row index[k] of a matrix begins, with its row 0 at ``column``."""
    row = widen(builder, builder.load(builder.gep(index, [k])))
    return place(builder, base, column, row, width)


def widen(builder: Value, value: Value) -> Value:
    """Return an unsigned integer as one of 64 bits."""
    return value if value.type.width == INT.width else builder.zext(value, INT)


def blocks(builder: Value, width: Value, wide: int) -> Iterator[tuple[Value, int]]:
    """Yield (place in the row, lanes) inside two loops: wide blocks, then blocks of LANES."""
    rest = builder.and_(width, INT(-wide))
    with cgutils.for_range_slice(builder, INT(0), rest, INT(wide), INT) as (block, _):
        yield block, wide
    with cgutils.for_range_slice(builder, rest, width, INT(LANES), INT) as (block, _):
        yield block, LANES


@contextmanager
def running(
    builder: Value, start: Value, stop: Value, begin: Sequence[Lanes | Value]
) -> Iterator[tuple[Value, list[Any], list[Any]]]:
    """Loop k from start to stop with running values in registers.

    Yields k, the values before the step and an empty list for those after it; when the block is
    left, that list holds the final values.
    """
    before = builder.block
    loop, done = builder.append_basic_block("loop"), builder.append_basic_block("loop.done")
    builder.cbranch(builder.icmp_signed("<", start, stop), loop, done)
    builder.position_at_end(loop)
    k = builder.phi(INT)
    phis = [builder.phi(_bare(first).type) for first in begin]
    results: list[Any] = []
    yield k, [_like(first, phi) for first, phi in zip(begin, phis, strict=True)], results
    after, following = builder.block, builder.add(k, INT(1))
    builder.cbranch(builder.icmp_signed("<", following, stop), loop, done)
    steps = zip([k, *phis], [start, *begin], [following, *results], strict=True)
    for phi, first, later in steps:
        phi.add_incoming(_bare(first), before)
        phi.add_incoming(_bare(later), after)
    builder.position_at_end(done)
    for n, first in enumerate(begin):
        final = builder.phi(_bare(first).type)
        final.add_incoming(_bare(first), before)
        final.add_incoming(_bare(results[n]), after)
        results[n] = _like(first, final)


def _bare(value: Lanes | Value) -> Value:
    return value.value if isinstance(value, Lanes) else value


def _like(pattern: Lanes | Value, value: Value) -> Lanes | Value:
    return Lanes(pattern.builder, value) if isinstance(pattern, Lanes) else value


def pointers(
    context: Value, builder: Value, sig: Value, args: Value, which: tuple[int, ...]
) -> list[Value]:
    """Return where the data of the arrays among the arguments begin."""
    return [data(context, builder, sig.args[n], args[n]) for n in which]


def data(context: Value, builder: Value, kind: Value, array: Value) -> Value:
    """Return where the data of an array begin."""
    return context.make_array(kind)(context, builder, array).data


def fields(builder: Value, kind: Value, value: Value) -> dict[str, tuple[Value, Value]]:
    """Return the fields of a NamedTuple: numba's type and LLVM's value of each."""
    return {
        name: (kind.types[n], builder.extract_value(value, n)) for n, name in enumerate(kind.fields)
    }


def prefetch(builder: Value, pointer: Value) -> None:
    """Tell the processor that a place will be used soon."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    address = builder.bitcast(pointer, byte)
    builder.call(function, [address, number(0), number(3), number(1)])
