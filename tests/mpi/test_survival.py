"""A job that loses ranks finishes with the bits of one that does not, whichever ranks and when."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hpcfed.records.runfile import Record, read_record
from hpcfed.records.schema import RUN_FILE
from tests.mpi.chaos import ToyJob, chaos_run, undisturbed, wrong
from tests.mpi.launch import toy
from tests.toy_world import FAULT_VARIABLE

pytestmark = pytest.mark.mpi

FEW = ("server.rounds=12", "run.checkpoint_seconds=0")
SLOW = ("server.rounds=40",)
LIMIT_S = 60
AGAIN = "starting it again"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Return the record of an undisturbed run of few rounds."""
    return undisturbed(tmp_path_factory.mktemp("whole"), FEW)


@pytest.fixture(scope="module")
def slow_whole(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Return the record of an undisturbed run of more rounds."""
    return undisturbed(tmp_path_factory.mktemp("slow"), SLOW)


def death(phase: str, *ranks: int, nth: int = 1) -> dict[str, object]:
    return {"phase": phase, "ranks": ranks, "nth": nth}


@pytest.mark.parametrize(
    "deaths",
    [
        [death("before training", 1, 2)],
        [death("training", 0, 1, nth=5)],
        [death("writing", 0, nth=8)],
        [death("evaluation", 0, nth=4), death("collective", 2, nth=60)],
        [death("training", 1, nth=5), death("recovery", 0)],
    ],
    ids=lambda deaths: " ".join(f"{d['phase']} {d['ranks']}" for d in deaths),
)
def test_the_others_go_on_when_ranks_die(
    tmp_path: Path, whole: Record, deaths: Sequence[dict[str, object]]
) -> None:
    ended = ToyJob(tmp_path / "a", 3, FEW, client_s=0, deaths=deaths).wait(LIMIT_S)
    assert wrong(ended, whole) == "", ended.said
    assert AGAIN not in ended.said
    last = ended.record.attempts[-1]
    dead = {rank for d in deaths for rank in d["ranks"]}
    assert {int(name.split()[1]) for name in last["lost"].split(", ")} == dead
    assert last["num_ranks"] == 3 - len(dead)
    assert last["seconds_lost"] > 0
    assert [a["ended"] for a in ended.record.attempts[:-1]] == ["killed"] * (
        len(ended.record.attempts) - 1
    )


@pytest.mark.parametrize(("ranks", "nth"), [((0,), 1), ((1, 2), 2)], ids=str)
def test_a_death_after_the_last_round_costs_nothing(
    tmp_path: Path, whole: Record, ranks: tuple[int, ...], nth: int
) -> None:
    """Before the last write (1), and after it (2)."""
    deaths = [death("end", *ranks, nth=nth)]
    ended = ToyJob(tmp_path / "a", 3, FEW, client_s=0, deaths=deaths).wait(LIMIT_S)
    assert wrong(ended, whole) == "", ended.said
    assert AGAIN not in ended.said


@pytest.mark.parametrize("ranks", [(1,), (0, 1, 2)], ids=str)
def test_a_death_before_mpi_has_started_starts_the_job_again(
    tmp_path: Path, whole: Record, ranks: tuple[int, ...]
) -> None:
    deaths = [death("start-up", *ranks)]
    ended = ToyJob(tmp_path / "a", 3, FEW, client_s=0, deaths=deaths).wait(LIMIT_S)
    assert wrong(ended, whole) == "", ended.said
    assert ended.said.count(AGAIN) == 1
    (attempt,) = ended.record.attempts
    assert attempt["seconds_lost"] > 0


def test_a_job_of_which_nobody_is_left_is_started_again(tmp_path: Path, whole: Record) -> None:
    deaths = [death("training", 0, 1, 2, nth=6)]
    ended = ToyJob(tmp_path / "a", 3, FEW, client_s=0, deaths=deaths).wait(LIMIT_S)
    assert wrong(ended, whole) == "", ended.said
    assert ended.said.count(AGAIN) == 1
    *before, last = ended.record.attempts  # the last to die may have gone on without the others
    assert {attempt["ended"] for attempt in before} == {"killed"}
    assert (last["ended"], last["num_ranks"], last["lost"]) == ("finished", 3, "")
    assert last["seconds_lost"] > 0
    assert last["first_round"] == 5


def test_a_job_is_not_started_again_more_often_than_allowed(tmp_path: Path) -> None:
    deaths = [death("training", 0, 1, nth=6)]
    sets = (*FEW, "run.max_restarts=0")
    ended = ToyJob(tmp_path / "a", 2, sets, client_s=0, deaths=deaths).wait(LIMIT_S)
    assert ended.code == 1
    assert ended.record.attributes["status"] == "running"
    assert "continue with --resume" in ended.said


@pytest.mark.parametrize("ranks", [(1,), (0, 1, 2)], ids=str)
def test_a_run_that_is_to_stop_when_a_rank_dies_can_be_resumed(
    tmp_path: Path, whole: Record, ranks: tuple[int, ...]
) -> None:
    sets = (*FEW, "run.on_rank_failure=stop")
    deaths = [death("training", *ranks, nth=6)]
    ended = ToyJob(tmp_path / "a", 3, sets, client_s=0, deaths=deaths).wait(LIMIT_S)
    assert ended.code == 75, ended.said
    assert AGAIN not in ended.said
    assert ended.record.log.num_rounds == 5
    if len(ranks) < 3:
        assert ended.record.attributes["status"] == "stopped"
        assert ended.record.attempts[-1]["lost"].startswith("rank 1 (")
    again = ToyJob(tmp_path / "a", 3, FEW, "--resume", client_s=0).wait(LIMIT_S)
    assert wrong(again, whole) == "", again.said


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ('{"do": "raise", "rank": 1, "round": 2}', "rank 1: ValueError: the toy network broke"),
        ('{"do": "display"}', "rank 0: RuntimeError: the display broke"),
        ('{"do": "bad data", "rank": 1}', "error: the toy data are not on this host"),
    ],
    ids=["training", "where nobody expects it", "bad input"],
)
def test_an_exception_is_no_death(tmp_path: Path, fault: str, error: str) -> None:
    ended = ToyJob(tmp_path / "a", 2, FEW, client_s=0, environment={FAULT_VARIABLE: fault}).wait(
        LIMIT_S
    )
    assert ended.code == (2 if "bad data" in fault else 1), ended.said
    assert ended.said.count(error) == 1
    assert AGAIN not in ended.said


def test_a_rank_that_hangs_is_named_and_once_it_is_killed_the_others_go_on(
    tmp_path: Path, whole: Record
) -> None:
    fault = {FAULT_VARIABLE: '{"do": "SIGSTOP", "rank": 1, "round": 4}'}
    sets = (*FEW, "run.watchdog_min=0.01")
    job = ToyJob(tmp_path / "a", 3, sets, client_s=0, environment=fault)
    try:
        named = r"late: .*rank (1) \(last heard of in [a-z ]+, process (\d+) on "
        wait_for(lambda: re.search(named, job.said.read_text()))
        rank, process = map(int, re.search(named, job.said.read_text()).groups())
        assert job.living()[rank][0] == process
        os.kill(process, signal.SIGKILL)
        ended = job.wait(LIMIT_S)
    finally:
        job.end()
    assert wrong(ended, whole) == "", ended.said


def test_a_rank_that_wakes_after_the_others_went_on_damages_nothing(
    tmp_path: Path, slow_whole: Record
) -> None:
    job = ToyJob(tmp_path / "a", 3, SLOW)
    try:
        wait_for(lambda: (tmp_path / "a" / RUN_FILE).exists())
        ranks = [pid for pid, _ in job.living().values()]
        for pid in ranks:
            os.kill(pid, signal.SIGSTOP)
        other = ToyJob(tmp_path / "a", 2, SLOW, "--resume").wait(LIMIT_S)
        assert wrong(other, slow_whole) == "", other.said
        before = contents(tmp_path / "a")
        for pid in ranks:
            os.kill(pid, signal.SIGCONT)
        woken = job.wait(LIMIT_S)
    finally:
        job.end()
    assert woken.code == 0, woken.said  # by the run file's status: the run is finished
    assert "has taken it over" in woken.said
    assert AGAIN not in woken.said
    assert contents(tmp_path / "a") == before


def test_a_job_that_is_taken_over_ends_and_the_new_one_has_the_same_bits(
    tmp_path: Path, slow_whole: Record
) -> None:
    old = ToyJob(tmp_path / "a", 2, SLOW, client_s=0.5)
    try:
        wait_for(lambda: (tmp_path / "a" / RUN_FILE).exists())
        new = ToyJob(tmp_path / "a", 2, SLOW, "--resume").wait(LIMIT_S)
        replaced = old.wait(LIMIT_S)
    finally:
        old.end()
    assert wrong(new, slow_whole) == "", new.said
    assert "has taken it over" in replaced.said, replaced.said
    assert AGAIN not in replaced.said


def test_a_killed_mpirun_takes_its_ranks_along_and_the_job_is_started_again(
    tmp_path: Path, slow_whole: Record
) -> None:
    job = ToyJob(tmp_path / "a", 3, SLOW)
    try:
        wait_for(lambda: (tmp_path / "a" / RUN_FILE).exists())
        rank = next(pid for pid, _ in job.living().values())
        mpirun = int(Path(f"/proc/{rank}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(mpirun, signal.SIGKILL)
        ended = job.wait(LIMIT_S)
    finally:
        job.end()
    assert wrong(ended, slow_whole) == "", ended.said
    assert ended.said.count(AGAIN) == 1


def test_an_undisturbed_run_has_one_attempt_without_losses(tmp_path: Path) -> None:
    assert toy(2, tmp_path / "a").rc == 0
    (attempt,) = read_record(tmp_path / "a").attempts
    assert (attempt["lost"], attempt["seconds_lost"]) == ("", 0.0)


@pytest.mark.slow
def test_a_little_chaos(tmp_path: Path) -> None:
    whole = undisturbed(tmp_path)
    # in this one ranks die at a place in the job, however fast the machine
    ended = chaos_run(tmp_path / "a", 15)
    assert wrong(ended, whole) == "", ended.said
    assert ended.kills


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def wait_for(condition: Callable[[], bool], limit_s: float = 30) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
