"""Alone, on ranks, under mpirun and in a sweep the same modules are imported."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpcfed.launch import find_mpirun, settings
from hpcfed.records import origins
from hpcfed.records.runfile import read_record
from tests.places import PLAIN, REPOSITORY

SETTINGS = """
[data]
dataset = "mydata:load"
num_bins = 4
validation_fraction = 0.2
[model]
kind = "ann"
hidden = [6]
[rule]
kind = "tests.toy_world:RULE"
[server]
rounds = 1
"""
pytestmark = pytest.mark.mpi

HPCFED = (str(Path(sys.executable).with_name("hpcfed")),)
MODULE = (sys.executable, "-m", "hpcfed")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Return a working folder and one on PYTHONPATH, each with a module of one name."""
    here, site = tmp_path / "work", tmp_path / "site"
    for folder in (here, site):
        folder.mkdir()
        text = f"# of {folder.name}\nfrom tests.toy_world import load\n"
        (folder / "mydata.py").write_text(text)
    (here / "random.py").write_text("raise RuntimeError('this is not the library')\n")
    (here / "job.toml").write_text(SETTINGS)
    (here / "sweep.toml").write_text('base = "job.toml"\n[grid]\nseed = [0]\n')
    return here, site


def imported(here: Path, site: Path | None, *command: str) -> str:
    """Run a command in ``here`` and return which ``mydata`` its run has recorded."""
    path = os.pathsep.join([str(REPOSITORY), *([str(site)] if site else [])])
    environment = {**os.environ, **PLAIN, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    environment |= settings.environment(settings.identify(find_mpirun()), environment)
    ended = subprocess.run(
        command, cwd=here, env=environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    (file,) = here.rglob("run.h5")
    digest = origins.read(read_record(file).attributes)["code of data.dataset"]
    folders = [folder for folder in (here, site) if folder is not None]
    return next(
        folder.name
        for folder in folders
        if hashlib.sha256((folder / "mydata.py").read_bytes()).hexdigest() == digest
    )


WAYS = {
    "alone": (*HPCFED, "run", "job.toml", "--out", "out"),
    "as a module": (*MODULE, "run", "job.toml", "--out", "out"),
    "on ranks": (*HPCFED, "run", "job.toml", "--out", "out", "--ranks", "2"),
    "under mpirun": ("mpirun", "-n", "2", *MODULE, "run", "job.toml", "--out", "out"),
    "in a sweep": (*HPCFED, "sweep", "run", "sweep.toml", "--out", "out", "--quiet"),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_on_the_path_comes_before_the_working_folder(
    places: tuple[Path, Path], way: str
) -> None:
    command = [str(find_mpirun()) if word == "mpirun" else word for word in WAYS[way]]
    if command[0] == HPCFED[0]:  # Python itself, asked for a module, looks in the folder first
        (places[0] / "typing.py").write_text("raise RuntimeError('nor is this')\n")
    assert imported(*places, *command) == "site"


@pytest.mark.parametrize("way", ["as a module", "on ranks", "in a sweep"])
def test_the_working_folder_is_searched_as_well(places: tuple[Path, Path], way: str) -> None:
    assert imported(places[0], None, *WAYS[way]) == "work"
