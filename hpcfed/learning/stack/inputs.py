"""What enters a stack: images encoded by words, or the events of a sensor, listed bin by bin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hpcfed.base.compiled import inner
from hpcfed.base.philox import draw
from hpcfed.learning.event.lanes import LANES
from hpcfed.learning.event.samples import change_events, copy_events
from hpcfed.learning.stack.lists import copy, list_picture, list_spaced, signal
from hpcfed.learning.stack.tables import Source, Stack
from hpcfed.learning.stack.work import Work

U32 = NDArray[np.uint32]

ENCODERS = ("events", "direct", "poisson", "signed-poisson")
EVENTS, DIRECT, POISSON, SIGNED = range(4)


@inner
def list_inputs(stack: Stack, work: Work, source: Source, start: int, batch: int) -> None:
    """List what samples start to start + batch of a call show in each bin."""
    if source.encoder == EVENTS:
        for b in range(batch):
            _list_events(stack, work, source, start + b, b, batch)
        return
    places, channels = stack.heights[0] * stack.widths[0], stack.channels[0]
    pitch = max(LANES, channels)  # of pixels in the picture: a register's, if they fit one
    for t in range(stack.num_bins):  # by images: entries beyond the end are written over in time
        for b in range(batch):
            block = (start + b) * stack.num_bins + t
            address = source.address
            if source.by_sample:
                copy(work.address, source.address)
                work.address[1] = np.uint32(source.samples[start + b])
                address, block = work.address, t
            _encode(stack, work, source, start + b, address, block * places * channels, pitch)
            list_spaced(signal(stack, work, 0, t * batch + b), work.picture, pitch)
    work.picture[: places * pitch] = 0


@inner
def _encode(
    stack: Stack, work: Work, source: Source, number: int, address: U32, word: int, pitch: int
) -> None:
    """Write what a sample shows in a bin to ``work.picture``, its pixels ``pitch`` apart.

    Its words, one each in the order (channels, pixels), begin with number ``word``.
    """
    places, channels = stack.heights[0] * stack.widths[0], stack.channels[0]
    one, zero = work.picture.dtype.type(1), work.picture.dtype.type(0)
    pixels = source.pixels[source.row[number]]
    if source.encoder == DIRECT:
        for c in range(channels):
            for place in range(places):
                value = np.float32(pixels[c * places + place]) * np.float32(2 / 255)
                work.picture[place * pitch + c] = value - np.float32(1)
        return
    skipped, count = word % 4, places * channels
    words = work.drawn[: (skipped + count + 3) // 4 * 4]
    draw(words, word // 4, address)
    below = -one if source.encoder == SIGNED else one
    for c in range(channels):
        for place in range(places):
            at = c * places + place
            pixel = pixels[at]
            value = one if pixel > 127 else below
            fires = np.uint64(words[skipped + at]) < source.limits[pixel]
            work.picture[place * pitch + c] = value if fires else zero


@inner
def _list_events(stack: Stack, work: Work, source: Source, number: int, b: int, batch: int) -> None:
    """List a sample's events, by bin: each place has as many as are counted there."""
    places, channels = stack.heights[0] * stack.widths[0], stack.channels[0]
    inputs, bounds = source.events, work.bins[: stack.num_bins + 1]
    if len(inputs.time_shifts) == 0 and len(inputs.counts) == 0:
        copy_events(inputs, number, work.sensed, 0, bounds)
    else:
        change_events(
            stack.num_bins, places * channels, inputs, number, work.sensed, 0, bounds
        )  # fmt: skip
    picture, one = work.picture, work.picture.dtype.type(1)
    for t in range(stack.num_bins):
        for k in range(bounds[t], bounds[t + 1]):
            event = np.int64(work.sensed[k])
            picture[event % places * channels + event // places] += one
        list_picture(signal(stack, work, 0, t * batch + b), picture)
        for k in range(bounds[t], bounds[t + 1]):
            event = np.int64(work.sensed[k])
            picture[event % places * channels + event // places] = 0
