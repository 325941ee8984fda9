"""Python looks for garbage less often while many objects are made that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 50_000  # new ones before it looks


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Let a library load, or a compiler work, with few looks; a rarer threshold is left alone."""
    thresholds = gc.get_threshold()
    if thresholds[0]:  # zero: never
        gc.set_threshold(max(_OBJECTS, thresholds[0]), *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
