"""The folder in which a page's blocks run: a small checkout, tiny data, and programs that stand in.

Jobs are those of the repository made small; ``shd`` and CIFAR lie there as files of their layout.
Slurm, ``mpirun``, ``pip`` and ``make`` are stand-ins that check what they are asked for.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from tests.docs.small import small_toml
from tests.docs.warm import program
from tests.places import REPOSITORY
from tests.shd_files import write_classes

LINKED = ("analysis", "benchmarks", "scripts", "slurm")
JOB = """
name = "job"
[data]
dataset = "spoken-digits"
duration = 0.7
num_bins = 100
[model]
hidden = [16]
"""
CIFAR = {"data_batch_1.bin": 100, "test_batch.bin": 10, "batches.meta.txt": 0}
BATCHES = (*(f"data_batch_{number}.bin" for number in range(2, 6)),)

_PIP = """
for part in "$@"; do case "$part" in
    install|-*) ;;
    .|hpcfed) ;;
    .\\[*\\]|hpcfed\\[*\\])
        for extra in $(echo "${part#*[}" | tr -d ']' | tr ',' ' '); do
            grep -q "^        \\"$extra\\": \\[" REPOSITORY/setup.py ||
                { echo "setup.py has no extra $extra" >&2; exit 1; }
        done ;;
    *) echo "pip: $part" >&2; exit 1 ;;
esac; done
"""
_SBATCH = """
script=
for part in "$@"; do case "$part" in
    --ntasks=*|--nodes=*|--ntasks-per-node=*|--array=*|--time=*|--parsable|--*=*) ;;
    -*) echo "sbatch: unknown option $part" >&2; exit 1 ;;
    *) [ -e "$part" ] || { echo "sbatch: no file $part" >&2; exit 1; }; script=$part ;;
esac; done
bash -n ${script:+"$script"} || exit 1
echo 4711
"""
_LAUNCHER = """
while [ $# -gt 0 ]; do case "$1" in
    -n|-np) shift 2 ;;
    --mpi=*) shift ;;
    --version) PATH=${PATH#*:} exec mpirun --version ;;
    -*) echo "unknown option $1" >&2; exit 1 ;;
    *) exec "$@" ;;
esac; done
"""
STAND_INS = {
    "pip": _PIP,
    "make": 'exec /usr/bin/env -i PATH=/usr/bin:/bin make -C REPOSITORY --dry-run "$@" >/dev/null',
    "sbatch": _SBATCH,
    "mpirun": _LAUNCHER,
    "srun": _LAUNCHER,
    "squeue": "exit 0",
    "sacct": "exit 0",
    "sacctmgr": "exit 0",
    "scancel": "exit 0",
    "scontrol": "echo MaxArraySize = 1001",
}


def furnish(folder: Path) -> None:
    """Make ``folder`` the working directory of a page."""
    for name in LINKED:
        (folder / name).symlink_to(REPOSITORY / name)
    (folder / "docs").mkdir()
    (folder / "jobs").mkdir()
    for job in (REPOSITORY / "jobs").glob("*.toml"):
        text = small_toml(job.read_text(encoding="utf-8"))
        (folder / "jobs" / job.name).write_text(text, encoding="utf-8")
    (folder / "JOB.toml").write_text(small_toml(JOB))
    _cifar(folder / "FOLDER")


def data(root: Path) -> None:
    """Put files of SHD's and of CIFAR's layout where ``hpcfed data fetch`` puts them."""
    for split in ("train", "test"):
        write_classes(root / "shd" / f"shd_{split}.h5", [0, 1, 1], 2)
    _cifar(root / "cifar10")
    for name in BATCHES:
        shutil.copy(root / "cifar10" / "test_batch.bin", root / "cifar10" / name)


def stand_ins(folder: Path) -> None:
    """Write the programs that stand in for those of a cluster, for pip and for make."""
    folder.mkdir(exist_ok=True)
    for name, script in STAND_INS.items():
        program(folder / name, f"#!/bin/bash\n{script.replace('REPOSITORY', str(REPOSITORY))}\n")


def _cifar(folder: Path) -> None:
    folder.mkdir(parents=True)
    words = np.random.default_rng(0)
    for name, count in CIFAR.items():
        records = words.integers(256, size=(count, 3073)).astype(np.uint8)
        records[:, 0] = np.arange(count) % 10
        (folder / name).write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(f"class {k}" for k in range(10)) + "\n")
