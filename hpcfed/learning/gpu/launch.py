"""A kernel that is to be started, as data: it is run, interpreted, or compiled for any GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any  # Any: a Triton kernel and its arguments

from triton.runtime.errors import OutOfResources

from hpcfed.errors import InputError


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
        """Start the kernel. Raises InputError if the GPU is too small for its code."""
        try:
            self.kernel[self.grid](*self.arguments, **self.options)
        except OutOfResources as error:
            raise InputError(
                f"the kernel {self.kernel.__name__} does not fit this GPU ({error}); take one of "
                'compute capability 8.0 or 9.0, say an A100 or H100, or client.engine = "auto"'
            ) from None
