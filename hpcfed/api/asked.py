"""Samples that a trained network is asked about: as it was trained to see them, and which of them.

S samples. What a network says of a sample does not depend on its label, and many have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import DataConfig
from hpcfed.datasets import Loaded, chosen
from hpcfed.datasets.arrays import SpikeTimes
from hpcfed.datasets.checks import numbered_classes
from hpcfed.datasets.given import Samples, prepared
from hpcfed.errors import InputError
from hpcfed.samples.events import EventSet
from hpcfed.samples.images import ImageSet

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """``ids`` (S,) of ``samples``; ``all_of`` says that nobody has chosen them."""

    samples: Loaded
    ids: I64
    all_of: bool

    @classmethod
    def of(cls, samples: Loaded, ids: Sequence[int] | I64 | int | None) -> Asked:
        """Return the samples with the numbers ``ids``. Raises InputError for numbers of none."""
        if ids is None:
            return cls(samples, np.arange(samples.num_samples), True)
        found = np.atleast_1d(np.asarray(ids))
        if found.ndim != 1 or (found.dtype.kind not in "iu" and found.size):
            raise InputError(
                f"ids of shape {found.shape}, {found.dtype}; expected numbers of samples"
            )
        if found.size and not 0 <= found.min() <= found.max() < samples.num_samples:
            raise InputError(
                f"ids from {found.min()} to {found.max()}; there are samples 0 to "
                f"{samples.num_samples - 1}"
            )
        return cls(samples, found.astype(np.int64), False)

    def without_labels(self) -> tuple[Loaded, I64]:
        """Return the samples, whatever they are said to be, and the ids."""
        return replace(self.samples, labels=np.zeros_like(self.samples.labels)), self.ids

    def with_labels(self) -> tuple[Loaded, I64]:
        """Return the samples and those ids that have a label.

        Raises InputError for ids that were chosen and have none, and where none has one.
        """
        known = self.samples.labels[self.ids] >= 0
        if not known.all() and (not self.all_of or not known.any()):
            raise InputError(
                f"evaluating a network: {int((~known).sum())} of {len(known)} samples have no "
                "label that it knows; give labels, or use predict or logits"
            )
        return self.samples, self.ids[known]


def asked_of(samples: Samples, config: DataConfig, num_channels: int) -> Loaded:
    """Return samples as the network of an experiment sees them.

    Raises InputError for anything else, for what cannot be binned, and for events that do not fit
    together.
    """
    if not isinstance(samples, SpikeTimes | EventSet | ImageSet):
        raise InputError(
            f"asking a network about {type(samples).__name__}: expected samples (hpcfed.events, "
            "hpcfed.images, or train or test of what hpcfed.data returns)"
        )
    if not isinstance(samples, SpikeTimes):
        return prepared(samples, config, "events", num_channels)
    found = prepared(samples, config, "spike times", num_channels or samples.width)
    return chosen(config, found) if samples.class_names else found


def for_classes(samples: Loaded, class_names: tuple[str, ...]) -> Loaded:
    """Return samples with the classes of a network, of which they may have fewer.

    Raises InputError where both name a class and the names differ.
    """
    ours, theirs = samples.class_names, class_names
    if not theirs or ours == theirs:
        return samples
    unnamed = (names == numbered_classes(len(names)) for names in (ours, theirs))
    if len(ours) > len(theirs) or (not any(unnamed) and ours != theirs[: len(ours)]):
        raise InputError(
            f"asking a network about samples of the classes {', '.join(ours)}: it knows "
            f"{', '.join(theirs)}; give class_names in this order"
        )
    return replace(samples, class_names=theirs)
