"""Makes each rank of a toy job slow, lets it say in which phase it is, and die where it is told to.

Python imports this at its start where PYTHONPATH names this folder, so also behind mpirun.
HPCFED_CHAOS names a folder in which each rank keeps a file RANK.PID with its phase.
HPCFED_CHAOS_DIE is a list of {"phase", "ranks", "nth"} as JSON: ranks that kill themselves when
they enter a phase for the nth time; a job that was started again lives. HPCFED_CHAOS_SECONDS is the
sleep a client.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from pathlib import Path

from hpcfed.launch import started_as

PHASES = (
    "start-up", "before training", "training", "collective", "writing", "evaluation", "recovery",
    "end",
)  # fmt: skip
DIED = "died in "  # written before the phase by a rank that kills itself
WIDTH = len(DIED) + max(len(phase) for phase in PHASES)


class Phase:
    """The phase this rank is in; what it does between collectives is ``at``."""

    def __init__(self) -> None:
        self.rank = started_as(os.environ)[0]
        name = Path(os.environ["HPCFED_CHAOS"], f"{self.rank}.{os.getpid()}")
        self._file = os.open(name, os.O_CREAT | os.O_WRONLY)
        deaths = json.loads(os.environ.get("HPCFED_CHAOS_DIE", "[]"))
        again = "HPCFED_FIRST_START" in os.environ
        self._deaths = [d for d in deaths if self.rank in d["ranks"] and not again]
        self._count = dict.fromkeys(PHASES, 0)
        self.at = "start-up"
        self.enter("start-up")

    def enter(self, phase: str) -> None:
        """Say it, and die if this is the time."""
        self.show(phase)
        self._count[phase] += 1
        for death in self._deaths:
            if death["phase"] == phase and death.get("nth", 1) == self._count[phase]:
                self.show(f"{DIED}{phase}")
                os.kill(os.getpid(), signal.SIGKILL)

    def show(self, phase: str) -> None:
        """Let others see the phase."""
        os.pwrite(self._file, phase.ljust(WIDTH).encode(), 0)

    def go_to(self, phase: str) -> None:
        """Enter a phase that lasts until the next one, interrupted by collectives."""
        self.at = phase
        self.enter(phase)


def patch(phase: Phase) -> None:
    """Follow what the rank does."""
    import hpcfed.federation.progress
    from hpcfed.federation import recorder
    from hpcfed.federation.mpi import survivors, transport
    from tests import toy_world
    from tests.mpi.toy_run import broken_display

    if toy_world.happens("display"):
        hpcfed.federation.progress.describe = broken_display

    def before(owner, name: str, note) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def noted(*arguments, **keywords):
            note(*arguments, **keywords)
            return original(*arguments, **keywords)

        setattr(owner, name, noted)

    def entered(self, name: str, waiting: bool) -> None:
        if waiting:
            phase.enter("collective")
        elif name.startswith("writing"):
            phase.enter("writing")
        else:
            phase.show(phase.at)

    def written(self, state, memory, status: str) -> None:
        if status == "finished":
            phase.go_to("end")

    before(survivors.Survivors, "__init__", lambda *_: phase.go_to("before training"))
    before(survivors.Survivors, "_shrink", lambda *_: phase.go_to("recovery"))
    before(survivors.Survivors, "leave", lambda *_: phase.go_to("end"))
    before(transport.Transport, "_enter", entered)
    before(recorder.RunRecorder, "write", written)


if "HPCFED_CHAOS" in os.environ and "run" in sys.orig_argv and "--ranks" not in sys.orig_argv:
    PHASE = Phase()
    patch(PHASE)
