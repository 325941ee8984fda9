"""The commands before anything runs: what they say, and that a prediction comes true."""

from __future__ import annotations

import re
import resource
from pathlib import Path

from tests.places import REPOSITORY
from tests.sweep_world import start, sweep, write_sweep

SHORT = """
base = "{base}"
name = "tradeoff"
[set]
data = {{ dataset = "spoken-digits", duration = 0.7, num_bins = 50 }}
client.learning_rate = 0.01
participation.drop_probability = 0.5
server.rounds = 12
run.eval_every = 10
[grid]
"uplink.mask_probability" = [0.0, 0.95]
"""


def test_a_dry_run_prints_the_script_and_writes_nothing(tmp_path: Path) -> None:
    job = write_sweep(tmp_path, "[resources]\nruns_per_task = 3\nthrottle = 3")
    told = sweep("submit", job, "--out", tmp_path / "out", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("#!/bin/bash\n#SBATCH --job-name=toy-")
    assert "#SBATCH --array=0-1%3\n" in told.stdout
    assert not (tmp_path / "out").exists()


def test_a_plan_counts_runs_and_tasks(tmp_path: Path) -> None:
    job = write_sweep(tmp_path, "[resources]\nruns_per_task = 3\nthreads = 2")
    told = sweep("plan", job, "--out", tmp_path / "out").stdout
    assert f"toy: 4 runs (4 new, 0 known) in {tmp_path / 'out'}" in told
    assert "array: 2 tasks of 3 runs, 1 at once on 2 cores, 60 min each" in told
    assert (tmp_path / "out" / "sweep.toml").read_text() == job.read_text()


def test_bad_input_is_one_message_and_code_2(tmp_path: Path) -> None:
    job = write_sweep(tmp_path, "[[points]]\nparticipation.drop_probability = [0.1, 0.2]")
    for arguments, message in (
        (("status", job), "no sweep is planned here; run hpcfed sweep plan first"),
        (("run", job), "drop_probability has 2 values, but there are 7 clients"),
        (("plan", tmp_path / "none.toml"), "no such file"),
    ):
        told = sweep(*arguments, "--out", tmp_path / "out")
        assert told.returncode == 2
        assert message in told.stderr
        assert "Traceback" not in told.stderr
    assert not (tmp_path / "out").exists()


def test_data_that_are_elsewhere_can_be_planned_for_but_not_run(tmp_path: Path) -> None:
    planned = sweep("plan", "tradeoff_shd", "--out", tmp_path / "out")
    assert planned.returncode == 0
    assert "72 runs" in planned.stdout
    assert planned.stderr.startswith('note: not on this machine: data.dataset = "shd"')
    assert sweep("run", "tradeoff_shd", "--out", tmp_path / "out").returncode == 2


def test_the_core_hours_of_the_tradeoff_are_predicted_within_a_factor_of_two(
    tmp_path: Path,
) -> None:
    job = tmp_path / "tradeoff.toml"
    job.write_text(SHORT.format(base=REPOSITORY / "jobs" / "chaki2023.toml"))
    told = real("plan", job, "--out", tmp_path / "out", "--time")
    found = re.search(r"predicted: (\S+) core-hours for 2 runs", told)
    assert found is not None, told
    before = used()
    real("run", job, "--out", tmp_path / "out", "--workers", 1)
    actual = (used() - before) / 3600
    assert actual / 2 < float(found.group(1)) < actual * 2


def real(*arguments: object) -> str:
    """Run a command with the real trainer."""
    process = start(*arguments, more={"PYTHONPATH": str(REPOSITORY)})
    stdout, stderr = process.communicate(timeout=200)
    assert process.returncode == 0, stdout + stderr
    return stdout


def used() -> float:
    """Return the processor's seconds of all that has been started here."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
