"""Signals as lists of events: made of pictures, pooled, thinned out, and made pictures again.

A signal has a region for each image, large enough for all of its values. Events lie in the order of
pixels, then channels; an event is its column x channels + its channel.
"""

from __future__ import annotations

from typing import Any  # Any: arrays of one dtype

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import inner
from hpcfed.base.philox import block
from hpcfed.learning.constants import Reals
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.stack.registers import scale_row
from hpcfed.learning.stack.tables import AVERAGE, Listed, Stack
from hpcfed.learning.stack.vectors import append_nonzero
from hpcfed.learning.stack.work import Work

U32 = NDArray[np.uint32]


@inner
def copy(target: NDArray[Any], source: NDArray[Any]) -> None:
    """Copy as many values as the target has; unlike an assignment it makes no array."""
    for k in range(len(target)):
        target[k] = source[k]


@inner
def signal(stack: Stack, work: Work, number: int, image: int) -> Listed:
    """Return the list of a signal in an image."""
    height, width, channels = stack.heights[number], stack.widths[number], stack.channels[number]
    places, size = height * width, height * width * channels
    first = stack.entries[number] * work.room + image * size
    begin = stack.bounds[number] * work.room + image * (places + 1)
    given = size if stack.valued[number] else 0
    own = stack.values[number] * work.room + image * given
    return Listed(
        work.entries[first : first + size], work.values[own : own + given],
        work.bounds[begin : begin + places + 1], height, width, channels,
    )  # fmt: skip


@inner
def append_pixel(listed: Listed, picture: Reals, at: int, x: int, end: int) -> int:
    """Append the channels of a pixel in column x, from picture[at] on; return the new end."""
    first, width = x * listed.channels, listed.channels
    valued = len(listed.values) > 0
    if width % LANES == 0 and valued:
        return int(append_nonzero(picture, at, width, listed.entries, listed.values, end, first))
    if width % LANES == 0:
        return int(append_nonzero(picture, at, width, listed.entries, None, end, first))
    for c in range(width):
        if picture[at + c] != 0:
            listed.entries[end] = first + c
            if valued:
                listed.values[end] = picture[at + c]
            end += 1
    return end


@inner
def list_picture(listed: Listed, picture: Reals) -> None:
    """List a picture (height, width, channels)."""
    end = 0
    for y in range(listed.height):
        for x in range(listed.width):
            place = y * listed.width + x
            listed.bounds[place] = end
            end = append_pixel(listed, picture, place * listed.channels, x, end)
    listed.bounds[listed.height * listed.width] = end


@inner
def list_spaced(listed: Listed, picture: Reals, pitch: int) -> None:
    """List a picture whose pixels lie ``pitch`` apart, with zeros behind their channels.

    Where these are fewer than a register has, what lies beyond the list's end is written over.
    """
    end = 0
    for y in range(listed.height):
        for x in range(listed.width):
            place = y * listed.width + x
            listed.bounds[place] = end
            if pitch > LANES:
                end = append_pixel(listed, picture, place * pitch, x, end)
                continue
            first = x * listed.channels
            if len(listed.values) > 0:
                end = append_nonzero(
                    picture, place * pitch, LANES, listed.entries, listed.values, end, first
                )
            else:
                end = append_nonzero(
                    picture, place * pitch, LANES, listed.entries, None, end, first
                )
    listed.bounds[listed.height * listed.width] = end


@inner
def spread(
    listed: Listed, picture: Reals, first: int, row_pitch: int, top: int, bottom: int
) -> None:
    """Write the events of rows top to bottom into a picture of zeros from ``first`` on."""
    valued, one = len(listed.values) > 0, picture.dtype.type(1)
    for y in range(top, bottom):
        at = first + (y - top) * row_pitch
        start, stop = listed.bounds[y * listed.width], listed.bounds[(y + 1) * listed.width]
        row = listed.width * listed.channels
        if stop - start == row:  # all of them
            for k in range(row):
                picture[at + k] = listed.values[start + k] if valued else one
        elif valued:
            for k in range(start, stop):
                picture[at + np.int64(listed.entries[k])] = listed.values[k]
        else:
            for k in range(start, stop):
                picture[at + np.int64(listed.entries[k])] = one


@inner
def pool(stack: Stack, work: Work, step: int, image: int) -> None:
    """List what a pool makes of an image."""
    seen, made = signal(stack, work, step, image), signal(stack, work, step + 1, image)
    rows, columns, channels = stack.rows[step], stack.columns[step], seen.channels
    size, valued = made.height * made.width * channels, len(seen.values) > 0
    found, counts = work.pooled[:size], work.picture[:size]
    average = stack.kinds[step] == AVERAGE
    one, zero = found.dtype.type(1), found.dtype.type(0)
    lowest = valued and not average  # a largest value may be below zero
    found[:] = -np.inf if lowest else zero
    for y in range(made.height * rows):
        for x in range(made.width * columns):
            at = (y // rows * made.width + x // columns) * channels - x * channels
            place = y * seen.width + x
            for k in range(seen.bounds[place], seen.bounds[place + 1]):
                to = at + np.int64(seen.entries[k])
                value = seen.values[k] if valued else one
                found[to] = found[to] + value if average else max(found[to], value)
                if lowest:
                    counts[to] += one
    if average:
        part = found.dtype.type(1 / (rows * columns))
        for k in range(size):
            found[k] *= part
    elif lowest:  # where not all of a square are listed, the others are zero
        for k in range(size):
            found[k] = found[k] if counts[k] == rows * columns else max(found[k], zero)
        counts[:] = zero
    list_picture(made, found)


@inner
def pool_back(stack: Stack, work: Work, step: int, image: int) -> None:
    """Turn the gradient of what a pool makes of an image into that of what it saw, in its place.

    That of a maximum goes to the first place that has it.
    """
    seen, made = signal(stack, work, step, image), signal(stack, work, step + 1, image)
    rows, columns, channels = stack.rows[step], stack.columns[step], seen.channels
    pitch, size = seen.width * channels, made.height * made.width * channels
    given, changes = work.pooled[:size], stack.changes[step] * work.room
    first = changes + image * seen.height * pitch
    copy(given, work.traces[changes + image * size : changes + (image + 1) * size])
    if stack.kinds[step] == AVERAGE:
        _spread_evenly(work, seen, made, rows, columns, first)
        return
    picture, back = work.picture, work.traces[first : first + seen.height * pitch]
    back[:] = 0
    spread(seen, picture, 0, pitch, 0, seen.height)
    for y in range(made.height):
        for x in range(made.width):
            corner = y * rows * pitch + x * columns * channels
            for c in range(channels):
                best = corner + c
                for j in range(rows):
                    for i in range(columns):
                        at = corner + j * pitch + i * channels + c
                        if picture[at] > picture[best]:
                            best = at
                back[best] = given[(y * made.width + x) * channels + c]
    picture[: seen.height * pitch] = 0


@inner
def _spread_evenly(
    work: Work, seen: Listed, made: Listed, rows: int, columns: int, first: int
) -> None:
    """Write a part of each gradient in ``work.pooled`` to all places that its average is of."""
    channels, part = seen.channels, work.traces.dtype.type(1 / (rows * columns))
    zero = work.traces.dtype.type(0)
    for y in range(seen.height):
        for x in range(seen.width):
            to = first + (y * seen.width + x) * channels
            row, column = y // rows, x // columns
            if row < made.height and column < made.width:
                at = (row * made.width + column) * channels
                scale_row(work.traces, to, work.pooled, at, channels, part)
            else:
                scale_row(work.traces, to, work.pooled, 0, channels, zero)


@inner
def drop(stack: Stack, work: Work, step: int, image: int, words: U32, first: int) -> None:
    """List what a dropout leaves of an image: a value by a word, and what is left is raised.

    ``words`` is the address of the stream, of which ``first`` is the image's first word.
    """
    seen, made = signal(stack, work, step, image), signal(stack, work, step + 1, image)
    end, raised = 0, work.values.dtype.type(stack.raises[step])
    for place in range(seen.height * seen.width):
        made.bounds[place] = end
        for k in range(seen.bounds[place], seen.bounds[place + 1]):
            if _is_kept(stack, step, seen, place, int(seen.entries[k]), words, first):
                made.entries[end] = seen.entries[k]
                made.values[end] = raised * (seen.values[k] if len(seen.values) > 0 else 1)
                end += 1
    made.bounds[seen.height * seen.width] = end


@inner
def drop_back(stack: Stack, work: Work, step: int, image: int, words: U32, first: int) -> None:
    """Turn the gradient of what a dropout leaves of an image into that of what it saw."""
    seen = signal(stack, work, step, image)
    size = seen.height * seen.width * seen.channels
    changes = stack.changes[step] * work.room + image * size
    raised = work.traces.dtype.type(stack.raises[step])
    for at in range(size):
        place, entry = at // seen.channels, at % (seen.width * seen.channels)
        kept = _is_kept(stack, step, seen, place, entry, words, first)
        work.traces[changes + at] *= raised if kept else 0


@inner
def _is_kept(
    stack: Stack, step: int, seen: Listed, place: int, entry: int, words: U32, first: int
) -> bool:
    """Say whether a dropout leaves a value; its word is at its place in (channels, pixels)."""
    channel = entry % seen.channels
    if channel >= stack.real_channels[step]:
        return False
    number = first + channel * seen.height * seen.width + place
    client, round_index, purpose, key0, key1 = words
    four = block(np.uint32(number // 4), client, round_index, purpose, key0, key1)
    return bool(np.uint64(four[number % 4]) >= stack.dropped[step])
