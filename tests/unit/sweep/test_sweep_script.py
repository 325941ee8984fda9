"""The sbatch script: golden texts, and nothing of a file reaches a shell unquoted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hpcfed.config.tables import checked
from hpcfed.errors import InputError
from hpcfed.sweep.planning.resources import Resources, Site, find_site, packaged_sites
from hpcfed.sweep.slurm.script import Array, TaskPlace, render
from tests.places import GOLDEN, REPOSITORY

PLACE = TaskPlace(Path("/data/out"), Path("/data/out/logs"), Path("/home/me"), "/venv/bin/python")
FULL = {
    "ranks_per_run": 4, "threads": 2, "gpus": 1, "time_min": 90, "memory_mib": 6001,
    "runs_per_task": 10, "concurrent_runs": 2, "throttle": 20,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "resources", "site", "num_tasks"),
    [("sbatch_plain", {}, "plain", 12), ("sbatch_full", FULL, "example", 1000)],
)
def test_the_script_is_the_golden_one(
    name: str, resources: dict[str, object], site: str, num_tasks: int
) -> None:
    made = checked(Resources, resources, "[resources]")
    text = render(Array("study-0123abcd", num_tasks), PLACE, made, find_site(site, Path("nowhere")))
    assert text == (GOLDEN / f"{name}.txt").read_text()


def test_every_packaged_site_is_valid() -> None:
    assert {"plain", "srun-pmix", "srun-pmi2", "example"} <= packaged_sites().keys()
    for name in packaged_sites():
        assert find_site(name, Path("nowhere")).description


def test_paths_reach_the_command_as_they_are(tmp_path: Path) -> None:
    odd = tmp_path / "a b'c\"d\n#SBATCH --evil\n$(touch pwned)`touch pwned`;touch pwned"
    for folder in ("logs", "work"):
        (odd / folder).mkdir(parents=True)
    python = odd / "python"
    python.write_text('#!/bin/sh\npwd\nprintf "%s|" "$@"\n')
    python.chmod(0o755)
    place = TaskPlace(odd / "out", odd / "logs", odd / "work", str(python))
    script = render(Array("x-1", 2), place, Resources.model_validate({}), Site.model_validate({}))
    done = subprocess.run(
        ["bash"], input=script, text=True, cwd=tmp_path, check=True,
        env={"SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "1", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0
    said = (odd / "logs" / "5_1.log").read_text()
    assert said == f"{odd / 'work'}\n-m|hpcfed|sweep|task|--out|{odd / 'out'}|--array|x-1|"
    assert not list(tmp_path.rglob("pwned"))
    directives = [s for s in script.splitlines() if s.startswith("#SBATCH")]
    before = script.split("exec >>")[0]
    assert [s for s in directives if s in before.splitlines()][-1] == "#SBATCH --output=/dev/null"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("partition", "a\n#SBATCH --wrap=x"),
        ("account", "$(reboot)"),
        ("modules", ["gcc; reboot"]),
        ("extra", ["--comment=x\nreboot"]),
        ("extra", ["reboot"]),
        ("gpu_request", "--gres=gpu\nreboot"),
        ("environment", {"A B": "1"}),
        ("mpi", "pmix\nx"),
    ],
)
def test_words_that_could_run_are_refused(key: str, value: object) -> None:
    with pytest.raises(InputError, match=f"site: {key}"):
        checked(Site, {key: value}, "site")


def test_the_hand_written_array_script_is_valid_shell() -> None:
    script = REPOSITORY / "slurm" / "array.sbatch"
    subprocess.run(["bash", "-n", script], check=True)
