"""MPI, and the only import of mpi4py: collectives on NumPy buffers, errors that end all ranks.

Every collective is preceded by a barrier, so that waiting for others and moving bytes are told
apart. Bytes are counted as payload: what a rank sends to another one, whatever tree the library
builds. Where MPI tolerates the death of a rank (user-level failure mitigation: Bland et al. 2013,
doi:10.1177/1094342013488238), it becomes RankLostError on every rank that is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar  # Any: mpi4py's communicator, whose stubs the base install lacks

import numpy as np
from numpy.typing import NDArray

from hpcfed.errors import InputError, StoppedRunError
from hpcfed.federation.mpi.watchdog import Watchdog
from hpcfed.launch import settings, signs

I64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Array = NDArray[Any]
Result = TypeVar("Result")

_START_LIMIT_S = 300
_CHUNK_ITEMS = 1 << 26  # MPI 3.1 counts items in 31 bits
# while it waits a rank looks up this often in the time that it has waited: the rest it sleeps
_LOOKS, _SHORTEST_S, _LONGEST_S = 50, 5e-5, 2e-3


class AgreedError(Exception):
    """A rank failed and all ranks know it: every rank raises this, one after a collective.

    On the failing rank ``__cause__`` is its own exception.
    """


class RankLostError(Exception):
    """A rank has died; every living one raises this, at its next collective at the latest."""


def world() -> Any:
    """Return COMM_WORLD, starting MPI. Raises InputError if there is no MPI to start."""
    os.environ.update(settings.alone(os.environ))
    try:
        import mpi4py

        # without threads in the library a collective from a worker thread could not be checked;
        # hpcfed calls MPI from the main thread only
        mpi4py.rc.thread_level = "funneled"
        # MPI waits for ever for a rank of another host that dies before it has started
        faulthandler.dump_traceback_later(_START_LIMIT_S, exit=True, file=2)
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"MPI cannot be started ({error}); install hpcfed[train,mpi], or load the cluster's MPI"
        ) from None
    finally:
        faulthandler.cancel_dump_traceback_later()
    signs.give(signs.STARTED)
    return MPI.COMM_WORLD


def library_version() -> str:
    """Return the MPI library's own description, on one line."""
    world()
    from mpi4py import MPI

    return " ".join(MPI.Get_library_version().strip("\0").split("\n")[0].split())


def takes_gpu_memory() -> bool:
    """Whether the MPI library says that it sends GPU memory directly; one that is silent does not.

    Open MPI and MPICH both have MPIX_Query_cuda_support (docs.open-mpi.org, "CUDA"; mpich.org,
    man pages of MPICH 4).
    """
    world()
    from mpi4py import MPI

    try:
        return bool(ctypes.CDLL(MPI.__file__).MPIX_Query_cuda_support())
    except (AttributeError, OSError):
        return False


def tolerates_losses() -> bool:
    """Say whether ranks outlive another one's death: ``mpirun --with-ft ulfm`` of Open MPI."""
    return os.environ.get("OMPI_MCA_mpi_ft_enable") == "1"  # noqa: SIM112  Open MPI's own spelling


def agree(comm: Any, flag: bool) -> bool:
    """Say on every living rank alike whether all have set ``flag`` and no rank is newly lost.

    Like ``Shrink`` it works on a communicator that has lost ranks or was revoked.
    """
    from mpi4py import MPI

    try:
        return bool(comm.Agree(int(flag)))
    except MPI.Exception:
        return False


def shrunken(comm: Any) -> tuple[Any, list[int]]:
    """Return a communicator of the living ranks of ``comm``, and their numbers there."""
    from mpi4py import MPI

    smaller = comm.Shrink()
    smaller.Set_errhandler(MPI.ERRORS_RETURN)
    return smaller, smaller.Get_group().Translate_ranks(None, comm.Get_group())


class Transport:
    """The collectives of a run over one communicator, with their seconds and bytes."""

    def __init__(self, comm: Any) -> None:
        self._watchdog: Watchdog | None = None
        self._comm = _copy(comm)
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()
        with self._noticing_losses():
            self.hosts: list[str] = self._comm.allgather(_hostname())
        self.local_rank = self.hosts[: self.rank].count(self.hosts[self.rank])
        self.seconds_wait = 0.0
        self.seconds_communicate = 0.0
        self.bytes_sent = 0

    def watch(self, limit_min: float) -> None:
        """From now on name the ranks that make others wait longer than ``limit_min`` minutes."""
        with self._noticing_losses():
            self._watchdog = Watchdog(self.rank, self.hosts, limit_min, self._comm.bcast)

    def close(self) -> None:
        """Pass a barrier and free the communicator."""
        with self._noticing_losses():
            self._wait()
        if self._watchdog is not None:
            self._watchdog.close()
        self._comm.Free()

    def broadcast(self, array: Array) -> Array:
        """Copy the root's ``array`` into every rank's, in place."""
        flat = array.reshape(-1)
        self._collective("broadcast", lambda part: self._comm.Bcast(part, root=0), flat)
        if self.rank == 0:
            self.bytes_sent += (self.size - 1) * array.nbytes
        return array

    def sum_at_root(self, array: Array) -> Array:
        """Add the ranks' ``array`` (int64 or float64) at the root, in place there."""
        from mpi4py import MPI

        def reduce(part: Array) -> None:
            if self.rank == 0:
                self._comm.Reduce(MPI.IN_PLACE, part, op=MPI.SUM, root=0)
            else:
                self._comm.Reduce(part, None, op=MPI.SUM, root=0)

        self._collective("reduce", reduce, array.reshape(-1))
        self.bytes_sent += array.nbytes * (self.rank != 0)
        return array

    @cached_property
    def takes_gpu_memory(self) -> bool:
        """Whether ``gather`` may be given a buffer that lies on a GPU."""
        return takes_gpu_memory()

    def gather(self, payload: Any) -> list[Bytes]:
        """Return every rank's (n,) uint8 payload at the root, in rank order; elsewhere nothing.

        A payload may lie on a GPU where MPI takes it from there.
        """
        from mpi4py import MPI

        size = np.array([payload.nbytes], np.int64)
        sizes = np.zeros(self.size if self.rank == 0 else 0, np.int64)
        arrived = np.empty(0, np.uint8)

        def gather(part: Any) -> None:
            nonlocal arrived
            self._comm.Gather(size, sizes, root=0)
            arrived = np.empty(int(sizes.sum()), np.uint8)
            target = [arrived, (sizes, None), MPI.BYTE] if self.rank == 0 else None
            self._comm.Gatherv([part, MPI.BYTE], target, root=0)

        self._collective("gather", gather, payload, split=False)
        self.bytes_sent += payload.nbytes * (self.rank != 0)
        return np.split(arrived, np.cumsum(sizes)[:-1]) if self.rank == 0 else []

    def any(self, *flags: bool) -> list[bool]:
        """Return for each flag whether it is set on any rank; the same on every rank."""
        from mpi4py import MPI

        mine = np.array(flags, np.int64)
        self._collective(
            "agree", lambda part: self._comm.Allreduce(MPI.IN_PLACE, part, op=MPI.MAX), mine
        )
        return [bool(flag) for flag in mine]

    def broadcast_text(self, text: str) -> str:
        """Return the root's text on every rank."""
        with self._noticing_losses():
            self._wait()
            return str(self._comm.bcast(text, root=0))

    def together(self, phase: str, action: Callable[[], Result]) -> Result:
        """Run ``action`` on every rank; if it raises on any, raise on all.

        InputError and StoppedRunError are raised as such everywhere, anything else as AgreedError,
        for the failing rank of lowest number.
        """
        error: Exception | None = None
        self._enter(phase, waiting=False)
        try:
            result = action()
        except RankLostError:
            raise
        except Exception as caught:  # whatever it is, all ranks must learn of it
            error = caught
        self._raise_together(error)
        return result

    def _raise_together(self, error: Exception | None) -> None:
        from mpi4py import MPI

        failing = np.array([self.size if error is None else self.rank], np.int64)
        self._collective(
            "agree", lambda part: self._comm.Allreduce(MPI.IN_PLACE, part, op=MPI.MIN), failing
        )
        first = int(failing[0])
        if first == self.size:
            return
        with self._noticing_losses():
            kind, message = self._comm.bcast(_described(error), root=first)
        if kind == "InputError":
            raise InputError(message)
        if kind == "StoppedRunError":
            raise StoppedRunError(message)
        raise AgreedError(f"rank {first}: {kind}: {message}") from error

    def _collective(
        self, name: str, call: Callable[[Any], None], array: Any, split: bool = True
    ) -> None:
        self._enter(name, waiting=True)
        begin = time.perf_counter()
        step = _CHUNK_ITEMS if split else max(len(array), 1)
        with self._noticing_losses():
            self._wait()
            ready = time.perf_counter()
            for start in range(0, max(len(array), 1), step):
                call(array[start : start + step])
        self.seconds_wait += ready - begin
        self.seconds_communicate += time.perf_counter() - ready
        self._enter("computing", waiting=False)

    def _wait(self) -> None:
        """Pass a barrier, and leave the core to others meanwhile.

        MPI has no wait that sleeps: a library's own polls without a pause, also where ranks exceed
        cores. So this one looks up, and sleeps in between, the longer the longer it has waited.
        A barrier takes so many messages one after the other as there are doublings to the number
        of ranks; each may be found late, all together by a fiftieth of the time that was waited.
        """
        begin, request = time.perf_counter(), self._comm.Ibarrier()
        looks = _LOOKS * max(1, (self.size - 1).bit_length())
        while not request.Test():
            pause = min((time.perf_counter() - begin) / looks, _LONGEST_S)
            if pause > _SHORTEST_S:
                time.sleep(pause)
            else:
                os.sched_yield()

    def _enter(self, phase: str, waiting: bool) -> None:
        if self._watchdog is not None:
            self._watchdog.enter(phase, waiting)

    @contextlib.contextmanager
    def _noticing_losses(self) -> Iterator[None]:
        """Turn MPI's errors into RankLostError, and make every other rank meet one as well."""
        from mpi4py import MPI

        try:
            yield
        except MPI.Exception as error:
            if not tolerates_losses():
                raise
            self._comm.Revoke()
            if self._watchdog is not None:
                self._watchdog.close()
            raise RankLostError(str(error)) from error


def abort_all(comm: Any, error: BaseException) -> None:
    """Print this rank's error and end every rank of ``comm``; the last resort."""
    print_error(comm.Get_rank(), error)
    signs.give(signs.FAILED)
    time.sleep(0.2)  # let the launcher forward the message before it says its own
    comm.Abort(1)


def print_error(rank: int, error: BaseException) -> None:
    """Print what happened on ``rank``: one line that says it, then the traceback."""
    lines = traceback.format_exception(error)
    sys.stdout.flush()
    print(f"rank {rank}: {lines[-1]}{''.join(lines)}", file=sys.stderr, end="", flush=True)


def _copy(comm: Any) -> Any:
    """Return a communicator of our own: on every rank, or, if one is lost meanwhile, on none."""
    from mpi4py import MPI

    copy = None
    try:
        copy = comm.Dup()
        copy.Set_errhandler(MPI.ERRORS_RETURN)
    except MPI.Exception:
        if not tolerates_losses():
            raise
    if tolerates_losses() and not agree(comm, copy is not None):
        raise RankLostError("a rank was lost before the run began")
    return copy


def _described(error: Exception | None) -> tuple[str, str]:
    return type(error).__name__, str(error)


def _hostname() -> str:
    return os.uname().nodename
