"""Inner loops over rows of weights of many synapses, written for a CPU's vector registers.

Matrices are flat: row y begins at ``first + y stride``. A row's ``width`` is a multiple of
``ROW_LANES``. Nothing is checked: the kernels alone call them. To be used inside numba code.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from numba import types
from numba.extending import intrinsic as _intrinsic

from hpcfed.learning.event.lanes import (
    INT,
    Lanes,
    Value,
    cgutils,
    data,
    fields,
    load,
    place,
    pointers,
    running,
    splat,
)

intrinsic: Any = _intrinsic  # numba publishes no types of it

ROW_LANES = 4  # few classes have short rows

_BLOCKS = (32, 16, 8, ROW_LANES)
_N = types.intp


def padded(length: int, lanes: int = ROW_LANES) -> int:
    """Return the next multiple of ``lanes``."""
    return -(-length // lanes) * lanes


@intrinsic
def add_up_rows(typing, out, to, width, base, first, stride, index, count, factors):  # type: ignore[no-untyped-def]
    """out[to:to + width] += sum over k < count of factors[y] times row y = index[k]."""
    signature = types.void(out, _N, _N, base, _N, _N, index, _N, factors)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        out, base, index, factors = pointers(context, builder, sig, args, (0, 3, 6, 8))
        _, to, width, _, first, stride, _, count, _ = args
        for block, lanes in row_blocks(builder, width):
            target = builder.gep(out, [builder.add(to, block)])
            column = builder.add(first, block)
            begin = load(builder, target, lanes)
            with running(builder, INT(0), count, [begin]) as (k, (total,), results):
                synapse = builder.load(builder.gep(index, [k]))
                row = load(builder, place(builder, base, column, synapse, stride), lanes)
                factor = number(builder, factors, synapse, lanes)
                results.append(factor.times_plus(row, total))
            results[0].store(target)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def add_up_pairs(typing, out, at, width, pair, first, stride, index, count, factors):  # type: ignore[no-untyped-def]
    """Do the same with each of a ``pair`` of matrices, and the arrays ``out`` of each."""
    signature = types.void(out, _N, _N, pair, _N, _N, index, _N, factors)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        outs = beginnings(context, builder, sig.args[0], args[0])
        bases = beginnings(context, builder, sig.args[3], args[3])
        index, factors = pointers(context, builder, sig, args, (6, 8))
        _, at, width, _, first, stride, _, count, _ = args
        for block, lanes in row_blocks(builder, width):
            targets = [builder.gep(out, [builder.add(at, block)]) for out in outs]
            column = builder.add(first, block)
            begin = [load(builder, target, lanes) for target in targets]
            with running(builder, INT(0), count, begin) as (k, totals, results):
                synapse = builder.load(builder.gep(index, [k]))
                factor = number(builder, factors, synapse, lanes)
                for base, total in zip(bases, totals, strict=True):
                    row = load(builder, place(builder, base, column, synapse, stride), lanes)
                    results.append(factor.times_plus(row, total))
            for result, target in zip(results, targets, strict=True):
                result.store(target)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def step_rows(typing, pair, first, stride, errors, at, width, index, count, factors, step):  # type: ignore[no-untyped-def]
    """Step rows y = index[k], k < count, of a ``pair`` of matrices, weights and traces.

    With the constants of ``step``, keeps, takes and credit, and a row's ``errors`` from ``at`` on::

        g = takes factors[y] error;  trace = keeps trace + g;  weight = weight + credit g
    """
    signature = types.void(pair, _N, _N, errors, _N, _N, index, _N, factors, step)

    def generate(context, builder, sig, args):  # type: ignore[no-untyped-def]
        errors, index, factors = pointers(context, builder, sig, args, (3, 6, 8))
        bases = beginnings(context, builder, sig.args[0], args[0])
        constants = [value for _, value in fields(builder, sig.args[9], args[9]).values()]
        _, first, stride, _, at, width, _, count, _, _ = args
        with running(builder, INT(0), count, []) as (k, _, _):
            synapse = builder.load(builder.gep(index, [k]))
            enters = builder.load(builder.gep(factors, [synapse]))
            start = builder.add(first, builder.mul(synapse, stride))
            for block, lanes in row_blocks(builder, width):
                keeps, takes, credit = (splat(builder, value, lanes) for value in constants)
                weight, trace = (builder.gep(base, [builder.add(start, block)]) for base in bases)
                error = load(builder, builder.gep(errors, [builder.add(at, block)]), lanes)
                gradient = error * (takes * splat(builder, enters, lanes))
                keeps.times_plus(load(builder, trace, lanes), gradient).store(trace)
                credit.times_plus(gradient, load(builder, weight, lanes)).store(weight)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def step_by_signal(typing, arrays, stride, errors, width, index, count, factors, step):  # type: ignore[no-untyped-def]
    """Step rows y = index[k], k < count, of the ``arrays`` w, e, n and d, with x = factors[y].

    With what ``step`` has under these names, and a row's errors (width,) as d log P / du::

        e = kappa e + kappa_takes x error
        n = beta n + beta_takes e^2 signal;  d = beta d + beta_takes e^2
        w = w + rate (signal - n / (d + guard)) e
    """
    signature = types.void(arrays, _N, errors, _N, index, _N, factors, step)
    return signature, partial(_write_hidden_step, by_update=False)


@intrinsic
def step_by_update(typing, arrays, stride, errors, width, index, count, factors, step):  # type: ignore[no-untyped-def]
    """Do the same, but for a fifth array: g = kappa g + kappa_takes (...) e, w = w + rate g."""
    signature = types.void(arrays, _N, errors, _N, index, _N, factors, step)
    return signature, partial(_write_hidden_step, by_update=True)


def _write_hidden_step(context, builder, sig, args, by_update):  # type: ignore[no-untyped-def]
    errors, index, factors = pointers(context, builder, sig, args, (2, 4, 6))
    bases = beginnings(context, builder, sig.args[0], args[0])
    constants = {name: value for name, (_, value) in fields(builder, sig.args[7], args[7]).items()}
    _, stride, _, width, _, count, _, _ = args
    with running(builder, INT(0), count, []) as (k, _, _):
        synapse = builder.load(builder.gep(index, [k]))
        enters = builder.load(builder.gep(factors, [synapse]))
        start = builder.mul(synapse, stride)
        for block, lanes in row_blocks(builder, width):
            by_name = {name: splat(builder, value, lanes) for name, value in constants.items()}
            targets = [builder.gep(base, [builder.add(start, block)]) for base in bases]
            states = [load(builder, target, lanes) for target in targets]
            error = load(builder, builder.gep(errors, [block]), lanes)
            slope = error * splat(builder, enters, lanes)
            later = _hidden_step(by_name, states, slope, by_update)
            for state, target in zip(later, targets, strict=True):
                state.store(target)
    return context.get_dummy_value()


def _hidden_step(
    step: dict[str, Lanes], states: list[Lanes], slope: Lanes, by_update: bool
) -> list[Lanes]:
    weight, trace, above, below = states[:4]
    kappa, takes, signal = step["kappa"], step["kappa_takes"], step["signal"]
    trace = kappa.times_plus(trace, takes * slope)
    square = step["beta_takes"] * (trace * trace)
    above = step["beta"].times_plus(above, square * signal)
    below = step["beta"].times_plus(below, square)
    change = (signal - above / (below + step["guard"])) * trace
    if not by_update:
        return [step["rate"].times_plus(change, weight), trace, above, below]
    update = kappa.times_plus(states[4], takes * change)
    return [step["rate"].times_plus(update, weight), trace, above, below, update]


def beginnings(context: Value, builder: Value, kind: Value, arrays: Value) -> list[Value]:
    """Return where the data of the arrays of a tuple begin."""
    return [
        data(context, builder, one, builder.extract_value(arrays, n))
        for n, one in enumerate(kind.types)
    ]


def row_blocks(builder: Value, width: Value) -> Iterator[tuple[Value, int]]:
    """Yield (place in the row, lanes) inside loops over blocks, wide ones first."""
    start = INT(0)
    for lanes in _BLOCKS:
        stop = builder.and_(width, INT(-lanes))
        with cgutils.for_range_slice(builder, start, stop, INT(lanes), INT) as (block, _):
            yield block, lanes
        start = stop


def number(builder: Value, numbers: Value, place: Value, lanes: int) -> Lanes:
    """Return a number of an array in all lanes."""
    return splat(builder, builder.load(builder.gep(numbers, [place])), lanes)
