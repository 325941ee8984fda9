"""Copies of the weights: turned for the way back, and framed with zeros for pairs of pixels."""

from __future__ import annotations

from hpcfed.base.compiled import inner
from hpcfed.learning.constants import Reals
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.stack.geometry import geometry, lanes_from
from hpcfed.learning.stack.tables import Stack
from hpcfed.learning.stack.work import Work


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
        if stack.marks[step] >= 0:
            _part(work.weights[own.weights :], work.lone[own.back :], taps, own.channels, own.made)


@inner
def _turn(weights: Reals, back: Reals, taps: int, channels: int, made: int) -> None:
    """Write weights (taps, channels, made) as (made / LANES, taps from the last, LANES, channels).

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
def _part(weights: Reals, lone: Reals, taps: int, channels: int, made: int) -> None:
    """Write weights (taps, channels, made) as (channels, made / LANES, taps from the last, LANES).

    The former in blocks of their last axis.
    """
    column = 0
    while column < made:
        lanes, block = lanes_from(made, column), taps * channels * column
        for tap in range(taps):
            for c in range(channels):
                at = block + (tap * channels + c) * lanes
                for n in range(lanes):
                    plane, own = (column + n) // LANES, (column + n) % LANES
                    to = (c * (made // LANES) + plane) * taps + taps - 1 - tap
                    lone[to * LANES + own] = weights[at + n]
        column += lanes


@inner
def keep_groups(stack: Stack, work: Work) -> None:
    """Let no gradient reach weights between channels of different groups: they stay zero."""
    for layer in range(len(stack.steps)):
        if stack.groups[layer] == 1:
            continue
        own = geometry(stack, stack.steps[layer])
        sees = stack.real_channels[stack.steps[layer]] // stack.groups[layer]
        makes, column = stack.neurons[layer, 1] // stack.groups[layer], 0
        while column < own.made:
            lanes = lanes_from(own.made, column)
            first = own.weights + own.rows * own.columns * own.channels * column
            for row in range(own.rows * own.columns * own.channels):
                group = row % own.channels // sees
                for n in range(lanes):
                    if (column + n) // makes != group:
                        work.gradient[first + row * lanes + n] = 0
            column += lanes


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
