"""Claims: one owner at a time, taken over only from an owner that is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpcfed.base import processes
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep import submission
from hpcfed.sweep.states import SweepState
from hpcfed.sweep.working import claims
from hpcfed.sweep.working.owners import VARIABLE, Owner, Presence, this_process

TASK = Owner("12", "3", 1, "n1", "b", 100, 5)


class Queue:
    """A scheduler that knows one running task, or nothing, or does not answer."""

    def __init__(self, running: dict[tuple[str, str], int] | None) -> None:
        self.running, self.asked = running, 0

    def incarnation(self, job: str, task: str, refresh: bool) -> int | None:
        """Answer as SlurmQueue does."""
        self.asked += 1
        return None if self.running is None else self.running.get((job, task), -1)


def never(owner: Owner) -> bool:
    return False


def always(owner: Owner) -> bool:
    return True


def test_an_owner_is_its_name() -> None:
    assert Owner.parse(TASK.name) == TASK
    assert Owner.parse(this_process().name) == this_process()


def test_a_foreign_entry_is_an_owner_that_never_ends(tmp_path: Path) -> None:
    (tmp_path / "claim" / "what is this").mkdir(parents=True)
    owner = claims.holder_of(tmp_path / "claim")
    assert owner is not None
    assert not Presence(TASK, Queue({})).is_gone(owner)


def test_the_second_owner_is_told_of_the_first(tmp_path: Path) -> None:
    claim, other = tmp_path / "claim", replace(TASK, task="4")
    assert claims.acquire(claim, TASK, never) is None
    assert claims.acquire(claim, other, never) == TASK
    claims.release(claim, other)
    assert claims.holder_of(claim) == TASK
    claims.release(claim, TASK)
    assert not claim.exists()
    assert claims.acquire(claim, other, never) is None


def test_a_claim_is_taken_over_from_an_owner_that_is_gone(tmp_path: Path) -> None:
    claim, other = tmp_path / "claim", replace(TASK, restart=2)
    claims.acquire(claim, TASK, never)
    assert claims.acquire(claim, other, always) is None
    assert [p.name for p in claim.iterdir()] == [other.name]
    claims.release(claim, TASK)  # the old owner's late release takes nothing away
    assert claims.holder_of(claim) == other


def test_a_claim_left_empty_by_a_kill_is_free(tmp_path: Path) -> None:
    (tmp_path / "claim").mkdir()
    assert claims.acquire(tmp_path / "claim", TASK, never) is None


@pytest.mark.parametrize("abandoned", [False, True])
def test_of_many_contenders_one_gets_the_claim(abandoned: bool, tmp_path: Path) -> None:
    claim = tmp_path / "claim"
    dead = replace(TASK, task="dead")
    if abandoned:
        claims.acquire(claim, dead, never)
    owners = [replace(TASK, pid=pid) for pid in range(16)]
    barrier, won = threading.Barrier(len(owners)), []

    def contend(owner: Owner) -> None:
        barrier.wait()
        if claims.acquire(claim, owner, lambda holder: holder == dead) is None:
            won.append(owner)

    threads = [threading.Thread(target=contend, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert claims.holder_of(claim) == won[0]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "claims").touch()
    with pytest.raises(OSError, match="Not a directory"):
        claims.acquire(tmp_path / "claims" / "run", TASK, never)


@pytest.mark.parametrize(
    ("running", "gone"),
    [
        ({("12", "3"): 1}, False),  # it runs
        ({("12", "3"): 2}, True),  # it runs again
        ({("12", "4"): 0}, True),  # it has left the queue, or waits in it
        (None, False),  # nobody answers
    ],
)
def test_the_scheduler_says_whether_a_task_is_gone(
    running: dict[tuple[str, str], int] | None, gone: bool
) -> None:
    me = replace(TASK, job="77")
    assert Presence(me, Queue(running)).is_gone(TASK) is gone


def test_an_earlier_start_of_the_same_task_is_gone_without_asking() -> None:
    queue = Queue(None)
    assert Presence(replace(TASK, restart=2), queue).is_gone(TASK)
    assert not Presence(replace(TASK, restart=0), queue).is_gone(TASK)
    assert queue.asked == 0


def test_the_dead_stay_dead_and_are_asked_about_once() -> None:
    queue = Queue({})
    presence = Presence(replace(TASK, job="77"), queue)
    assert presence.is_gone(TASK)
    asked = queue.asked
    assert presence.is_gone(TASK)
    assert queue.asked == asked


def test_without_slurm_the_kernel_says_whether_a_process_is_gone() -> None:
    me = this_process({})
    presence = Presence(me, Queue(None))
    assert not me.in_slurm
    assert not presence.is_gone(me)
    assert presence.is_gone(replace(me, started=me.started - 1))  # its number was given again
    assert presence.is_gone(replace(me, boot="before"))
    assert not presence.is_gone(replace(me, host="elsewhere", pid=1))


def test_an_owner_lives_as_long_as_anything_it_has_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = replace(this_process({}), started=1)
    presence = Presence(this_process({}), Queue(None))
    read, asked = processes.read, []
    environment = {**os.environ, VARIABLE: dead.name}
    with subprocess.Popen(["sleep", "1000"], env=environment) as child:
        while not read(child.pid, "environ"):
            time.sleep(0.01)

        def read_as_it_begins(pid: int, name: str) -> bytes:
            # a process that is just becoming another program shows no environment
            if (pid, name) == (child.pid, "environ"):
                asked.append(pid)
                return b"" if len(asked) == 1 else read(pid, name)
            return read(pid, name)

        monkeypatch.setattr(processes, "read", read_as_it_begins)
        try:
            assert not presence.is_gone(dead)
        finally:
            child.kill()
    assert presence.is_gone(dead)


@pytest.mark.parametrize(
    ("changes", "stopped"),
    [
        ({}, True),
        ({"started": 1}, False),  # the number was given to somebody else's process
        ({"boot": "before"}, False),
        ({"host": "elsewhere"}, False),
        ({"pid": 0, "started": 0}, False),  # to kill would mean every process of this group
        ({"job": "12", "task": "3"}, False),
    ],
)
def test_cancel_stops_the_process_that_made_the_claim_and_no_other(
    changes: dict[str, Any], stopped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    paths = Paths(tmp_path)
    paths.claims.mkdir()
    owner = replace(this_process({}), **changes)
    for digest in ("0" * 16, "1" * 16):
        claims.acquire(paths.claim(digest), owner, never)
    found = submission.cancel(paths, SweepState((), (), (), True))
    assert found == ([], [owner.pid] if stopped else [])
    assert killed == ([(owner.pid, signal.SIGTERM)] if stopped else [])


@pytest.mark.parametrize("name", ["-,-,0,h,b,-1,5", "-,-,0,h,b,\u00b2,5", "-,-,0,h,b,7"])
def test_an_owner_of_no_process_number_never_ends(name: str) -> None:
    assert Owner.parse(name) == Owner("-", "-", 0, name, "-", 0, 0)


def test_a_task_of_an_array_is_named_by_slurms_variables() -> None:
    variables = {"SLURM_JOB_ID": "15", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3",
                 "SLURM_RESTART_COUNT": "2"}  # fmt: skip
    owner = this_process(variables)
    assert (owner.job, owner.task, owner.restart, str(owner)) == ("12", "3", 2, "job 12_3")
    assert str(this_process({"SLURM_JOB_ID": "15"})) == "job 15"
