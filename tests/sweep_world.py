"""Sweeps of toy runs through the real command line: milliseconds a run, with every real file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import xarray

from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.collecting.collect import collect
from hpcfed.sweep.planning.manifest import read_manifest
from hpcfed.sweep.states import STATUSES, look
from tests.places import REPOSITORY

BASE = """
[data]
dataset = "tests.toy_world:load"
num_bins = 4
validation_fraction = 0.2
[model]
kind = "ann"
hidden = [6]
[rule]
kind = "tests.slow_toy:RULE"
[participation]
drop_probability = 0.3
[server]
rounds = 4
[run]
checkpoint_seconds = 0.0
"""
GRID = """
base = "base.toml"
[grid]
"uplink.mask_probability" = [0.0, 0.5]
seed = [0, 1]
[set]
uplink.mask = "bernoulli"
"""


def write_sweep(folder: Path, *more: str, grid: str = GRID) -> Path:
    """Write a base and a sweep file; ``more`` are further lines of TOML. Returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "base.toml").write_text(BASE)
    path = folder / "toy.toml"
    path.write_text(grid + "\n".join(more) + "\n")
    return path


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which every process of a sweep trains toys."""
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH")]
    path = os.pathsep.join(path for path in paths if path)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **(more or {})}


def start(*arguments: object, more: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start ``hpcfed sweep ARGUMENTS``."""
    return subprocess.Popen(
        [sys.executable, "-m", "hpcfed", "sweep", *map(str, arguments)],
        cwd=REPOSITORY, env=environment(more), text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def sweep(
    *arguments: object, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``hpcfed sweep ARGUMENTS`` to its end."""
    process = start(*arguments, more=more)
    try:
        stdout, stderr = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def counts(out: Path) -> dict[str, int]:
    """Return how many runs are finished, running, queued, stopped, failed and missing."""
    paths = Paths(out)
    state = look(read_manifest(paths), paths)
    found = {status: sum(s.status == status for s in state.runs) for status in STATUSES}
    return {status: number for status, number in found.items() if number}


def wait_for(condition: Callable[[], object], limit_s: float = 60, pause_s: float = 0.1) -> None:
    """Wait until ``condition`` holds; fail after ``limit_s`` seconds."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(pause_s)


def collected(out: Path) -> xarray.Dataset:
    """Collect, and return all numbers but the seconds, clients' in the same set."""
    paths = Paths(out)
    told = list(collect(read_manifest(paths), paths))
    assert not [line for line in told if "left out" in line], told
    parts = [
        xarray.load_dataset(out / "sweep.nc", group=group, engine="h5netcdf")
        for group in (None, "clients")
    ]
    parts[1] = parts[1].rename({n: f"client_{n}" for n in parts[1].data_vars})
    found = xarray.merge(parts, compat="no_conflicts", join="exact")
    return found.drop_vars([str(n) for n in found.data_vars if str(n).startswith("seconds_")])


def assert_same(first: xarray.Dataset, second: xarray.Dataset) -> None:
    """Fail unless all numbers have the same bits."""
    assert set(first.variables) == set(second.variables)
    for name, variable in first.variables.items():
        a, b = np.asarray(variable.values), np.asarray(second[name].values)
        assert a.shape == b.shape, name
        same = a.tobytes() == b.tobytes() if a.dtype != object else (a == b).all()
        assert same, name
