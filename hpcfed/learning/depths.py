"""What is measured of clients that repeat a block of the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hpcfed.config import ModelConfig

DEPTH, OPERATIONS, SECONDS = "depth", "operations", "seconds_client"
# name -> dtype, unit, meaning; columns of rounds and participations, where a block is repeated
DEPTH_FIGURES = {
    DEPTH: ("f8", "1", "iterations of the repeated block"),
    OPERATIONS: ("f8", "1", "multiply-accumulates of a pass, a sample and a bin"),
    SECONDS: ("f8", "s", "a client's local training"),
}


def depth_figures(
    model: ModelConfig, depth: int, operations: Callable[[int], int], seconds: float
) -> Mapping[str, float]:
    """Return them of one client; nothing where no block is repeated."""
    if not model.is_repeated:
        return {}
    times = depth or model.repetition.evaluated_depth
    return {DEPTH: float(times), OPERATIONS: float(operations(times)), SECONDS: seconds}
