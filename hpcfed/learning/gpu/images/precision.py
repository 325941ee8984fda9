"""How products are taken on a GPU, for as long as the engine works: the same way each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def products_in(precision: str | None) -> Iterator[None]:
    """Take convolutions and matrix products of float32 in TF32 for "tf32", else in float32.

    Convolutions by algorithms that give the same bits each time, chosen without trying them.
    """
    rounded, matmul = precision == "tf32", torch.backends.cuda.matmul
    before, matmul.allow_tf32 = matmul.allow_tf32, rounded
    try:
        with torch.backends.cudnn.flags(
            enabled=True, benchmark=False, deterministic=True, allow_tf32=rounded
        ):
            yield
    finally:
        matmul.allow_tf32 = before
