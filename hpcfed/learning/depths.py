"""What is measured of clients that repeat a block of the network."""

from __future__ import annotations

from collections.abc import Mapping

from hpcfed.config import ModelConfig

DEPTH, SECONDS = "depth", "seconds_client"
# name -> dtype, unit, meaning; columns of rounds and participations, where a block is repeated
DEPTH_FIGURES = {
    DEPTH: ("f8", "1", "iterations of the repeated block"),
    SECONDS: ("f8", "s", "a client's local training"),
}


def depth_figures(model: ModelConfig, depth: int, seconds: float) -> Mapping[str, float]:
    """Return them of one client; nothing where no block is repeated."""
    if not model.is_repeated:
        return {}
    return {DEPTH: float(depth or model.repetition.evaluated_depth), SECONDS: seconds}
