"""What is to be seen of a run, a sweep or a search at one moment."""

from __future__ import annotations

from dataclasses import dataclass

# nothing there yet, or nothing that can be read; the others are those of run files
WAITING, RUNNING, FINISHED, FAILED, STOPPED = "waiting", "running", "finished", "failed", "stopped"
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class View:
    """One look.

    Attributes:
        status: WAITING, RUNNING, FINISHED, FAILED or STOPPED.
        brief: all in a line, the same as long as nothing has happened.
        lines: all that is to be said; the bar of rounds stands beside the second.
        done: rounds so far.
        total: rounds planned; 0: not known.
        pause_s: seconds after which another look tells something new.
    """

    status: str
    brief: str
    lines: tuple[str, ...]
    done: int = 0
    total: int = 0
    pause_s: float = 1.0


def status_of_all(statuses: set[str]) -> str:
    """Return the status of several runs together: they have ended when the last one has."""
    return next(s for s in (RUNNING, FAILED, STOPPED, FINISHED) if s in statuses)


def curve(values: list[float], width: int = 40) -> str:
    """Return finite ``values`` as a line of at most ``width`` bars, from the least to the most."""
    step = max(1, -(-len(values) // width))
    shown = values[::-1][::step][::-1]  # the last one is among them
    low, span = min(shown), (max(shown) - min(shown)) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in shown)
