"""The gradient of a convolution's input: of all values, or of neurons alone that have a slope.

From the planes of ``gradients``, in which the gradient of what flows in lies.
"""

from __future__ import annotations

from hpcfed.base.compiled import inner
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.stack.geometry import lanes_from, place_row, tiles
from hpcfed.learning.stack.products import product_marked
from hpcfed.learning.stack.tables import Geometry, Stack
from hpcfed.learning.stack.work import Work


@inner
def return_input(stack: Stack, work: Work, step: int, own: Geometry, start: int, stop: int) -> None:
    """Write the gradient of the input of images start to stop to ``stack.changes``."""
    if stack.marks[step] >= 0 and _few_marks(stack, work, step, own, start, stop):
        _return_marked(stack, work, step, own, start, stop - start)
    else:
        _return_all(work, own, start, stop - start, stack.changes[step] * work.room)


@inner
def _few_marks(stack: Stack, work: Work, step: int, own: Geometry, start: int, stop: int) -> bool:
    """Say whether so few neurons have a slope that their gradients alone are faster."""
    marked, size = 0, own.height * own.width * own.channels * (stop - start)
    for image in range(start, stop):
        marked += work.marked[step, image]
    return bool(marked < stack.switches[step, 2] * size)


@inner
def _return_marked(
    stack: Stack, work: Work, step: int, own: Geometry, start: int, count: int
) -> None:
    """Write the gradient of those spikes whose neurons have a slope, and zeros for the others."""
    height, width = own.height + own.rows - 1, own.width + own.columns - 1
    image_step, planes = height * width * LANES, own.made // LANES
    shape = (planes, count * image_step, width * LANES)
    pitch = planes * own.rows * own.columns * LANES
    first, changes = stack.marks[step] * work.room, stack.changes[step] * work.room
    for image in range(count):
        for y in range(own.height):
            for x in range(own.width):
                at = (((start + image) * own.height + y) * own.width + x) * own.channels
                source = image * image_step + (y * width + x) * LANES
                column = 0
                while column < own.channels:
                    lanes = lanes_from(own.channels, column)
                    product_marked(
                        work.traces, changes + at + column, lanes, work.plane, source, shape,
                        work.lone, own.back + column * pitch, work.marks,
                        first + (at + column) // LANES,
                    )  # fmt: skip
                    column += lanes


@inner
def _return_all(work: Work, own: Geometry, start: int, count: int, changes: int) -> None:
    """Write the gradient of the input of ``count`` images from the planes of what flows in."""
    height, width = own.height + own.rows - 1, own.width + own.columns - 1
    image_step, up = height * width * LANES, own.rows - 1 - own.padding
    end = up + (own.made_height - 1) * own.stride + 1  # rows before up and from here on are zero
    run, number = -1, 0
    for y in range(own.height):
        low, high = max(0, up - y), min(own.rows, end - y)
        run = place_row(work, run, (low, max(low, high)), number)
        for image in range(count):
            for x in range(own.width):
                work.places[number] = image * image_step + (y * width + x) * LANES
                at = ((start + image) * own.height + y) * own.width + x
                work.targets[number] = changes + at * own.channels
                number += 1
    shape = (own.made // LANES, count * image_step, own.rows, width * LANES, own.columns * LANES)
    tiles(
        work, work.traces, work.plane, run + 1, number, shape, work.back, (own.back, own.channels)
    )  # fmt: skip
