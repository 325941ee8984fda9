"""Goes on with the ranks that are left when one dies.

Every living rank leaves what it was doing, the communicator shrinks to the living, and the attempt
begins anew from the run file, as a resume does. This is the one place that catches a lost rank.
Ranks keep their order: the new root is the living rank of lowest number. Where MPI does not
tolerate losses the launcher has ended the job, and starts it again (hpcfed.launch.restart).
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar  # Any: mpi4py's communicator, whose stubs the base install lacks

from hpcfed.errors import InputError, StoppedRunError
from hpcfed.federation.mpi import transport as mpi
from hpcfed.federation.mpi.transport import AgreedError, RankLostError, Transport
from hpcfed.launch.restart import first_start

Result = TypeVar("Result")


@dataclass(frozen=True)
class Past:
    """What this job has gone through before the start.

    Attributes:
        lost: the ranks that have died, in words.
        began: Unix time at which it was started first; None if this is the first time.
    """

    lost: str
    began: float | None


class Survivors:
    """The living ranks of a job.

    Attributes:
        comm: their communicator.
        lost: the dead ones, by their number at the start and their host.
    """

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self.lost: list[str] = []
        self._began = time.time()
        self._numbers = list(range(comm.Get_size()))
        self._hosts: dict[int, str] = {}

    @property
    def rank(self) -> int:
        """This rank's number among the living."""
        return int(self.comm.Get_rank())

    @property
    def past(self) -> Past:
        """What an attempt should know of those before it."""
        began = first_start(os.environ) or (self._began if self.lost else None)
        return Past(", ".join(self.lost), began)

    def transport(self) -> Transport:
        """Return the collectives of a new attempt."""
        transport = Transport(self.comm)
        self._hosts = dict(zip(self._numbers, transport.hosts, strict=True))
        return transport

    def see_through(self, attempt: Callable[[], Result]) -> Result:
        """Call ``attempt`` until it ends, by a result or an agreed error, on every living rank."""
        if not mpi.tolerates_losses():
            return attempt()
        while True:
            ended, error = True, None
            try:
                result = attempt()
            except (InputError, StoppedRunError, AgreedError) as agreed:
                error = agreed
            except RankLostError:
                ended = False
            if mpi.agree(self.comm, ended):
                if error is not None:
                    raise error
                return result
            self._shrink()

    @contextlib.contextmanager
    def ending_together(self) -> Iterator[None]:
        """End all ranks by an exception of this one, unless the others have agreed on it."""
        try:
            yield
        except (InputError, StoppedRunError, AgreedError):
            raise
        except BaseException as error:
            if self.comm.Get_size() > 1:
                mpi.abort_all(self.comm, error)
            raise

    def leave(self, code: int) -> None:
        """Let all leave together with ``code``: the first to leave with another than 0 may end all.

        Where MPI tolerates losses this ends the process: MPI's Finalize may wait for the dead.
        """
        if not mpi.tolerates_losses():
            self.comm.Barrier()
            return
        mpi.agree(self.comm, flag=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def _shrink(self) -> None:
        comm, ranks = mpi.shrunken(self.comm)
        living = [self._numbers[rank] for rank in ranks]
        lost = [n for n in self._numbers if n not in living]
        if not lost:
            raise RankLostError("MPI reports an error, and all ranks are alive")
        self.lost += [f"rank {n} ({self._hosts.get(n, 'unknown host')})" for n in lost]
        self.comm, self._numbers = comm, living
