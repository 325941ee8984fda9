"""Watching: what is said of a run, a sweep or a search at each moment, and when it has ended."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from report_files import NAN, World, write_run
from sweep_files import finish, planned, written
from typer.testing import CliRunner

from hpcfed.base import terminal
from hpcfed.cli.main import app
from hpcfed.config import Experiment
from hpcfed.config.search import Search
from hpcfed.errors import InputError
from hpcfed.records.proposals import place
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import read_manifest, write_manifest
from hpcfed.sweep.planning.planned_run import run_of
from hpcfed.sweep.planning.searches import plan_search
from hpcfed.sweep.search.folder import SearchFolder
from hpcfed.sweep.search.propose import Proposer
from hpcfed.watch.following import code_of, display, follow, look_at, look_patiently
from hpcfed.watch.view import View, curve
from tests.places import REPOSITORY

BASE = "[server]\nrounds = 3\n[data]\nvalidation_fraction = 0.2\n"
SEARCH = """
[search]
method = "random"
maximise = "validation_accuracy"
evaluations = 2
[search.space]
"client.learning_rate" = { log = [0.001, 0.1] }
"""


def planned_search(folder: Path) -> tuple[Search, Paths]:
    sweep, paths = written(folder, SEARCH, BASE), Paths(folder / "out")
    assert sweep.search is not None
    write_manifest(paths, plan_search(sweep, sweep.search, paths, norse).manifest, sweep.text)
    found = read_manifest(paths).search
    assert found is not None
    return found, paths


def norse(experiment: Experiment) -> str:
    return "norse"


def watched(
    path: Path, steps: list[Callable[[], object]], patience_s: float = 0.0
) -> tuple[View, list[str]]:
    """Follow ``path``, one of ``steps`` between two looks; return the end and what was said."""
    said: list[str] = []
    left = iter(steps)
    end = follow(
        lambda: look_patiently(path, norse),
        lambda view: said.append(view.brief),
        patience_s,
        lambda seconds: next(left)(),
    )
    assert next(left, None) is None, "it ended too early"
    return end, said


def at(path: Path) -> View:
    return look_at(path, norse)


def running(num_rounds: int, **changes: object) -> World:
    """Return a run of four rounds that has done some of them."""
    test = [0.1 * (index + 1) for index in range(num_rounds)]
    world = World(test=test, status="running", sets=["server.rounds=4"])
    return replace(world, **changes)  # type: ignore[arg-type]


def test_a_run_is_watched_from_before_its_file_to_its_end(tmp_path: Path) -> None:
    out = tmp_path / "out"
    end, said = watched(
        out,
        [
            lambda: out.mkdir(),
            lambda: write_run(out, running(1)),
            lambda: (out / "run.h5").write_bytes((out / "run.h5").read_bytes()[:700]),
            lambda: write_run(out, running(3)),
            lambda: (out / "run.h5").unlink(),
            lambda: write_run(out, running(4, status="finished")),
        ],
    )
    assert (end.status, code_of(end)) == ("finished", 0)
    assert (end.done, end.total) == (4, 4)
    assert "no such file" in said[0]
    assert "no run file here or below" in said[1]
    assert said[2].startswith("running: round 1 of 4, train loss 4.000, validation 10.0 %")
    assert said[3].startswith("waiting: ")
    assert "cannot be read as a run file" in said[3]
    assert said[4].startswith("running: round 3 of 4")
    assert said[6].startswith("finished: round 4 of 4")


def test_a_failed_run_ends_with_its_reason_and_code_1(tmp_path: Path) -> None:
    write_run(tmp_path, running(2, status="failed", error="updates are not finite"))
    end, _ = watched(tmp_path, [])
    assert code_of(end) == 1
    assert "error: updates are not finite" in end.lines


def test_a_stopped_run_has_ended_only_if_nobody_goes_on_with_it(tmp_path: Path) -> None:
    write_run(tmp_path, running(2, status="stopped"))
    end, said = watched(tmp_path, [], patience_s=0.0)
    assert code_of(end) == 75
    assert any("--resume" in line for line in end.lines)
    end, said = watched(
        tmp_path,
        [
            lambda: write_run(tmp_path, running(3)),
            lambda: write_run(tmp_path, running(4, status="finished")),
        ],
        patience_s=1e9,
    )
    assert code_of(end) == 0
    assert [text.partition(":")[0] for text in said] == ["stopped", "running", "finished"]


def test_a_running_file_whose_process_has_died_here_has_stopped(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    writer = f"{os.uname().nodename}.{gone.pid}.{10**18}"
    write_run(tmp_path, running(2, changes={"attributes": {"writer": writer}}))
    assert at(tmp_path).status == "stopped"


def test_time_left_and_best_round_are_told(tmp_path: Path) -> None:
    spent = {"seconds_evaluate": [0.0, 0.0], "seconds_write": [0.25, 0.0]}
    world = replace(running(2), test=(0.5, 0.25), validation=(NAN, NAN), rounds=spent)
    write_run(tmp_path, world)
    lines = at(tmp_path).lines
    assert lines[1].startswith("round 2 of 4, 0:02 left")  # 1 s a round
    assert lines[3] == "test       █▁ from 50.0 %, best 50.0 %"


def test_a_curve_keeps_the_last_value_and_a_width() -> None:
    assert curve([0.0, 1.0]) == "▁█"
    assert curve([0.5]) == "▁"
    long = curve([float(value) for value in range(1000)])
    assert len(long) == 40
    assert long[-1] == "█"


def test_a_folder_of_runs_has_ended_when_its_last_run_has(tmp_path: Path) -> None:
    write_run(tmp_path / "a", running(4, status="failed", error="no"))
    write_run(tmp_path / "b", running(1))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "run.h5").write_text("no run")
    assert at(tmp_path).status == "running"
    assert at(tmp_path).brief == "2 runs: 1 failed, 1 running; round 5 of 8"
    assert at(tmp_path).lines[2].startswith("b: running, round 1 of 4")
    assert at(tmp_path).lines[-1].startswith("c: cannot be read")
    write_run(tmp_path / "b", running(4, status="finished"))
    assert code_of(at(tmp_path)) == 1


def test_a_sweep_waits_runs_stops_and_ends(tmp_path: Path) -> None:
    manifest, paths = planned(tmp_path, "[grid]\nseed = [0, 1]")
    first, second = manifest.current
    assert at(paths.out).status == "waiting"
    finish(paths, [first])
    assert at(paths.out).status == "stopped"
    assert code_of(at(paths.out)) == 75
    finish(paths, [second])
    view = at(paths.out)
    assert (view.status, view.done, view.total, code_of(view)) == ("finished", 6, 6, 0)
    assert "  finished  2" in view.lines
    paths.run_file(second.digest).unlink()
    paths.failure(second.digest).write_text('{"error": "too much"}')
    assert code_of(at(paths.out)) == 1


def test_a_sweep_whose_manifest_is_half_there_is_waited_for(tmp_path: Path) -> None:
    manifest, paths = planned(tmp_path, "[grid]\nseed = [0, 1]")
    whole = paths.manifest.read_text()
    paths.manifest.write_text(whole[:80])
    end, said = watched(
        paths.out,
        [lambda: paths.manifest.write_text(whole), lambda: finish(paths, manifest.current)],
    )
    assert "cannot be read as a manifest" in said[0]
    assert code_of(end) == 0


def test_a_search_has_ended_when_its_budget_is_spent_and_every_proposal_has_a_result(
    tmp_path: Path,
) -> None:
    search, paths = planned_search(tmp_path)
    assert at(paths.out).status == "waiting"
    proposer = Proposer(search, lambda point: run_of(search, point, norse))
    for number in range(2):
        folder = SearchFolder(search, paths)
        folder.read()
        draft = proposer.next(folder.everything(), may_add=True)
        assert draft is not None
        assert folder.place(draft, folder.snapshot())
        folder.read()
        assert at(paths.out).status in {"waiting", "stopped"}
        finish(paths, [folder.run(number)])
        assert at(paths.out).status == ("finished" if number else "stopped")
    assert any(line.startswith("search by random: 2/2 points") for line in at(paths.out).lines)


def test_looking_changes_no_file_and_needs_no_right_to_write(tmp_path: Path) -> None:
    _, paths = planned(tmp_path, "[grid]\nseed = [0, 1]")
    finish(paths, read_manifest(paths).current)

    def state() -> dict[str, tuple[int, int]]:
        files = sorted(paths.out.rglob("*"))
        return {str(f): (f.stat().st_mtime_ns, f.stat().st_ino) for f in files}

    before = state()
    at(paths.out)
    at(next(paths.runs.iterdir()))
    assert state() == before


def test_where_there_is_no_terminal_each_change_is_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(terminal.VARIABLE, raising=False)
    with display() as show:
        for text in ("one", "one", "two"):
            show(View("running", text, (text,)))
    assert capsys.readouterr().out == "one\ntwo\n"


@pytest.mark.parametrize(
    ("world", "code"), [(running(1), 0), (running(1, status="failed"), 1),
                        (running(1, status="stopped"), 75)]
)  # fmt: skip
def test_once_prints_one_state_and_tells_it_by_its_code(
    world: World, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(terminal.VARIABLE, raising=False)
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)
    write_run(tmp_path, world)
    ended = CliRunner().invoke(app, ["watch", str(tmp_path), "--once"])
    assert ended.exit_code == code
    assert "round 1 of 4" in ended.stdout.splitlines()[1]
    assert ended.stdout.splitlines()[1].endswith("; 2 ranks")
    assert ("0:03 left" in ended.stdout) == (code == 0)
    assert "\x1b" not in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "--once"], "no such file or folder"),
        (["job.toml"], "name its output folder"),
        (["x", "--port", "80"], "add --page"),
        (["x", "--page", "--once"], "choose one"),
    ],
)
def test_what_cannot_be_watched_is_one_message(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *arguments: None)
    ended = CliRunner().invoke(app, ["watch", *arguments])
    assert isinstance(ended.exception, InputError)
    assert message in str(ended.exception)


def test_an_interrupt_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    write_run(tmp_path, running(2))
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    outside = {name: value for name, value in os.environ.items() if name != terminal.VARIABLE}
    process = subprocess.Popen(
        [sys.executable, "-m", "hpcfed", "watch", str(tmp_path)],
        cwd=REPOSITORY, env={**outside, "TERM": "xterm"},
        stdout=theirs, stderr=theirs, stdin=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while b"round 2 of 4" not in shown:
        shown += os.read(ours, 1 << 16)
    process.send_signal(signal.SIGINT)
    while b"\x1b[?25h" not in shown:  # the cursor is back
        shown += os.read(ours, 1 << 16)
    assert process.wait(60) == 130
    os.close(ours)
    assert b"\x1b[?25l" in shown
    assert b"Traceback" not in shown


def test_a_proposal_that_cannot_be_read_is_a_reason_to_wait(tmp_path: Path) -> None:
    search, paths = planned_search(tmp_path)
    place(SearchFolder(search, paths).folder, {"number": 0, "kind": "nothing"})
    assert look_patiently(paths.out, norse).status == "waiting"
