"""A real Slurm for the tests of this folder: slurm/devcluster, or the one that is up already."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import xarray

from tests.places import REPOSITORY
from tests.sweep_world import collected, sweep, write_sweep

SCRIPT = REPOSITORY / "slurm" / "devcluster"
FOLDER = Path("/tmp/hpcfed-devcluster")


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a sweep file of four runs of four rounds."""
    return write_sweep(tmp_path_factory.mktemp("job"))


@pytest.fixture(scope="session")
def undisturbed(job: Path) -> xarray.Dataset:
    """Return the numbers of the sweep when nothing goes wrong."""
    out = job.parent / "undisturbed"
    told = sweep("run", job, "--out", out, "--workers", 2)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1] == "4 finished"
    assert not list((out / "claims").iterdir())
    return collected(out)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Path]:
    """Start the development cluster; yield its script. Skip, with the reason, where none can be.

    HPCFED_REQUIRE_SLURM, which CI sets, forbids to skip; the packages are installed only then.
    """
    required = bool(os.environ.get("HPCFED_REQUIRE_SLURM"))
    reason = None
    if os.geteuid() != 0:
        reason = "starting a Slurm of our own needs root"
    elif shutil.which("slurmctld") is None and not required:
        reason = "no slurmctld here; slurm/devcluster up installs one on Debian"
    if reason is None:
        begun = subprocess.run(
            [SCRIPT, "up"], env={**os.environ, "NODES": "4", "CPUS": "8"},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        if begun.returncode:
            reason = f"slurm/devcluster up failed: {begun.stderr.strip()}"
    if reason is not None:
        if required:
            pytest.fail(f"{reason}, and HPCFED_REQUIRE_SLURM forbids to skip", pytrace=False)
        pytest.skip(reason)
    folder = Path(os.environ.get("HPCFED_DEVCLUSTER", FOLDER))
    previous = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    yield SCRIPT
    subprocess.run([SCRIPT, "down"], check=False, timeout=60)
    if previous is None:
        del os.environ["SLURM_CONF"]
    else:
        os.environ["SLURM_CONF"] = previous
