"""The doctor finds what is wrong, says what to do, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hpcfed.cli import doctor
from hpcfed.cli.doctor import (
    Finding,
    RankFacts,
    deaths_text,
    disk_findings,
    mpi_findings,
    place_findings,
    rank_facts,
    report,
    version_findings,
)

FOREIGN = ("OMPI_", "PMI", "PRTE_", "PMIX_", "SLURM_")
DOCTOR = "import sys; from pathlib import Path; from hpcfed.cli.doctor import doctor; "
DOCTOR += "sys.exit(doctor(Path(sys.argv[1])))"


def test_every_process_being_rank_0_of_1_is_a_problem() -> None:
    remedies = {f.topic: f.remedy for f in mpi_findings("Open MPI v5.0.11", 1, 4)}
    assert "--mpi=pmix" in remedies["ranks"]


def test_all_ranks_seen_is_no_problem() -> None:
    assert not any(f.remedy for f in mpi_findings("Open MPI v5.0.11", 4, 4))


def test_mpirun_of_another_mpi_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.launch, "find_mpirun", lambda: Path("/usr/bin/mpirun"))
    monkeypatch.setattr(
        doctor.settings, "identify", lambda path: doctor.settings.Launcher(5, False)
    )
    (problem,) = [f for f in mpi_findings("MPICH Version: 5.0.2", 1, 1) if f.remedy]
    assert problem.topic == "mpirun"
    assert not any(f.remedy for f in mpi_findings("Open MPI v5.0.11", 1, 1))


def test_ranks_are_counted_per_host() -> None:
    facts = rank_facts()
    ranks = [replace(facts, host="a"), replace(facts, host="b"), replace(facts, host="a")]
    (hosts,) = [f.text for f in place_findings(ranks) if f.topic == "hosts"]
    assert hosts == "a (2 of the ranks), b (1 of the ranks)"


def test_gpus_stand_beside_what_would_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs as NVIDIA's tool lists them, of which the ranks may see one each."""
    listing = "GPU 0: NVIDIA H200 (UUID: GPU-1)\nGPU 1: NVIDIA H200 (UUID: GPU-2)\n"
    done = subprocess.CompletedProcess([], 0, stdout=listing)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: done)
    found = {"torch": "2.13.0+cu130", "triton": "3.9.0"}
    monkeypatch.setattr(doctor, "versions", lambda: found)
    ranks = [replace(rank_facts_without_versions(), visible_gpus=str(k)) for k in (0, 1)]
    (gpus,) = [f.text for f in place_findings(ranks) if f.topic == "GPUs"]
    assert gpus == (
        "2 x NVIDIA H200; CUDA_VISIBLE_DEVICES: 0 / 1; torch 2.13.0+cu130, triton 3.9.0"
    )


def rank_facts_without_versions() -> RankFacts:
    return RankFacts("a", 1, "1", "all", ())


def test_without_triton_the_doctor_says_so_and_sees_no_problem(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "versions", dict)
    (gpus,) = [f for f in place_findings([rank_facts_without_versions()]) if f.topic == "GPUs"]
    assert gpus.text.endswith("triton missing")
    assert gpus.remedy == ""


def test_another_version_on_another_host_is_a_problem() -> None:
    facts = replace(rank_facts(), host="a", versions=("numpy 2.4.6",))
    stranger = replace(facts, host="b", versions=("numpy 2.3.0",))
    assert [f.remedy for f in version_findings([facts, facts])] == [""]
    (finding,) = version_findings([facts, stranger])
    assert finding.remedy.startswith("other versions on b")


def test_a_missing_package_names_the_extra() -> None:
    (finding,) = version_findings([replace(rank_facts(), versions=("torch missing",))])
    assert "torch missing" in finding.remedy
    assert "hpcfed[train]" in finding.remedy


def test_the_disk_check_leaves_nothing_behind(tmp_path: Path) -> None:
    (finding,) = disk_findings(tmp_path / "results" / "run")
    assert finding.remedy == ""
    assert list(tmp_path.iterdir()) == []


def test_what_becomes_of_a_dying_rank_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_MCA_mpi_ft_enable", "1")
    assert deaths_text(4) == "those that are left go on when a rank dies"
    monkeypatch.delenv("OMPI_MCA_mpi_ft_enable")
    assert "ends all" in deaths_text(4)
    monkeypatch.setattr(doctor.launch, "find_mpirun", lambda: Path("/usr/bin/mpirun"))
    for version, said in ((5, "mpirun --with-ft ulfm"), (4, "starts the job again"), (0, "ends")):
        launcher = doctor.settings.Launcher(version, wheel=False)
        monkeypatch.setattr(doctor.settings, "identify", lambda path, found=launcher: found)
        assert said in deaths_text(1)


def test_an_output_folder_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "results"
    file.write_text("a file")
    (finding,) = disk_findings(file)
    assert "--out" in finding.remedy
    assert file.read_text() == "a file"


def test_little_space_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = doctor.shutil.disk_usage(tmp_path)._replace(free=2**20)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: usage)
    (finding,) = disk_findings(tmp_path)
    assert "only 1 MiB" in finding.remedy


def test_each_problem_is_one_line_at_the_end() -> None:
    text = report([Finding("MPI", "none", "install one"), Finding("hosts", "a")])
    assert text.splitlines()[-1] == "PROBLEM: MPI: install one"
    assert report([Finding("hosts", "a")]).splitlines()[-1] == "No problems found."


@pytest.mark.mpi
@pytest.mark.parametrize("num_ranks", [1, 3])
def test_the_doctor_speaks_once_for_all_ranks(tmp_path: Path, num_ranks: int) -> None:
    launch = "import sys; from hpcfed.launch import run_ranks; "
    launch += f"sys.exit(run_ranks([sys.executable, *sys.argv[1:]], {num_ranks}))"
    done = subprocess.run(
        [sys.executable, "-c", launch, "-c", DOCTOR, str(tmp_path / "out")],
        env={k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("No problems found.") == 1
    assert done.stdout.count("GPU memory directly") == 1
    assert f"{num_ranks}, as many as were started" in done.stdout
    assert list(tmp_path.iterdir()) == []
