"""Hidden layers as they are written: 128 neurons, "64c3" a convolution, "p2" a pool.

================ ====================================================================
128              dense, 128 neurons
"64c3"           convolution, 64 channels, kernel 3 x 3; padding 1, so that sizes stay
"64c3s2p0g4"     the same with stride 2, padding 0 and 4 groups
"p2", "m2"       average and maximum over 2 x 2, without overlap
"p"              average over all pixels
"d0.3"           dropout of 0.3, in training
"64x3"           a depthwise-separable convolution: 3 x 3 within each channel, then
                 1 x 1 to 64 channels; stride and padding as above
["64c3", "64c3"] a residual block: what comes out of it and what went in are added
["repeat",       a block that is repeated with the same weights, as `model.repeat`
 "64c3", "64c3"] says, each time a residual block of what came out before
================ ====================================================================
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CONVOLUTION = re.compile(r"([1-9]\d*)c([1-9]\d*)(?:s([1-9]\d*))?(?:p(\d+))?(?:g([1-9]\d*))?")
_SEPARABLE = re.compile(r"([1-9]\d*)x([1-9]\d*)(?:s([1-9]\d*))?(?:p(\d+))?")
_POOL = re.compile(r"([pm])([2-9]|[1-9]\d+)|p")
_DROPOUT = re.compile(r"d(0\.\d+)")

REPEAT = "repeat"

Entry = int | str | tuple[int | str, ...]


class Dense(NamedTuple):
    """A dense layer."""

    neurons: int


class Convolution(NamedTuple):
    """A convolution with a square kernel."""

    channels: int
    kernel: int
    stride: int
    padding: int
    groups: int


class Separable(NamedTuple):
    """A convolution within each channel, and one of single pixels over all channels."""

    channels: int
    kernel: int
    stride: int
    padding: int


class Pool(NamedTuple):
    """A pool over squares of ``size`` pixels, 0: over all of them."""

    maximum: bool
    size: int


class Dropout(NamedTuple):
    """Values are left out with ``probability`` in training, and the others raised."""

    probability: float


class Residual(NamedTuple):
    """A block whose input is added to its output."""

    body: tuple[Weighted, ...]


class Repeated(NamedTuple):
    """A block whose output is added to what went in, several times with the same weights."""

    body: tuple[Weighted, ...]


Weighted = Dense | Convolution | Separable
Spec = Weighted | Pool | Dropout | Residual | Repeated


def parse(entry: Entry) -> Spec:
    """Return the layer that an entry of ``model.hidden`` describes. Raises ValueError."""
    if isinstance(entry, tuple):
        return _block(entry)
    if isinstance(entry, int):
        if entry < 1:
            raise ValueError(f"hidden: {entry} neurons; expected at least one")
        return Dense(entry)
    if match := _CONVOLUTION.fullmatch(entry):
        channels, kernel, stride, padding, groups = match.groups()
        return Convolution(
            int(channels),
            int(kernel),
            int(stride or 1),
            int(kernel) // 2 if padding is None else int(padding),
            int(groups or 1),
        )
    if match := _SEPARABLE.fullmatch(entry):
        channels, kernel, stride, padding = match.groups()
        padding = int(kernel) // 2 if padding is None else int(padding)
        return Separable(int(channels), int(kernel), int(stride or 1), padding)
    if match := _POOL.fullmatch(entry):
        return Pool(match[1] == "m", int(match[2] or 0))
    if match := _DROPOUT.fullmatch(entry):
        return Dropout(float(match[1]))
    raise ValueError(
        f'hidden: "{entry}" is no layer; expected a number of neurons, a convolution such as '
        '"64c3" or "64c3s2", a separable one: "64x3", a pool: "p2", "m2", "p", a dropout: "d0.3", '
        'or a residual block: a list of convolutions, one that is repeated with "repeat" before'
    )


def _block(entry: tuple[int | str, ...]) -> Residual | Repeated:
    kind, inner = (Repeated, entry[1:]) if entry[:1] == (REPEAT,) else (Residual, entry)
    body = tuple(parse(one) for one in inner)
    layers = tuple(spec for spec in body if isinstance(spec, Weighted))
    if not layers or len(layers) < len(body):
        raise ValueError(f"hidden: {list(entry)}: such a block has layers with weights alone")
    return kind(layers)
