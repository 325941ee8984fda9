"""A layer's way back: gradients of its weights by events or by all values, and those of its input.

The gradients of what flows in lie as planes of LANES channels, in a border of zeros, in bands that
fit the first cache. A layer that sees all of a picture at once is flat: it is a convolution of one
pixel, and its images are the pixels of one row.
"""

from __future__ import annotations

from hpcfed.base.compiled import inlined, inner
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.stack.gathering import TAPS, gather_taps
from hpcfed.learning.stack.geometry import geometry, lanes_from, num_events, place_row, tiles
from hpcfed.learning.stack.lists import signal, spread
from hpcfed.learning.stack.norms import rows_of
from hpcfed.learning.stack.products import TOGETHER, product_taps
from hpcfed.learning.stack.returning import return_input
from hpcfed.learning.stack.tables import Geometry, Stack
from hpcfed.learning.stack.vectors import deal_back, deal_row
from hpcfed.learning.stack.work import Work


@inlined
def convolve_back(
    stack: Stack, work: Work, step: int, batch: int, start: int, stop: int, needed: bool
) -> None:
    """Add a layer's gradient of its weights in a group of images, and leave that of its input.

    The latter where it is ``needed``, in ``stack.changes``, where that of what the norm has made
    lies as well; images are taken from the first on.
    """
    own = geometry(stack, step)
    if stack.flat[step]:
        _back_flat(stack, work, step, own, batch, start, stop, needed)
    else:
        _back(stack, work, step, own, batch, start, stop, needed)


@inlined
def _back(
    stack: Stack, work: Work, step: int, own: Geometry, batch: int, start: int, stop: int,
    needed: bool,
) -> None:  # fmt: skip
    height, width = own.height + own.rows - 1, own.width + own.columns - 1
    image_step, count = height * width * LANES, stop - start
    plane_step = count * image_step
    _lay_planes(stack, work, step, own, batch, start, stop)
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
        return_input(stack, work, step, own, start, stop)


@inner
def _lay_planes(
    stack: Stack, work: Work, step: int, own: Geometry, batch: int, start: int, stop: int
) -> None:
    """Lay the gradient of what flows in out as planes of LANES channels, in a border of zeros."""
    height, width = own.height + own.rows - 1, own.width + own.columns - 1
    each = own.made_height * own.made_width * own.made
    first, changes = stack.traces[own.layer] * work.room, stack.changes[step + 1] * work.room
    count = stop - start
    up, left = own.rows - 1 - own.padding, own.columns - 1 - own.padding
    work.plane[: own.made // LANES * count * height * width * LANES] = 0
    for image in range(count):
        _ready_image(stack, work, own, batch, start + image)
        for y in range(own.made_height):
            row = y * own.stride + up
            if not 0 <= row < height:
                continue
            for x in range(own.made_width):
                column = x * own.stride + left
                if not 0 <= column < width:
                    continue
                at = (start + image) * each + (y * own.made_width + x) * own.made
                to = ((image * height + row) * width + column) * LANES
                plane_step = count * height * width * LANES
                _deal(stack, work, own, to, plane_step, changes + at, first + at)


@inner
def _ready_image(stack: Stack, work: Work, own: Geometry, batch: int, image: int) -> None:
    """Lay gain, slope and rest of an image's channels out, as ``norms.norm_back`` leaves them."""
    gains, row = work.gains[own.layer], work.row
    t, sample = image // batch, image % batch if rows_of(stack, own.layer, batch) > 1 else 0
    for c in range(own.made):
        row.gain[c] = gains[0, t, sample, c]
        row.slope[c] = gains[1, t, sample, c]
        row.rest[c] = gains[2, t, sample, c]


@inner
def _deal(
    stack: Stack, work: Work, own: Geometry, to: int, plane_step: int, change: int, at: int
) -> None:
    """Write to planes what comes back to a pixel through the norm, if there is one."""
    traces, factors = work.traces, (work.row.gain, work.row.slope, work.row.rest)
    if stack.normed[own.layer]:
        deal_back(work.plane, to, plane_step, factors, traces, change, traces, at, own.made)
    else:
        deal_row(work.plane, to, plane_step, traces, change, own.made)


@inlined
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
    _sort(
        stack,
        work,
        step,
        (image, images, top, bottom),
        channels,
        (image_step, width * LANES, LANES),
    )
    _learn_events(work, own, at, plane_step, width * LANES, stack.valued[step] != 0)


@inlined
def _back_flat(
    stack: Stack, work: Work, step: int, own: Geometry, batch: int, start: int, stop: int,
    needed: bool,
) -> None:  # fmt: skip
    count, planes = stop - start, own.made // LANES
    inputs, row = own.rows * own.columns * own.channels, own.columns * own.channels
    first, changes = stack.traces[own.layer] * work.room, stack.changes[step + 1] * work.room
    plane_step = count * LANES
    for image in range(count):
        _ready_image(stack, work, own, batch, start + image)
        at = (start + image) * own.made
        _deal(stack, work, own, image * LANES, plane_step, changes + at, first + at)
    pixel = Geometry(
        own.layer, 1, 1, 1, 0, 1, count, inputs, 1, count, own.made, own.weights, own.back
    )
    events = num_events(stack, work, step, start, stop)
    if events > stack.switches[step, 1] * count * inputs:
        dense = work.dense[: count * inputs]
        for image in range(count):
            listed = signal(stack, work, step, start + image)
            spread(listed, dense, image * inputs, row, 0, own.rows)
        _learn_products(work, pixel, 0, plane_step, 0, (1, 0, count, inputs), 0)
        dense[:] = 0
    else:
        _sort(stack, work, step, (start, count, 0, own.rows), inputs, (LANES, 0, 0))
        _learn_events(work, pixel, 0, plane_step, 0, stack.valued[step] != 0)
    if needed:
        changes = stack.changes[step] * work.room
        for image in range(count):
            work.places[image] = image * LANES
            work.targets[image] = changes + (start + image) * inputs
        place_row(work, -1, (0, 1), 0)
        shape = (planes, plane_step, 1, 0, LANES)
        tiles(work, work.traces, work.plane, 1, count, shape, work.back, (own.back, inputs))


@inner
def _sort(
    stack: Stack, work: Work, step: int, band: tuple[int, int, int, int], channels: int,
    pitches: tuple[int, int, int],
) -> None:  # fmt: skip
    """Put the events of a band, (first image, images, first row, last row), in order of channels.

    Each with its place in a plane, which the pitches of images, rows and columns tell. A flat
    layer's channels are those of all pixels, and its places those of images.
    """
    image, images, top, bottom = band
    of_image, of_row, of_column = pitches
    width, each, flat = stack.widths[step], stack.channels[step], stack.flat[step] != 0
    valued, starts = stack.valued[step] != 0, work.starts[: channels + 1]
    starts[:] = 0
    for writing in range(2):
        for n in range(images):
            listed = signal(stack, work, step, image + n)
            for y in range(top, bottom):
                for x in range(width):
                    place, where = y * width + x, n * of_image + y * of_row + x * of_column
                    shift = y * width * each if flat else -x * each
                    for k in range(listed.bounds[place], listed.bounds[place + 1]):
                        c = int(listed.entries[k]) + shift
                        if writing == 0:
                            starts[c + 1] += 1
                            continue
                        work.order[starts[c]] = where
                        if valued:
                            work.ordered[starts[c]] = listed.values[k]
                        starts[c] += 1
        if writing == 0:
            for c in range(channels):
                starts[c + 1] += starts[c]


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
                    work.gradient, to + c * lanes, -tap_step, work.plane, (shift, row_step),
                    (own.rows, own.columns), work.order, work.ordered, begin, end,
                )  # fmt: skip
            elif end > begin:
                gather_taps(
                    work.gradient, to + c * lanes, -tap_step, work.plane, (shift, row_step),
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
