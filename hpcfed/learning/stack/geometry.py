"""Sizes of a layer's products, and tiles of products of all values.

A layer's weights lie in blocks of up to MOST channels, as (rows, columns, in, lanes) each: what is
used together lies together.
"""

from __future__ import annotations

from hpcfed.base.compiled import inner
from hpcfed.learning.constants import Reals
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.stack.products import TILES, multiply_tile
from hpcfed.learning.stack.tables import Geometry, Stack
from hpcfed.learning.stack.vectors import MOST
from hpcfed.learning.stack.work import Work


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


def lanes_at(width: int, column: int) -> int:
    """Return how many channels have their weights side by side from a column of the first on."""
    left = width - column
    return MOST if left >= MOST else (MOST // 2 if left >= MOST // 2 else LANES)


lanes_from = inner(lanes_at)  # for kernels


@inner
def num_events(stack: Stack, work: Work, number: int, start: int, stop: int) -> int:
    """Return how many events a signal has in images start to stop."""
    places = stack.heights[number] * stack.widths[number]
    first, total = stack.bounds[number] * work.room, 0
    for image in range(start, stop):
        total += work.bounds[first + image * (places + 1) + places]
    return total


@inner
def place_row(work: Work, run: int, span: tuple[int, int], number: int) -> int:
    """Note that pixels from ``number`` on have products of kernel rows ``span``; return their run.

    Those of one run come one after the other, and have the same kernel rows.
    """
    low, high = span
    if run < 0 or work.runs[run, 1] != low or work.runs[run, 2] != high:
        run += 1
        work.runs[run, 0], work.runs[run, 1], work.runs[run, 2] = number, low, high
    return run


@inner
def tiles(
    work: Work, out: Reals, source: Reals, runs: int, number: int,
    shape: tuple[int, int, int, int, int], weights: Reals, matrix: tuple[int, int],
) -> None:  # fmt: skip
    """Write products of ``number`` pixels in some runs; ``matrix`` is its place, and its width.

    Some of the channels of all pixels, then others: their weights stay in the cache.
    """
    first, width = matrix
    column, products = 0, shape[0] * shape[2] * shape[4]
    while column < width:
        pitch = lanes_from(width, column)
        lanes = min(pitch, 2 * LANES)
        for part in range(0, pitch, lanes):
            rows = (first + products * column + part, pitch, lanes)
            for run in range(runs):
                n, stop = work.runs[run, 0], number if run + 1 == runs else work.runs[run + 1, 0]
                span = (work.runs[run, 1], work.runs[run, 2])
                while n < stop:
                    left = stop - n
                    tile = TILES[0] if left >= TILES[0] else TILES[1] if left >= TILES[1] else 1
                    multiply_tile(
                        out, work.targets, column + part, source, work.places, (n, tile), shape,
                        span, weights, rows,
                    )  # fmt: skip
                    n += tile
        column += pitch
