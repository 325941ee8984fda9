"""The products of a layer: of its events or of all values, whichever is faster, with the same bits.

A layer's weights lie in blocks of up to MOST channels, as (rows, columns, in, lanes) each: what is
used together lies together. A layer that sees all of a picture at once is flat:
on the way back it is a convolution of one pixel, and its images are the pixels of one row.
"""

from __future__ import annotations

import numpy as np

from hpcfed.base.compiled import inner
from hpcfed.learning.constants import Reals
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.stack.lists import signal, spread
from hpcfed.learning.stack.tables import Geometry, Listed, Stack, Work
from hpcfed.learning.stack.vectors import (
    MOST,
    TAPS,
    TILE,
    TOGETHER,
    deal_row,
    gather_pair,
    gather_rows,
    gather_taps,
    multiply_tile,
    product_taps,
)


@inner
def geometry(stack: Stack, step: int) -> Geometry:
    """Return the sizes of a layer's products."""
    columns = stack.columns[step]
    height, width, channels = stack.heights[step], stack.widths[step], stack.channels[step]
    return Geometry(
        layer=stack.layers[step],
        rows=stack.rows[step],
        columns=columns,
        stride=stack.strides[step],
        padding=stack.paddings[step],
        height=height,
        width=width,
        channels=channels,
        made_height=stack.heights[step + 1],
        made_width=stack.widths[step + 1],
        made=stack.channels[step + 1],
        weights=stack.weights[stack.layers[step]],
        back=stack.back[stack.layers[step]],
    )


@inner
def lanes_from(width: int, column: int) -> int:
    """Return how many channels have their weights side by side from a column of the first on."""
    left = width - column
    return MOST if left >= MOST else (MOST // 2 if left >= MOST // 2 else LANES)


@inner
def num_events(stack: Stack, work: Work, number: int, start: int, stop: int) -> int:
    """Return how many events a signal has in images start to stop."""
    places = stack.heights[number] * stack.widths[number]
    first, total = stack.bounds[number] * work.room, 0
    for image in range(start, stop):
        total += work.bounds[first + image * (places + 1) + places]
    return total


@inner
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


@inner
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


@inner
def _multiply(
    stack: Stack, work: Work, step: int, own: Geometry, start: int, stop: int, to: int
) -> None:
    """Write the sums of products of all values of images start to stop."""
    pitch = (own.width + 2 * own.padding) * own.channels
    size = (own.height + 2 * own.padding) * pitch
    corner = own.padding * (pitch + own.channels)
    number, dense = 0, work.dense[: (stop - start) * size]
    for image in range(start, stop):
        listed = signal(stack, work, step, image)
        spread(listed, dense, (image - start) * size + corner, pitch, 0, own.height)
        for y in range(own.made_height):
            for x in range(own.made_width):
                at = own.stride * (y * pitch + x * own.channels)
                work.places[number] = (image - start) * size + at
                number += 1
    shape = (1, 0, own.rows, pitch, own.columns * own.channels)
    _tiles(work.traces, to, own.made, dense, work, number, shape, work.weights, own.weights)
    dense[:] = 0


@inner
def _tiles(
    out: Reals, to: int, width: int, source: Reals, work: Work, number: int,
    shape: tuple[int, int, int, int, int], weights: Reals, first: int,
) -> None:  # fmt: skip
    """Write ``number`` rows of products of what begins at ``work.places``."""
    column, products = 0, shape[0] * shape[2] * shape[4]
    while column < width:
        pitch = lanes_from(width, column)
        lanes = min(pitch, 2 * LANES)
        for part in range(0, pitch, lanes):
            n = 0
            while n < number:
                left = number - n
                tile = TILE if left >= TILE else (TILE // 2 if left >= TILE // 2 else 1)
                multiply_tile(
                    out, to + n * width + column + part, width, lanes, source, work.places, n, tile,
                    shape, weights, first + products * column + part, pitch,
                )  # fmt: skip
                n += tile
        column += pitch


@inner
def turned(stack: Stack, work: Work) -> None:
    """Write the copies of the weights that lead back: (out / LANES, rows, columns, LANES, in)."""
    for step in range(stack.first_layer + 1, len(stack.kinds)):
        if stack.layers[step] < 0:
            continue
        own = geometry(stack, step)
        taps = own.rows * own.columns
        if stack.flat[step]:
            _turn(
                work.weights[own.weights :], work.back[own.back :], 1, taps * own.channels, own.made
            )
        else:
            _turn(work.weights[own.weights :], work.back[own.back :], taps, own.channels, own.made)


@inner
def framed(stack: Stack, work: Work) -> None:
    """Write the copies of one register's weights with zeros around each kernel row."""
    for step in range(len(stack.kinds)):
        if stack.layers[step] < 0 or stack.framed[stack.layers[step]] < 0:
            continue
        own = geometry(stack, step)
        size = own.columns * own.channels * LANES
        for row in range(own.rows):
            to = stack.framed[own.layer] + row * (size + 2 * own.channels * LANES)
            at = own.weights + row * size
            for k in range(size):
                work.framed[to + own.channels * LANES + k] = work.weights[at + k]


@inner
def _turn(weights: Reals, back: Reals, taps: int, channels: int, made: int) -> None:
    """Write weights of (taps, channels, made) as (made / LANES, taps from the last, LANES, channels).

    Both in blocks of their last axis.
    """
    column = 0
    while column < made:
        lanes, block = lanes_from(made, column), taps * channels * column
        for n in range(lanes):
            plane, own = (column + n) // LANES, (column + n) % LANES
            for tap in range(taps):
                row = (plane * taps + taps - 1 - tap) * LANES + own
                seen = 0
                while seen < channels:
                    wide = lanes_from(channels, seen)
                    to = made * taps * seen + row * wide
                    at = block + (tap * channels + seen) * lanes + n
                    for c in range(wide):
                        back[to + c] = weights[at + c * lanes]
                    seen += wide
        column += lanes


@inner
def convolve_back(stack: Stack, work: Work, step: int, start: int, stop: int, needed: bool) -> None:
    """Add a layer's gradient of its weights in a group of images, and leave that of its input.

    The latter, where it is ``needed``, in ``work.change``; that of what flows in lies in the trace.
    """
    own = geometry(stack, step)
    if stack.flat[step]:
        _back_flat(stack, work, step, own, start, stop, needed)
    else:
        _back(stack, work, step, own, start, stop, needed)


@inner
def _back(
    stack: Stack, work: Work, step: int, own: Geometry, start: int, stop: int, needed: bool
) -> None:
    height, width = own.height + own.rows - 1, own.width + own.columns - 1
    image_step, planes, count = height * width * LANES, own.made // LANES, stop - start
    plane_step = count * image_step
    _lay_planes(stack, work, own, start, stop)
    most = max(1, stack.band // (width * LANES))  # rows whose gradients fit the first cache
    image = start
    while image < stop:
        whole = max(1, most // height)
        bands = 1 if most >= height else (own.height + most - 1) // most
        images = min(whole, stop - image)
        for band in range(bands):
            top = band * most if bands > 1 else 0
            bottom = min(own.height, top + most) if bands > 1 else own.height
            at = (image - start) * image_step
            _learn(stack, work, step, own, (image, images, top, bottom), at, plane_step)
        image += images
    if needed:
        number = 0
        for image in range(count):
            for y in range(own.height):
                for x in range(own.width):
                    work.places[number] = image * image_step + (y * width + x) * LANES
                    number += 1
        shape = (planes, plane_step, own.rows, width * LANES, own.columns * LANES)
        to = start * own.height * own.width * own.channels
        _tiles(work.change, to, own.channels, work.plane, work, number, shape, work.back, own.back)


@inner
def _lay_planes(stack: Stack, work: Work, own: Geometry, start: int, stop: int) -> None:
    """Lay the gradient of what flows in out as planes of LANES channels, in a border of zeros."""
    height, width = own.height + own.rows - 1, own.width + own.columns - 1
    each = own.made_height * own.made_width * own.made
    first, count = stack.traces[own.layer] * work.room, stop - start
    up, left = own.rows - 1 - own.padding, own.columns - 1 - own.padding
    work.plane[: own.made // LANES * count * height * width * LANES] = 0
    for image in range(count):
        for y in range(own.made_height):
            row = y * own.stride + up
            if not 0 <= row < height:
                continue
            for x in range(own.made_width):
                column = x * own.stride + left
                if not 0 <= column < width:
                    continue
                at = first + (start + image) * each + (y * own.made_width + x) * own.made
                to = ((image * height + row) * width + column) * LANES
                deal_row(work.plane, to, count * height * width * LANES, work.traces, at, own.made)


@inner
def _learn(
    stack: Stack, work: Work, step: int, own: Geometry, band: tuple[int, int, int, int], at: int,
    plane_step: int,
) -> None:  # fmt: skip
    """Add the gradient of the weights of a band: (first image, images, first row, last row)."""
    image, images, top, bottom = band
    height, width = own.height + own.rows - 1, own.width + own.columns - 1
    image_step, channels = height * width * LANES, own.channels
    total = 0
    for n in range(images):
        listed = signal(stack, work, step, image + n)
        total += listed.bounds[bottom * own.width] - listed.bounds[top * own.width]
    size = images * (bottom - top) * own.width * channels
    if total > stack.switches[step, 1] * size:
        pitch = own.width * channels
        each = (bottom - top) * pitch
        dense = work.dense[: images * each]
        for n in range(images):
            listed = signal(stack, work, step, image + n)
            spread(listed, dense, n * each, pitch, top, bottom)
        for n in range(images):
            start = at + n * image_step + top * width * LANES
            shape = (bottom - top, width * LANES, own.width, channels)
            _learn_products(work, own, start, plane_step, n * each, shape, width * LANES)
        dense[:] = 0
        return
    starts = work.starts[: channels + 1]
    starts[:] = 0
    for n in range(images):
        listed = signal(stack, work, step, image + n)
        for y in range(top, bottom):
            for x in range(own.width):
                place = y * own.width + x
                for k in range(listed.bounds[place], listed.bounds[place + 1]):
                    starts[np.int64(listed.entries[k]) - x * channels + 1] += 1
    for c in range(channels):
        starts[c + 1] += starts[c]
    valued = stack.valued[step] != 0
    for n in range(images):
        listed = signal(stack, work, step, image + n)
        for y in range(top, bottom):
            for x in range(own.width):
                place, where = y * own.width + x, n * image_step + (y * width + x) * LANES
                for k in range(listed.bounds[place], listed.bounds[place + 1]):
                    c = np.int64(listed.entries[k]) - x * channels
                    work.order[starts[c]] = where
                    if valued:
                        work.ordered[starts[c]] = listed.values[k]
                    starts[c] += 1
    _learn_events(work, own, at, plane_step, width * LANES, valued)


@inner
def _block_of(own: Geometry, plane: int) -> tuple[int, int]:
    """Return where the weights of a plane of channels begin, and how many lie side by side."""
    column = 0
    lanes = lanes_from(own.made, column)
    while column + lanes <= plane * LANES:
        column += lanes
        lanes = lanes_from(own.made, column)
    taps = own.rows * own.columns * own.channels
    return own.weights + taps * column + plane * LANES - column, lanes


@inner
def _learn_events(
    work: Work, own: Geometry, at: int, plane_step: int, row_step: int, valued: bool
) -> None:
    """Add what each channel's events meet; ``work.starts`` are the ends of the channels' events."""
    taps = own.rows * own.columns
    for plane in range(own.made // LANES):
        first, lanes = _block_of(own, plane)
        tap_step, shift = own.channels * lanes, at + plane * plane_step
        to = first + (taps - 1) * tap_step
        begin = 0
        for c in range(own.channels):
            end = work.starts[c]
            if end > begin and valued:
                gather_taps(
                    work.gradient, to + c * lanes, -tap_step, work.plane, shift, row_step,
                    (own.rows, own.columns), work.order, work.ordered, begin, end,
                )  # fmt: skip
            elif end > begin:
                gather_taps(
                    work.gradient, to + c * lanes, -tap_step, work.plane, shift, row_step,
                    (own.rows, own.columns), work.order, None, begin, end,
                )  # fmt: skip
            begin = end


@inner
def _learn_products(
    work: Work, own: Geometry, at: int, plane_step: int, place: int,
    shape: tuple[int, int, int, int], row_step: int,
) -> None:  # fmt: skip
    """Add products of all values, rows of pixels from work.dense[place] on, with gradients."""
    taps, across = own.rows * own.columns, TAPS if own.columns == TAPS else 1
    for plane in range(own.made // LANES):
        first, lanes = _block_of(own, plane)
        tap_step = own.channels * lanes
        for j in range(own.rows):
            for i in range(0, own.columns, across):
                shift = at + plane * plane_step + j * row_step + i * LANES
                to = first + (taps - 1 - j * own.columns - i) * tap_step
                c = 0
                while c < own.channels:
                    together = TOGETHER if own.channels - c >= TOGETHER else 1
                    product_taps(
                        work.gradient, to + c * lanes, (-tap_step, lanes), work.plane, shift,
                        across, work.dense, place + c, shape, together,
                    )  # fmt: skip
                    c += together


@inner
def _back_flat(
    stack: Stack, work: Work, step: int, own: Geometry, start: int, stop: int, needed: bool
) -> None:
    count, planes = stop - start, own.made // LANES
    inputs, row = own.rows * own.columns * own.channels, own.columns * own.channels
    first, plane_step = stack.traces[own.layer] * work.room + start * own.made, count * LANES
    for image in range(count):
        at = first + image * own.made
        deal_row(work.plane, image * LANES, plane_step, work.traces, at, own.made)
    pixel = Geometry(
        own.layer, 1, 1, 1, 0, 1, count, inputs, 1, count, own.made, own.weights, own.back
    )
    events = num_events(stack, work, step, start, stop)
    valued = stack.valued[step] != 0
    if events > stack.switches[step, 1] * count * inputs:
        dense = work.dense[: count * inputs]
        for image in range(count):
            listed = signal(stack, work, step, start + image)
            spread(listed, dense, image * inputs, row, 0, own.rows)
        _learn_products(work, pixel, 0, plane_step, 0, (1, 0, count, inputs), 0)
        dense[:] = 0
    else:
        starts = work.starts[: inputs + 1]
        starts[:] = 0
        for image in range(count):
            listed = signal(stack, work, step, start + image)
            for y in range(own.rows):
                for k in range(
                    listed.bounds[y * own.columns], listed.bounds[(y + 1) * own.columns]
                ):
                    starts[y * row + np.int64(listed.entries[k]) + 1] += 1
        for c in range(inputs):
            starts[c + 1] += starts[c]
        for image in range(count):
            listed = signal(stack, work, step, start + image)
            for y in range(own.rows):
                for k in range(
                    listed.bounds[y * own.columns], listed.bounds[(y + 1) * own.columns]
                ):
                    c = y * row + np.int64(listed.entries[k])
                    work.order[starts[c]] = image * LANES
                    if valued:
                        work.ordered[starts[c]] = listed.values[k]
                    starts[c] += 1
        _learn_events(work, pixel, 0, plane_step, 0, valued)
    if needed:
        for image in range(count):
            work.places[image] = image * LANES
        shape = (planes, plane_step, 1, 0, LANES)
        to = start * inputs
        _tiles(work.change, to, inputs, work.plane, work, count, shape, work.back, own.back)
