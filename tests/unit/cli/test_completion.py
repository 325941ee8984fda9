"""What a shell completes, and which packaged jobs help lists."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpcfed.cli.completing import complete_job, complete_key, complete_sweep
from hpcfed.cli.main import app
from hpcfed.config.file import key_paths
from hpcfed.config.jobs import described_jobs, packaged_jobs


def test_names_of_jobs_files_and_folders_are_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qualities").mkdir()
    for name in ("quick.toml", "quick.txt", ".quiet.toml", "qualities/one.toml"):
        (tmp_path / name).touch()
    assert complete_job("qu") == ["quickstart", "qualities/", "quick.toml"]
    assert complete_job("qualities/") == ["qualities/one.toml"]
    assert complete_sweep("tradeoff") == ["tradeoff", "tradeoff_shd"]
    assert complete_job("tradeoff") == complete_job("nowhere/x") == []
    assert "qualities/" in complete_job("")


def test_keys_are_completed_up_to_their_value() -> None:
    assert complete_key("server.ro") == ["server.rounds="]
    assert len(complete_key("")) == len(list(key_paths()))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hpcfed ru", "run"),
        ("hpcfed run quick", "quickstart"),
        ("hpcfed run quickstart --set data.num_b", "data.num_bins="),
        ("hpcfed sweep run tradeoff_", "tradeoff_shd"),
    ],
)
def test_a_shell_is_answered(line: str, expected: str, tmp_path: Path) -> None:
    asked = {
        "_HPCFED_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    told = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['hpcfed']\n"
         "from hpcfed.cli.main import main; main()"],
        env={**os.environ, **asked, "PYTHONPATH": os.pathsep.join(sys.path)}, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert told.stdout.split() == [expected], told.stderr


def test_completion_can_be_shown_and_installed() -> None:
    told = CliRunner().invoke(app, ["--help"]).output
    assert "--install-completion" in told
    assert "--show-completion" in told


def test_help_lists_packaged_jobs_with_what_they_ask() -> None:
    jobs = CliRunner().invoke(app, ["run", "--help"]).output
    sweeps = CliRunner().invoke(app, ["sweep", "run", "--help"]).output
    for name in packaged_jobs():
        assert (f"\n  {name} " in jobs) != (f"\n  {name} " in sweeps), name
    assert "Does a federated spiking network learn spoken digits" in jobs
    assert described_jobs(sweeps=True)["tradeoff_shd"].startswith("The study of tradeoff.toml on")
    assert all(described_jobs(sweeps=False).values())
