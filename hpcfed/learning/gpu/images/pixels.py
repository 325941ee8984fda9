"""Images on the device become a network's input, bin by bin: a Triton kernel.

T time bins, B batch, C channels, H height, W width, S images. The words, the cuts and mirrors, and
what is drawn are those of ``samples.encoders`` and ``learning.image_augment``, bit for bit.
"""

from __future__ import annotations

import triton
import triton.language as tl

from hpcfed.learning.gpu.philox import word

DIRECT, POISSON, SIGNED_POISSON = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
AUGMENT_WORDS = tl.constexpr(3)  # image_augment.WORDS


@triton.jit
def show(
    shown, pixels, ids, streams, firsts, limits, changes, first_change,
    num_bins, height, width, channels, padding,
    KIND: tl.constexpr, AUGMENTED: tl.constexpr, FLIPPED: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """Write the images ``ids`` (B,) of ``pixels`` (S, C, H, W) uint8: (T, B, H, W, C).

    An image's words begin at number ``firsts`` (B,) of its stream, whose address is in ``streams``
    (B, 5). ``limits`` (256,) are the words that make a pixel spike. ``changes`` (5,) is the address
    of the words that cut and mirror, the batch's from ``first_change`` (1,) on. All int64. Grid:
    (tiles of TILE values of an image, B).
    """
    image, size = tl.program_id(1).to(tl.int64), height * width * channels
    place = tl.program_id(0) * TILE + tl.arange(0, TILE)  # channels last, as it is written
    inside, channel = place < size, place % channels
    column, row = place // channels % width, place // channels // width
    own = channel * height * width + row * width + column  # channels first: the word's number
    if AUGMENTED:
        number = tl.load(first_change) + AUGMENT_WORDS * image + tl.zeros((TILE,), tl.int64)
        choices = 2 * padding + 1
        top = ((word(number, changes) * choices) >> 32).to(tl.int32)
        left = ((word(number + 1, changes) * choices) >> 32).to(tl.int32)
        if FLIPPED:
            mirrored = word(number + 2, changes) < 2147483648
            column = tl.where(mirrored, width - 1 - column, column)
        row, column = row + top - padding, column + left - padding
    exists = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
    start = tl.load(ids + image) * size
    source = pixels + start + (channel * height + row) * width + column
    pixel = tl.load(source, mask=exists, other=0).to(tl.int32)
    drawn = tl.load(firsts + image) + own
    limit = tl.load(limits + pixel)
    out = shown + image * size + place
    bin_size = tl.num_programs(1).to(tl.int64) * size
    for t in range(num_bins):
        if KIND == DIRECT:
            value = pixel.to(tl.float32) * 0.00784313725490196 - 1.0
        else:
            fires = word(drawn + t * size, streams + image * 5) < limit
            value = fires.to(tl.float32)
            if KIND == SIGNED_POISSON:
                value = tl.where(pixel > 127, value, -1.0 * value)
        tl.store(out + t * bin_size, value, mask=inside)
