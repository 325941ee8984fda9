"""The memory that a call on a stack of layers works in."""

from __future__ import annotations

import mmap
from typing import Any  # Any: entries or values

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpcfed.learning.constants import RealType
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.event.tables import aligned
from hpcfed.learning.stack.neurons import CHUNK
from hpcfed.learning.stack.tables import BY_GROUP, Lengths, Stack
from hpcfed.learning.stack.work import Row, Work

_CODE = 32 << 20  # compiled code and small arrays
_BEYOND = 4 * LANES  # a tile's last row of taps reads so far behind its plane


def make_work(
    stack: Stack, lengths: Lengths, batch: int, dtype: RealType, most_events: int, learns: bool
) -> Work:
    """Return work space for ``batch`` samples at once, in training or evaluation alone."""
    bins, hidden = stack.num_bins, len(stack.steps)
    room = bins * batch
    pictures = stack.heights * stack.widths * np.maximum(stack.channels, LANES)
    made = stack.channels[stack.steps + 1]
    widest = int(made.max())
    values = max(CHUNK, widest)
    rows = batch if stack.norm == BY_GROUP else 1
    sizes = [_products(stack, int(step), room) for step in stack.steps]
    last = int(stack.heights[-1] * stack.widths[-1] * stack.channels[-1])
    entry = np.uint16 if (stack.widths * stack.channels).max() <= 1 << 16 else np.uint32

    def flat(size: int) -> np.ndarray[tuple[int], np.dtype[np.floating]]:
        return aligned(int(size), dtype)

    return Work(
        room=room,
        weights=flat(lengths.weights),
        gradient=flat(lengths.weights if learns else 0),
        first=flat(lengths.weights if learns else 0),
        second=flat(lengths.weights if learns else 0),
        back=flat(lengths.back if learns else 0),
        lone=flat(lengths.back if learns and lengths.marks else 0),
        framed=flat(lengths.framed),
        statistics=flat(lengths.statistics),
        entries=_sparse(lengths.entries * room + LANES, entry),
        values=_sparse(lengths.values * room + LANES, dtype),
        bounds=np.zeros(lengths.bounds * room, np.int32),
        marks=np.zeros(lengths.marks * room if learns else 0, np.uint16),
        marked=np.zeros((len(stack.heights), room), np.int64),
        traces=flat((lengths.changes if learns else lengths.traces) * room),
        moments=np.zeros((2, room, widest)),
        gains=np.zeros((hidden, 3, bins, rows, widest)),
        middles=np.zeros((hidden, 2, bins, rows, widest)),
        sums=np.zeros((2, bins, rows, widest)),
        through=np.zeros((2, bins, rows, widest)),
        mean=flat(widest),
        spread=flat(widest),
        picture=flat(pictures.max() + LANES),
        pooled=flat(pictures.max() + LANES),
        dense=flat(max(size[0] for size in sizes) + _BEYOND),
        plane=flat(max(size[1] for size in sizes) + _BEYOND if learns else 0),
        places=np.zeros(max(size[2] for size in sizes), np.int32),
        targets=np.zeros(max(size[2] for size in sizes), np.int64),
        runs=np.zeros((int(stack.heights.max()) + 1, 3), np.int64),
        order=np.zeros(max(size[3] for size in sizes) if learns else 0, np.int32),
        ordered=flat(max(size[3] for size in sizes) if learns else 0),
        starts=np.zeros(max(size[4] for size in sizes) + 1, np.int64),
        row=_row(values, bins, dtype),
        values_at_once=values,
        ahead=flat(values),
        summed=np.zeros((batch, last), dtype),
        logits=np.zeros((batch, stack.num_classes), dtype),
        slopes=np.zeros((batch, stack.num_classes), dtype),
        losses=np.zeros(batch),
        predictions=np.zeros(batch, np.int64),
        counts=np.zeros(int(stack.neurons.prod(1).sum()), np.int64),
        rates=np.zeros((hidden, int((stack.neurons[:, 0] * made).max())), dtype),
        activity=np.zeros((hidden, 3), np.int64),
        taken=np.zeros((len(stack.kinds), 2), np.int64),
        drawn=np.zeros(int(pictures[0]) + 8, np.uint32),
        address=np.zeros(5, np.uint32),
        sensed=np.zeros(most_events, np.int32),
        bins=np.zeros(bins + 1, np.int64),
    )


def _sparse(size: int, kind: DTypeLike) -> NDArray[Any]:
    """Return (size,) memory of which only the pages that are written to are taken.

    Large arrays of NumPy's are taken in huge pages, as far as Linux gives them, and of a list's
    region only the beginning is used.
    """
    number = max(1, size * np.dtype(kind).itemsize)
    return np.frombuffer(mmap.mmap(-1, number), kind, count=size)


def _row(values: int, bins: int, dtype: RealType) -> Row:
    by_bin = {"gain", "offset", "potentials", "levels", "of_gain", "of_offset"}
    return Row(*(aligned(values * (bins if name in by_bin else 1), dtype) for name in Row._fields))


def work_bytes(stack: Stack, lengths: Lengths, batch: int, dtype: RealType) -> int:
    """Return about how many bytes ``make_work`` takes for training on ``batch`` samples."""
    room, real = stack.num_bins * batch, dtype().itemsize
    each = real * (lengths.changes + lengths.values) + 2 * (lengths.entries + lengths.marks)
    sizes = np.array([_products(stack, int(step), room) for step in stack.steps]).max(0)
    scratch = (2 * real) * int(sizes[0] + sizes[1]) + 12 * int(sizes[3])
    copies = real * (5 * lengths.weights + (lengths.back if lengths.marks else 0))
    return room * (each + 4 * lengths.bounds) + copies + scratch + _CODE


def _products(stack: Stack, step: int, room: int) -> tuple[int, int, int, int, int]:
    """Return what a layer's products need: dense, plane, places, events in order, starts."""
    images = min(int(stack.together[step]), room)
    height, width, seen = (
        int(values[step]) for values in (stack.heights, stack.widths, stack.channels)
    )
    made_places = int(stack.heights[step + 1] * stack.widths[step + 1])
    made, padding = int(stack.channels[step + 1]), int(stack.paddings[step])
    rows, columns = int(stack.rows[step]), int(stack.columns[step])
    size = height * width * seen
    if stack.flat[step]:
        return images * size, images * made, images, images * size, size
    bordered = (height + rows - 1) * (width + columns - 1)
    padded = (height + 2 * padding) * (width + 2 * padding)
    return (
        images * padded * seen,
        images * bordered * made,
        images * max(made_places, height * width),
        images * size,
        seen,
    )
