"""Versions of the packages that shape a result."""

from __future__ import annotations

import contextlib
import importlib.metadata
from functools import cache

PACKAGES = ("hpcfed", "numpy", "h5py", "mpi4py", "torch", "norse", "triton", "numba", "tonic")


@cache
def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Return the versions of those that are installed, by name."""
    found = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
