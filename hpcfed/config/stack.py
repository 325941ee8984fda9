"""Hidden layers as they are written: 128 neurons, "64c3" a convolution, "p2" a pool.

=============== =====================================================================
128             dense, 128 neurons
"64c3"          convolution, 64 channels, kernel 3 x 3; padding 1, so that sizes stay
"64c3s2p0g4"    the same with stride 2, padding 0 and 4 groups
"p2", "m2"      average and maximum over 2 x 2, without overlap
"p"             average over all pixels
=============== =====================================================================
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CONVOLUTION = re.compile(r"([1-9]\d*)c([1-9]\d*)(?:s([1-9]\d*))?(?:p(\d+))?(?:g([1-9]\d*))?")
_POOL = re.compile(r"([pm])([2-9]|[1-9]\d+)|p")


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


class Pool(NamedTuple):
    """A pool over squares of ``size`` pixels, 0: over all of them."""

    maximum: bool
    size: int


Spec = Dense | Convolution | Pool


def parse(entry: int | str) -> Spec:
    """Return the layer that an entry of ``model.hidden`` describes. Raises ValueError."""
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
    if match := _POOL.fullmatch(entry):
        return Pool(match[1] == "m", int(match[2] or 0))
    raise ValueError(
        f'hidden: "{entry}" is no layer; expected a number of neurons, a convolution such as '
        '"64c3" or "64c3s2", or a pool: "p2", "m2", "p"'
    )
