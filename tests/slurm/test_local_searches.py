"""Searches without Slurm: the same proposals again, whatever interrupts them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hpcfed.base import processes
from hpcfed.config.file import to_toml
from hpcfed.records import proposals
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import read_manifest
from tests.places import REPOSITORY
from tests.sweep_world import counts, environment, start, sweep, wait_for, write_sweep

SEARCH = """
base = "base.toml"
[set]
server.optimizer = "momentum"
uplink = {{ mask = "bernoulli", mask_probability = 0.5, error_feedback = true }}
[search]
method = "{method}"
minimise = "validation_loss"
evaluations = {count}
initial = 4
{more}
[search.space]
"server.learning_rate" = {{ log = [0.05, 1.0] }}
"server.momentum" = {{ float = [0.0, 0.9] }}
"""
SLOW = {"HPCFED_TOY_ROUND_S": "0.1"}
NOT_COMPARED = ("seconds_", "mpi_bytes")


def search_file(
    folder: Path, method: str = "random", count: int = 5, more: str = "", tables: str = ""
) -> Path:
    return write_sweep(folder, tables, grid=SEARCH.format(method=method, count=count, more=more))


def report(out: Path) -> str:
    page = out / "report.html"
    subprocess.run([sys.executable, "-m", "hpcfed", "report", out, "--out", page], check=True,
                   cwd=REPOSITORY, env=environment(), capture_output=True)  # fmt: skip
    return page.read_text()


def entries(out: Path) -> list[dict[str, Any]]:
    (section,) = proposals.sections(Paths(out).proposals)
    return proposals.read_all(Paths(out).proposals / section)


def call(command: str, job: Path, out: Path, *options: object, code: int = 0) -> str:
    told = sweep(command, job, "--out", out, *options)
    assert told.returncode == code, told.stdout + told.stderr
    return told.stdout if code == 0 else told.stderr


def check_whole(job: Path, out: Path, count: int) -> None:
    """Check that the search has ended, holds no claim, and every proposal comes out again."""
    found = entries(out)
    assert [entry["number"] for entry in found] == list(range(count))
    runs = {entry["run"]["digest"] for entry in found}
    assert counts(out) == {"finished": len(runs)}
    assert {path.name for path in (out / "runs").iterdir()} == runs
    # what a kill leaves of a claim that was never put in place is hidden, and holds nothing
    assert not [claim for claim in (out / "claims").iterdir() if claim.name[0] != "."]
    assert f"{count} proposals come out as recorded" in call("replay", job, out)


def rounds_of(file: Path, last: int | None = None) -> dict[str, bytes]:
    """Return the columns of a run's rounds, those of time left out, as bytes."""
    with h5py.File(file) as opened:
        rounds = {
            name: column[:last].tobytes()
            for name, column in opened["rounds"].items()
            if not name.startswith(NOT_COMPARED)
        }
        return rounds | ({} if last else {"params": opened["model/params"][()].tobytes()})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a search file and the folder of its search by one worker."""
    job = search_file(tmp_path_factory.mktemp("search"), "tpe", 6)
    out = job.parent / "undisturbed"
    call("run", job, out, "--workers", 1)
    return job, out


def test_one_worker_makes_the_same_search_again(
    undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    job, out = undisturbed
    check_whole(job, out, 6)
    call("run", job, tmp_path, "--workers", 1)
    assert entries(tmp_path) == entries(out)
    told = call("status", job, out)
    assert "search by tpe: 6/6 points, best validation_loss" in told
    page = report(out)
    assert "<h2>The search</h2>" in page
    assert page.count("<svg") >= 5
    assert "A bar for each run" in page
    assert "0 proposals pending" in told


def test_two_workers_on_one_folder_try_each_point_once(tmp_path: Path) -> None:
    job, out = search_file(tmp_path), tmp_path / "out"
    both = [start("run", job, "--out", out, "--workers", 2, more=SLOW) for _ in range(2)]
    for process in both:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stdout + stderr
    check_whole(job, out, 5)
    logs = list((out / "logs").glob("*.log"))
    assert [log.read_text().count("-- 20") for log in logs] == [1] * len(logs)


def test_kills_at_any_time_lose_nothing_and_train_nothing_twice(tmp_path: Path) -> None:
    job, out = search_file(tmp_path, count=8), tmp_path / "out"
    killed = np.random.default_rng(0)
    for _ in range(4):
        process = start("run", job, "--out", out, "--workers", 2, more=SLOW)
        wait_for_a_proposal(process, out)
        with_delay(process, float(killed.uniform(0.0, 0.8)))
    call("run", job, out, "--workers", 1)
    check_whole(job, out, 8)
    ends = [read_ends(file) for file in out.glob("runs/*/run.h5")]
    assert all(found.count("finished") == 1 for found in ends)


def wait_for_a_proposal(process: subprocess.Popen[str], out: Path) -> None:
    before = len(list(out.glob("proposals/*/[0-9]*")))
    wait_for(
        lambda: len(list(out.glob("proposals/*/[0-9]*"))) > before or process.poll() is not None
    )


def with_delay(process: subprocess.Popen[str], seconds: float) -> None:
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()


def read_ends(file: Path) -> list[str]:
    with h5py.File(file) as opened:
        return [end.decode() for end in opened["attempts/ended"][()]]


def test_a_search_that_was_asked_to_stop_goes_on_with_the_run_it_was_at(tmp_path: Path) -> None:
    job, out = search_file(tmp_path), tmp_path / "out"
    process = start("run", job, "--out", out, "--workers", 1, more=SLOW)
    wait_for(lambda: len(list(out.glob("runs/*/run.h5"))) >= 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 75
    assert "stopped" in counts(out)
    call("retry", job, out, "--workers", 1)
    check_whole(job, out, 5)


def test_who_makes_proposals_is_started_again_when_it_dies(tmp_path: Path) -> None:
    job, out = search_file(tmp_path), tmp_path / "out"
    process = start("run", job, "--out", out, "--workers", 1, more=SLOW)
    wait_for(lambda: len(list(out.glob("runs/*/run.h5"))) >= 1)
    (asker,) = askers(process.pid)
    os.kill(asker, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stdout + stderr
    check_whole(job, out, 5)


def askers(parent: int) -> list[int]:
    return [
        number
        for number in processes.numbers()
        if (found := processes.find(number)) is not None
        and found.parent == parent
        and b"asker" in processes.read(number, "cmdline")
    ]


def test_a_run_that_goes_on_failing_is_given_up_and_left_out(tmp_path: Path) -> None:
    job, out = search_file(tmp_path, method="random", count=4), tmp_path / "out"
    call("plan", job, out)
    (tmp_path / "often").write_text("x" * 2)  # a try and one more: one run is given up
    bad = {"HPCFED_TOY_BAD": f"0 raise {tmp_path / 'often'}"}
    told = sweep("run", job, "--out", out, "--workers", 1, more=bad)
    assert told.returncode == 1
    assert counts(out) == {"finished": 3, "failed": 1}
    assert "1 given up" in call("status", job, out)
    left_out = [entry["left_out"] for entry in entries(out)]
    assert left_out[-1] in ([], [0])
    call("replay", job, out)
    call("retry", job, out)
    check_whole(job, out, 4)


def test_a_larger_budget_goes_on_from_where_the_search_was(
    undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    _, before = undisturbed
    job = search_file(tmp_path, "tpe", 8, "confirm = { best = 2, seeds = [5] }")
    out = tmp_path / "out"
    shutil.copytree(before, out)
    call("run", job, out, "--workers", 1)
    assert entries(out)[:6] == entries(before)
    check_whole(job, out, 10)
    assert [entry["kind"] for entry in entries(out)[8:]] == ["confirm"] * 2
    told = call("best", job, out, "--write", tmp_path / "best.toml")
    assert "over 2 seeds" in told
    assert "test_accuracy" in told
    written = tomllib.loads((tmp_path / "best.toml").read_text())
    first = entries(out)[int(told.split("number ")[1].split(":")[0])]
    assert written["server"]["momentum"] == first["run"]["point"]["server.momentum"]


def test_rungs_have_the_bits_of_a_run_that_never_paused(tmp_path: Path) -> None:
    tables = "[search.halving]\nrungs = [1, 2, 4]\neta = 2"
    job, out = search_file(tmp_path, method="random", tables=tables), tmp_path / "out"
    call("run", job, out, "--workers", 2)
    call("replay", job, out)
    found = entries(out)
    assert {entry["rounds"] for entry in found} == {1, 2, 4}
    top = next(entry["run"] for entry in found if entry["rounds"] == 4)
    whole = tmp_path / "whole"
    manifest = read_manifest(Paths(out))
    (tmp_path / "top.toml").write_text(to_toml(manifest.experiment(top["digest"])))
    subprocess.run(
        [*(sys.executable, "-m", "hpcfed"), "run", tmp_path / "top.toml", "--out", whole],
        cwd=REPOSITORY, env=environment(), check=True, capture_output=True,
    )  # fmt: skip
    paused = rounds_of(Paths(out).run_file(top["digest"]))
    assert paused == rounds_of(whole / "run.h5")


POPULATION = "[search.population]\nmembers = 3\ninterval = 1\nquantile = 0.3\n"


def test_a_population_has_one_lineage_and_its_winners_schedule_the_winners_bits(
    tmp_path: Path,
) -> None:
    job = search_file(tmp_path, method="population", tables=POPULATION)
    lineages = []
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        call("run", job, out, "--workers", workers)
        check_whole(job, out, 12)
        found = {(e["step"], e["member"]): (e["run"]["digest"], e["of"] is None)
                 for e in entries(out)}  # fmt: skip
        lineages.append(found)
    assert lineages[0].keys() == lineages[1].keys()
    assert {k: v[0] for k, v in lineages[0].items()} == {k: v[0] for k, v in lineages[1].items()}

    paths, found = Paths(out), entries(out)
    copied = next(entry for entry in found if entry["why"].startswith("copied"))
    parent, round_ = copied["run"]["parent"]
    with h5py.File(paths.run_file(copied["run"]["digest"])) as child:
        config = tomllib.loads(child.attrs["config_toml"])
        assert child.attrs["parent"] == parent
        assert child.attrs["parent_round"] == round_
    # the new hyper-parameters are really there, and the parent's parameters and rounds
    assert config["server"]["momentum"] == copied["run"]["point"]["server.momentum"]
    assert found[copied["of"]]["run"]["point"] != copied["run"]["point"]
    assert rounds_of(paths.run_file(copied["run"]["digest"]), round_) == rounds_of(
        paths.run_file(parent), round_
    )

    told = call("best", job, out, "--write", tmp_path / "schedule.toml")
    winner = found[int(told.split("number ")[1].split(":")[0])]["run"]["digest"]
    followed = tmp_path / "followed"
    assert sweep("follow", tmp_path / "schedule.toml", "--out", followed).returncode == 0
    assert rounds_of(followed / "run.h5") == rounds_of(paths.run_file(winner))
    again = sweep("follow", tmp_path / "schedule.toml", "--out", followed)
    assert again.returncode == 0  # it is done already
    assert rounds_of(followed / "run.h5") == rounds_of(paths.run_file(winner))


def test_a_proposal_that_was_changed_does_not_replay(
    undisturbed: tuple[Path, Path], tmp_path: Path
) -> None:
    job, before = undisturbed
    out = tmp_path / "out"
    shutil.copytree(before, out)
    file = next(out.glob("proposals/*/000005/proposal.json"))
    entry = json.loads(file.read_text())
    entry["run"]["point"]["server.momentum"] *= 1.01
    file.write_text(json.dumps(entry))
    assert "proposal 5 comes out otherwise" in call("replay", job, out, code=1)


def test_a_file_in_the_way_of_proposals_is_one_clear_error(tmp_path: Path) -> None:
    job, out = search_file(tmp_path), tmp_path / "out"
    call("plan", job, out)
    (out / "proposals").write_text("a file in the way")
    told = call("run", job, out, code=1)
    assert "proposals cannot be read: Not a directory" in told
    assert "Traceback" not in told


def test_what_is_no_search_has_no_best_point(job: Path, tmp_path: Path) -> None:
    call("plan", job, tmp_path)
    assert "is no search" in call("best", job, tmp_path, code=2)
