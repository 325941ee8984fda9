"""What the runs of a sweep are likely to take, as it was timed here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """What all runs take, and what it rests on.

    Attributes:
        core_hours: of all runs.
        gpu_hours: of all runs, each with the GPUs booked for it; None where it was timed without.
        run_seconds: by the clock, of the mean run and of the longest, on its ranks and threads.
        start_seconds: by the clock, of a process before its first run.
        memory_bytes: most that a process held, of a rank.
        uplink_bytes, downlink_bytes: of all runs: updates as values and what names them cheapest,
            and the model to each participant.
        num_timed: kinds of runs that were timed.
        seconds: that it took.
    """

    core_hours: float
    gpu_hours: float | None
    run_seconds: tuple[float, float]
    start_seconds: float
    memory_bytes: int
    uplink_bytes: float
    downlink_bytes: float
    num_timed: int
    seconds: float
