"""1000 runs of 100 rounds and 100 clients: the page in bounded time and memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from report_files import World, write_run

from hpcfed.config.file import digest, parse_experiment, to_toml
from tests.places import REPOSITORY
from tests.run_files import edited

MAIN = REPOSITORY / "hpcfed" / "__main__.py"
# of processor time: what else a machine does at the same time is not the page's
NUM_RUNS, SECONDS, MEMORY, PAGE = 1000, 30, 2e9, 8e6


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 1000 run files, made from one whose settings and accuracies change."""
    folder = tmp_path_factory.mktemp("thousand")
    noise = np.random.Generator(np.random.Philox(0)).random((NUM_RUNS, 100))
    first = write_run(folder / "0", World(test=list(noise[0]), num_clients=100))
    for index in range(1, NUM_RUNS):
        p, q, seed = 0.09 * (index % 10), 0.18 * (index // 10 % 5), index // 50
        world = World(test=[0.0] * 100, p=p, q=q, seed=seed)
        experiment = parse_experiment("", world.overrides)
        file = folder / str(index) / "run.h5"
        file.parent.mkdir()
        shutil.copyfile(first, file)
        with edited(file) as opened:
            opened.attrs["config_toml"] = to_toml(experiment)
            opened.attrs["config_digest"] = digest(experiment)
            for name in ("test_accuracy", "validation_accuracy", "train_loss"):
                opened[f"rounds/{name}"][:] = noise[index]
    return folder


# of its own memory: the maximum that rusage knows begins with that of the process that started it
MEASURE = (
    "import json, os, re, resource, runpy, sys; sys.argv = sys.argv[1:]\n"
    "sys.path.insert(0, os.path.dirname(sys.argv[0]))\n"
    "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
    "except SystemExit as stop: assert not stop.code, stop.code\n"
    "used = resource.getrusage(resource.RUSAGE_SELF)\n"
    "peak = int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    "print(json.dumps([used.ru_utime + used.ru_stime, 1024 * peak]))"
)


@pytest.mark.slow
def test_a_thousand_runs_take_seconds(runs: Path, tmp_path: Path) -> None:
    """The page draws every figure of the runs."""
    out = tmp_path / "report.html"
    command = [str(MAIN), "report", str(runs), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    seconds, memory_bytes = json.loads(done.stdout.splitlines()[-1])
    assert seconds < SECONDS
    assert memory_bytes < MEMORY
    assert 10_000 < out.stat().st_size < PAGE
