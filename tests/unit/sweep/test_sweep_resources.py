"""What a sweep asks of a computer is checked when it is planned, and used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sweep_files import written
from typer.testing import CliRunner

from hpcfed.cli.sweep import default_workers, sweep_app
from hpcfed.errors import InputError
from hpcfed.learning.engines import resolve_engine
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import Manifest, plan

TOY = '[data]\ndataset = "tests.toy_world:load"\nnum_bins = 100\nvalidation_fraction = 0.2\n'
MIXED = '[grid]\n"model.kind" = ["snn", "ann"]\nseed = [0, 1, 2]\n'


def planned(folder: Path, text: str) -> Manifest:
    """Plan with the engines that are really chosen."""
    return plan(written(folder, text), Paths(folder / "out"), resolve_engine).manifest


@pytest.mark.parametrize(("minutes", "warn_s", "fits"), [
    (1, 59, True), (1, 60, False), (1, 90, False), (2, 90, True), (2, 120, False),
])  # fmt: skip
def test_a_time_limit_that_the_warning_takes_up_is_refused_when_planned(
    minutes: int, warn_s: int, fits: bool, tmp_path: Path
) -> None:
    (tmp_path / "site.toml").write_text(f"warn_s = {warn_s}")
    text = f'[resources]\nsite = "site.toml"\ntime_min = {minutes}'
    if fits:
        planned(tmp_path, text)
        return
    least = warn_s // 60 + 1
    with pytest.raises(InputError, match=f"stop {warn_s} s before .* set time_min to {least} at"):
        planned(tmp_path, text)
    planned(tmp_path, text.replace(f"time_min = {minutes}", f"time_min = {least}"))


def test_the_gpu_engine_without_a_gpu_is_refused_when_planned(tmp_path: Path) -> None:
    text = '[grid]\n"client.engine" = ["event", "gpu"]\nseed = [0, 1]\n[resources]\ngpus = {}'
    with pytest.raises(
        InputError, match=r'engine = "gpu" in 2 runs .*seed = 0 and 1 more.*gpus = 1'
    ):
        planned(tmp_path, text.format(0))
    assert len(planned(tmp_path, text.format(1)).runs) == 4


@pytest.mark.parametrize("command", [["plan"], ["plan", "--dry-run"], ["submit", "--dry-run"]])
@pytest.mark.parametrize(
    ("text", "engines", "warned"),
    [
        ("", ["engine event: all runs"], ""),
        ("[resources]\ngpus = 1", ["engine event: all runs"], "1 of 1 runs take the event engine"),
        (
            f"{MIXED}[resources]\ngpus = 1",
            ['engine event: 3 runs: model.kind = "snn", seed = 0 and 2 more',
             'engine norse: 3 runs: model.kind = "ann", seed = 0 and 2 more'],
            "3 of 6 runs take the event engine",
        ),
        (
            '[set]\n"client.engine" = "gpu"\n[resources]\ngpus = 3\nranks_per_run = 2',
            ["engine gpu: all runs"],
            "gpus = 3 for runs of 2 ranks, each of which uses one; set gpus = 2",
        ),
        (
            '[set]\n"client.engine" = "gpu"\n[resources]\ngpus = 2\nranks_per_run = 2',
            ["engine gpu: all runs"],
            "",
        ),
    ],
)  # fmt: skip
def test_it_is_said_which_engine_each_run_takes_and_which_gpu_is_idle(
    command: list[str], text: str, engines: list[str], warned: str, tmp_path: Path
) -> None:
    path = written(tmp_path, text, base=TOY).path
    told = CliRunner().invoke(sweep_app, [*command, str(path), "--out", str(tmp_path / "out")])
    assert told.exit_code == 0, told.output
    said = told.stderr if command[0] == "submit" else told.stdout  # stdout is the script alone
    assert [line for line in said.splitlines() if line.startswith("engine ")] == engines
    warnings = [line for line in told.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == bool(warned)
    assert warned in "".join(warnings)
    assert command[0] == "plan" or told.stdout.startswith("#!/bin/bash\n")


@pytest.mark.parametrize("command", [["plan"], ["plan", "--dry-run"]])
def test_planning_names_the_modules_that_runs_import(command: list[str], tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    path = written(tmp_path, "[grid]\nseed = [0, 1]", base=TOY).path
    told = CliRunner().invoke(sweep_app, [*command, str(path), "--out", out])
    assert "its runs import tests.toy_world\n" in told.stdout
    plain = written(tmp_path, "[grid]\nseed = [0, 1]", base="seed = 1\n").path
    told = CliRunner().invoke(sweep_app, [*command, str(plain), "--out", f"{out}2"])
    assert told.exit_code == 0, told.output
    assert "import" not in told.stdout


@pytest.mark.parametrize(("gpus", "workers"), [(0, 16), (1, 3), (2, 1), (4, 1)])
def test_here_no_more_runs_go_on_at_once_than_gpus_allow(
    gpus: int, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6")
    assert default_workers(planned(tmp_path, f"[resources]\ngpus = {gpus}")) == workers


@pytest.mark.parametrize("command", [["plan", "--dry-run"], ["submit", "--dry-run"]])
def test_a_dry_run_refuses_what_would_not_run(command: list[str], tmp_path: Path) -> None:
    path = written(tmp_path, '[set]\n"client.engine" = "gpu"', base=TOY).path
    told = CliRunner().invoke(sweep_app, [*command, str(path), "--out", str(tmp_path / "out")])
    assert isinstance(told.exception, InputError)
    assert "gpus = 0" in str(told.exception)
