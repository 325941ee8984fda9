"""A kernel that is to be started, as data: it is run, interpreted, or compiled for any GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any  # Any: a Triton kernel and its arguments


@dataclass(frozen=True)
class Launch:
    """A kernel with its grid, arguments and constants.

    Nothing is tuned on the machine: the code, and with it the bits, follow from what stands here.
    ``stages`` are the turns of a loop whose loads are on the way at once.
    """

    kernel: Any
    grid: tuple[int, ...]
    arguments: tuple[Any, ...]
    constants: dict[str, Any]
    warps: int = 8
    stages: int = 2

    @property
    def options(self) -> dict[str, Any]:
        """Constants and settings. A product and a sum are rounded one by one, as on a CPU."""
        settings = {"num_warps": self.warps, "num_stages": self.stages, "enable_fp_fusion": False}
        return self.constants | settings

    def run(self) -> None:
        """Start the kernel."""
        self.kernel[self.grid](*self.arguments, **self.options)
