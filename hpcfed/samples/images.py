"""Images: one array of pixels in memory or mapped from a file, and who drew them.

S samples, C channels, H height, W width, B batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageSet:
    """S images of one size. Raises InputError for arrays that do not fit together.

    Attributes:
        pixels: (S, C, H, W) uint8, never written.
        labels: (S,) int64, index into ``class_names``; -1 marks a sample outside the chosen subset.
        groups: (S,) int64, index into ``group_names`` (writers).
        teacher: (S, K) float32 logits of a teacher, of samples that are trained on; None without.
    """

    pixels: U8
    labels: I64
    groups: I64
    class_names: tuple[str, ...]
    group_names: tuple[str, ...]
    teacher: F32 | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype != np.uint8:
            raise InputError(
                f"images of shape {self.pixels.shape}, {self.pixels.dtype}; expected (samples, "
                "channels, height, width), uint8"
            )
        for name, values, names in (
            ("labels", self.labels, self.class_names),
            ("groups", self.groups, self.group_names),
        ):
            if values.shape != (len(self.pixels),):
                raise InputError(f"{len(self.pixels)} images but {name} of shape {values.shape}")
            lowest = -1 if name == "labels" else 0
            if len(values) and not lowest <= values.min() <= values.max() < len(names):
                raise InputError(
                    f"{name} from {values.min()} to {values.max()} of images, expected 0 to "
                    f"{len(names) - 1}"
                )

    @property
    def num_samples(self) -> int:
        """S."""
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W)."""
        return self.pixels.shape[1:]

    def input_rate(self, samples: I64) -> float:
        """Return NaN: pixels are no spikes."""
        return float("nan")

    def examples(self, samples: I64) -> U8:
        """Return the pixels of ``samples`` (B,): (B, C, H, W) uint8."""
        return self.pixels[samples]
