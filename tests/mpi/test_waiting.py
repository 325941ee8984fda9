"""A rank that waits for others leaves its core to them."""

from __future__ import annotations

import pytest

from tests.mpi.launch import mpirun

pytestmark = pytest.mark.mpi

# the last rank is late; the first says how long it waited, and for how long it had the processor
PROGRAM = """
import time
from hpcfed.federation.mpi.transport import Transport, world
transport = Transport(world())
if transport.rank == 2:
    time.sleep(1.5)
before = time.process_time()
assert transport.any(transport.rank == 1, False) == [True, False]
if transport.rank == 0:
    print(transport.seconds_wait, time.process_time() - before)
assert transport.broadcast_text("a" if transport.rank == 0 else "b") == "a"
transport.close()
"""


def test_a_rank_that_waits_for_others_leaves_its_core_to_them() -> None:
    ended = mpirun(3, "-c", PROGRAM)
    assert ended.rc == 0, ended.stderr
    waited, busy = map(float, ended.stdout.split())
    assert waited > 0.5
    assert busy < waited / 2
