"""What flows into a layer: sums of its events' weights or products of all values, the same bits."""

from __future__ import annotations

from hpcfed.base.compiled import inlined, inner
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.stack.gathering import gather_pair, gather_rows
from hpcfed.learning.stack.geometry import geometry, lanes_from, num_events, place_row, tiles
from hpcfed.learning.stack.lists import signal, spread
from hpcfed.learning.stack.tables import Geometry, Listed, Stack
from hpcfed.learning.stack.work import Work


@inlined
def convolve(stack: Stack, work: Work, step: int, start: int, stop: int) -> None:
    """Write what flows into a layer in images start to stop, no more than its group."""
    own = geometry(stack, step)
    each = own.made_height * own.made_width * own.made
    first = stack.traces[own.layer] * work.room
    size = own.height * own.width * own.channels
    events = num_events(stack, work, step, start, stop)
    if events > stack.switches[step, 0] * size * (stop - start):
        work.taken[step, 1] += stop - start
        _multiply(stack, work, step, own, start, stop, first + start * each)
        return
    work.taken[step, 0] += stop - start
    for image in range(start, stop):
        listed = signal(stack, work, step, image)
        _gather(stack, work, own, listed, first + image * each)


@inlined
def _gather(stack: Stack, work: Work, own: Geometry, listed: Listed, to: int) -> None:
    """Write an image's sums of the rows of weights that its events select."""
    width = own.made
    taps = own.rows * own.columns * own.channels
    if width == LANES and own.stride == 1 and own.made_width > 1:
        _gather_pairs(stack, work, own, listed, to)
        return
    column = 0
    while column < width:  # all pixels for some of the channels: their weights stay in the cache
        lanes = lanes_from(width, column)
        row, place = own.columns * own.channels * lanes, to + column
        block = own.weights + taps * column
        for y in range(own.made_height):
            top = y * own.stride - own.padding
            low, high = max(0, top), min(own.height, top + own.rows)
            for x in range(own.made_width):
                start = x * own.stride - own.padding
                begin, end = max(0, start), min(own.width, start + own.columns)
                first = block + (low - top) * row - start * own.channels * lanes
                at = (low * own.width + begin, max(0, end - begin), own.width)
                if len(listed.values) > 0:
                    gather_rows(
                        work.traces, place, lanes, work.weights, first, row,
                        listed.entries, listed.values, listed.bounds, at, high - low,
                    )  # fmt: skip
                else:
                    gather_rows(
                        work.traces, place, lanes, work.weights, first, row,
                        listed.entries, None, listed.bounds, at, high - low,
                    )  # fmt: skip
                place += width
        column += lanes


@inner
def _gather_pairs(stack: Stack, work: Work, own: Geometry, listed: Listed, to: int) -> None:
    """Do the same for one register of channels, two pixels at a time."""
    before = own.channels * LANES
    row = (own.columns + 2) * before
    framed = stack.framed[own.layer] + before
    for y in range(own.made_height):
        top = y - own.padding
        low, high = max(0, top), min(own.height, top + own.rows)
        for pair in range((own.made_width + 1) // 2):
            x = min(2 * pair, own.made_width - 2)  # the last pair may begin a pixel earlier
            start = x - own.padding
            begin, end = max(0, start), min(own.width, start + own.columns + 1)
            first = framed + (low - top) * row - start * before
            at = (low * own.width + begin, max(0, end - begin), own.width)
            place = to + (y * own.made_width + x) * LANES
            if len(listed.values) > 0:
                gather_pair(
                    work.traces, place, work.framed, first, before, row, listed.entries,
                    listed.values, listed.bounds, at, high - low,
                )  # fmt: skip
            else:
                gather_pair(
                    work.traces, place, work.framed, first, before, row, listed.entries,
                    None, listed.bounds, at, high - low,
                )  # fmt: skip


@inlined
def _multiply(
    stack: Stack, work: Work, step: int, own: Geometry, start: int, stop: int, to: int
) -> None:
    """Write the sums of products of all values of images start to stop."""
    pitch = (own.width + 2 * own.padding) * own.channels
    size = (own.height + 2 * own.padding) * pitch
    corner = own.padding * (pitch + own.channels)
    dense, each = work.dense[: (stop - start) * size], own.made_height * own.made_width
    for image in range(stop - start):
        listed = signal(stack, work, step, start + image)
        spread(listed, dense, image * size + corner, pitch, 0, own.height)
    run, number = -1, 0
    for y in range(own.made_height):
        top = y * own.stride - own.padding  # kernel rows above and below the picture add nothing
        low, high = max(0, -top), min(own.rows, own.height - top)
        run = place_row(work, run, (low, max(low, high)), number)
        for image in range(stop - start):
            for x in range(own.made_width):
                at = own.stride * (y * pitch + x * own.channels)
                work.places[number] = image * size + at
                work.targets[number] = to + (image * each + y * own.made_width + x) * own.made
                number += 1
    shape = (1, 0, own.rows, pitch, own.columns * own.channels)
    tiles(
        work, work.traces, dense, run + 1, number, shape, work.weights, (own.weights, own.made)
    )  # fmt: skip
    dense[:] = 0
