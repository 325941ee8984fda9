"""The clients of a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Client:
    """A client: its number among all N and the ids of its training samples, (n,) int64."""

    index: int
    samples: I64
