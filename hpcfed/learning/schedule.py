"""The learning rate of a round: a pure function of the client's settings and the round's number."""

from __future__ import annotations

import math

from hpcfed.config import ClientConfig


def learning_rate(client: ClientConfig, round_index: int) -> float:
    """Return the learning rate of round ``round_index``, counted from 0.

    It goes from ``learning_rate`` in round 0 to ``schedule_factor`` times that in round
    ``schedule_rounds`` and stays there; or it is multiplied by the factor after each milestone, a
    number of rounds done. It does not depend on ``server.rounds``, so that a run that
    is made longer continues as if it had been longer from the start.
    """
    if client.schedule_milestones is not None:
        passed = sum(round_index >= milestone for milestone in client.schedule_milestones)
        return float(client.learning_rate * client.schedule_factor**passed)
    progress = min(round_index / client.schedule_rounds, 1.0)
    end = client.schedule_factor
    factors = {
        "constant": 1.0,
        "linear": 1.0 + (end - 1.0) * progress,
        "cosine": end + (1.0 - end) * (1.0 + math.cos(math.pi * progress)) / 2.0,
        "exponential": math.pow(end, progress),
    }
    return client.learning_rate * factors[client.schedule]
