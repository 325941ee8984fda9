"""What every kind of samples has: labels, groups, names, and the shape of the input at one time.

S samples. ``EventSet`` (spikes in time bins) and ``ImageSet`` (pixels) are the two kinds.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple, Protocol  # Any: input of any type and rank

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]


class Shape(NamedTuple):
    """What a network stands between.

    Attributes:
        input: shape of the input at one time: (C,) channels of events, (polarity, height, width) of
            a sensor, (channel, height, width) of an image.
        classes: K.
        in_bins: whether a picture comes bin by bin, as the events of a sensor do.
    """

    input: tuple[int, ...]
    classes: int
    in_bins: bool = False

    @property
    def num_inputs(self) -> int:
        """C, the inputs at one time, raveled."""
        return prod(self.input)


class Samples(Protocol):
    """S immutable samples; a batch is an array of sample ids."""

    @property
    def labels(self) -> I64:
        """(S,) index into ``class_names``; -1 marks a sample outside the chosen subset."""
        ...

    @property
    def groups(self) -> I64:
        """(S,) index into ``group_names`` (speakers, writers)."""
        ...

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the K classes."""
        ...

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the input at one time."""
        ...

    @property
    def num_samples(self) -> int:
        """S."""
        ...

    def input_rate(self, samples: I64) -> float:
        """Return the mean spikes per input and time bin of ``samples`` (B,); NaN without spikes."""
        ...

    def examples(self, samples: I64) -> NDArray[Any]:
        """Return ``samples`` (B,) as a picture or a raster shows them: (B, ...)."""
        ...


def shape_of(samples: Samples) -> Shape:
    """Return what a network for ``samples`` stands between."""
    return Shape(samples.shape, len(samples.class_names), bool(getattr(samples, "plane", ())))


def as_given(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written: of files or in memory, kernels see the same type."""
    view = array.view()
    view.flags.writeable = False
    return view


def side_by_side(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return samples (n,) one beside the other: turned round or thinned, kernels see one type."""
    return np.ascontiguousarray(ids)
