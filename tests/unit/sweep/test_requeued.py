"""A job that queues itself again stops when it does not get anywhere, and says why."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from sweep_files import finish, given, norse, planned, written

from hpcfed.launch.requeued import MOST_IN_VAIN, run_in_vain
from hpcfed.records.state import glance
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import Manifest, read_manifest, write_manifest
from hpcfed.sweep.planning.planned_run import PlannedRun, run_of
from hpcfed.sweep.planning.searches import plan_search
from hpcfed.sweep.search.folder import SearchFolder
from hpcfed.sweep.search.propose import Proposer
from hpcfed.sweep.slurm import arrays
from hpcfed.sweep.slurm import commands as slurm
from hpcfed.sweep.states import look
from hpcfed.sweep.status import lines
from hpcfed.sweep.working import claims, local
from hpcfed.sweep.working.owners import Owner
from hpcfed.sweep.working.supervisor import Endings, Supervisor

SAID = f"asked to stop {MOST_IN_VAIN} times in a row before a round was finished"
Start = Callable[[int], int]


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the tasks that have been put back into the queue."""
    again: list[str] = []
    monkeypatch.setattr(slurm, "requeue", lambda job, task: again.append(f"{job}_{task}"))
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "9")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    return again


@pytest.fixture
def sweep(tmp_path: Path) -> tuple[Manifest, Paths]:
    """Return a sweep of three runs in one task."""
    manifest, paths = planned(tmp_path, "[grid]\nseed = [0, 1, 2]")
    arrays.write(paths, arrays.Submitted("s-1", "9", (tuple(r.digest for r in manifest.runs),)))
    return manifest, paths


def stopping(paths: Paths, monkeypatch: pytest.MonkeyPatch, number: int = signal.SIGUSR1) -> Start:
    """Return what starts the task; it is asked to stop when its first run has so many rounds."""

    def start(num_rounds: int) -> int:
        def see_to(self: Supervisor) -> Endings:
            runs = given(self)
            finish(paths, runs[:1], num_rounds, "stopped")
            return Endings({runs[0].digest: "stopped"}, stop_signal=number)

        monkeypatch.setattr(Supervisor, "see_to", see_to)
        return local.run_task(paths.out, "s-1", 0)

    return start


def test_a_task_that_finishes_no_round_is_not_queued_again_for_ever(
    sweep: tuple[Manifest, Paths],
    queue: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest, paths = sweep
    start = stopping(paths, monkeypatch)
    codes = [start(0) for _ in range(MOST_IN_VAIN)]
    assert codes == [75] * (MOST_IN_VAIN - 1) + [1]
    assert queue == ["9_0"] * (MOST_IN_VAIN - 1)
    assert SAID in capsys.readouterr().err
    assert len(look(manifest, paths).of("failed")) == 3
    monkeypatch.setattr(slurm, "ends", lambda names: {})
    told = "\n".join(lines(manifest, paths, look(manifest, paths)))
    assert told.count(f"{SAID}, so it is not queued again; give it more time (time_min = 60") == 3
    assert not list(paths.arrays.glob("*.stops"))
    assert json.loads(paths.failure(manifest.runs[0].digest).read_text())["by"] == "job 9_0"


def test_a_finished_round_begins_the_count_anew(
    sweep: tuple[Manifest, Paths], queue: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, paths = sweep
    start = stopping(paths, monkeypatch)
    for num_rounds in (0, 0, 1, 1, 1, 2):  # two stops in vain, a round, two in vain, a round
        assert start(num_rounds) == 75
    assert len(queue) == 6
    assert not list(paths.arrays.glob("*.stops"))


def test_a_task_that_gives_up_leaves_alone_what_is_finished_or_somebody_elses(
    sweep: tuple[Manifest, Paths], queue: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, paths = sweep
    first, second, third = manifest.runs
    finish(paths, [second])
    claims.acquire(paths.claim(third.digest), Owner("8", "0", 0, "h", "b", 1, 1), lambda _: False)
    start = stopping(paths, monkeypatch)
    for _ in range(MOST_IN_VAIN):
        start(0)
    marked = [run for run in manifest.runs if paths.failure(run.digest).exists()]
    assert marked == [first]


def test_a_cancelled_task_is_not_counted(
    sweep: tuple[Manifest, Paths], queue: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, paths = sweep
    start = stopping(paths, monkeypatch, signal.SIGTERM)
    assert [start(0) for _ in range(MOST_IN_VAIN + 1)] == [75] * (MOST_IN_VAIN + 1)
    assert queue == []


def test_the_hand_written_array_is_told_to_stop_as_well(
    sweep: tuple[Manifest, Paths],
    queue: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest, paths = sweep
    stopped = Endings({manifest.runs[0].digest: "stopped"}, stop_signal=signal.SIGUSR1)
    monkeypatch.setattr(Supervisor, "see_to", lambda self: stopped)
    codes = [
        local.run_here(manifest, paths, manifest.runs, 1, quiet=True) for _ in range(MOST_IN_VAIN)
    ]
    assert codes == [75] * (MOST_IN_VAIN - 1) + [1]
    assert SAID in capsys.readouterr().err
    assert not look(manifest, paths).of("failed")  # other tasks work on the same runs
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID")
    assert local.run_here(manifest, paths, manifest.runs, 1, quiet=True) == 75


SEARCH = """[search]
method = "random"
minimise = "train_loss"
evaluations = 6
[search.space]
"client.learning_rate" = { log = [1e-4, 1e-1] }
"""


def test_a_task_of_a_search_is_judged_by_what_it_worked_on(
    tmp_path: Path, queue: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, paths = written(tmp_path, SEARCH, "[server]\nrounds = 3\n"), Paths(tmp_path / "out")
    assert sweep.search is not None
    planning = plan_search(sweep, sweep.search, paths, norse)
    write_manifest(paths, planning.manifest, sweep.text)
    arrays.write(paths, arrays.Submitted("s-1", "9", (("0" * 16,),)))
    worked_on: list[PlannedRun] = []

    def start(num_rounds: int, which: int) -> int:
        def see_to(self: Supervisor) -> Endings:
            folder = SearchFolder(sweep.search, paths)  # type: ignore[arg-type]
            folder.read()
            proposer = Proposer(folder.search, lambda point: run_of(folder.search, point, norse))
            while len(folder.items) <= which + 1:  # one more waits for somebody else
                draft = proposer.next(folder.seen(folder.snapshot()), True)
                assert draft is not None
                folder.place(draft, folder.snapshot())
                folder.read()
            run = folder.run(which)
            worked_on.append(run)
            finish(paths, [run], num_rounds, "stopped")
            return Endings({run.digest: "stopped"}, stop_signal=signal.SIGUSR1)

        monkeypatch.setattr(Supervisor, "see_to", see_to)
        return local.run_task(paths.out, "s-1", 0)

    # each start trains a proposal that was not there before: progress, not a stop in vain
    assert [start(1, which) for which in range(MOST_IN_VAIN + 1)] == [75] * (MOST_IN_VAIN + 1)
    assert [start(1, MOST_IN_VAIN) for _ in range(MOST_IN_VAIN)] == [75] * (MOST_IN_VAIN - 1) + [1]
    failed = [
        run.digest for run in read_manifest(paths).current if paths.failure(run.digest).exists()
    ]
    assert failed == [worked_on[-1].digest]  # others go on with what it had not begun


def test_a_single_run_under_slurm_is_told_to_stop_as_well(
    sweep: tuple[Manifest, Paths],
) -> None:
    manifest, paths = sweep
    file, again = paths.run_file(manifest.runs[0].digest), {
        "SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "1",
    }  # fmt: skip
    assert [bool(run_in_vain(file, None, again)) for _ in range(3)] == [False, False, True]
    finish(paths, manifest.runs[:1], 2, "stopped")
    state = glance(file)
    assert run_in_vain(file, None, again) == ""  # two rounds more
    assert [SAID in run_in_vain(file, state, again) for _ in range(3)] == [False, False, True]
    assert run_in_vain(file, state, {"SLURM_JOB_ID": "7"}) == ""  # somebody at a terminal
    assert run_in_vain(file, state, {}) == ""
