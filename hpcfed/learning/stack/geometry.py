"""Sizes of a layer's products, and tiles of products of all values.

A layer's weights lie in blocks of up to MOST channels, as (rows, columns, in, lanes) each: what is
used together lies together.
"""

from __future__ import annotations

from hpcfed.base.compiled import inner
from hpcfed.learning.constants import Reals
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.stack.products import TILE, multiply_tile
from hpcfed.learning.stack.tables import Geometry, Stack, Work
from hpcfed.learning.stack.vectors import MOST


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
def tiles(
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
                    shape, weights, (first + products * column + part, pitch),
                )  # fmt: skip
                n += tile
        column += pitch
