"""What users want to do, each a script as they would write it from the documents alone.

Each begins with what somebody wants, and ends with a look at whether it is there. Each runs in a
fresh folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import warm
from tests.places import REPOSITORY
from tests.tasks.documented import documented_keys, files, undocumented

FOLDER = REPOSITORY / "tests" / "tasks"
TASKS = sorted(FOLDER.glob("*.sh")) + sorted(
    path for path in FOLDER.glob("*.py") if path.name not in ("test_tasks.py", "documented.py")
)
# a signal is for the process itself, not for one that stands in front of it
_ITSELF = ("interrupt.py",)
_TIMEOUT_S = 240
# takes what this cluster would take, and runs the tasks of an array at once
_SBATCH = """#!/bin/bash
set -eu
named=
for part in "$@"; do case "$part" in
    --parsable | --ntasks=*) ;;
    *.sbatch) named=$part; break ;;
    *) echo "sbatch: error: $part" >&2; exit 1 ;;
esac; done
script=$(cat ${named:+"$named"})
bash -n <<<"$script"
[ -z "$named" ] || { echo "Submitted batch job 4711"; exit; }
asked() { grep "^#SBATCH --$1=" <<<"$script" | cut -d= -f2-; }
for wanted in partition=slow account=snn42 mail-type=NONE time=15 mem-per-cpu=1000M array=0-0; do
    [ "$(asked "${wanted%=*}")" = "${wanted#*=}" ] || { echo "sbatch: error: $wanted" >&2; exit 1; }
done
export SLURM_JOB_ID=4712 SLURM_ARRAY_JOB_ID=4712 SLURM_ARRAY_TASK_ID=0
bash -c "$script" </dev/null
echo 4712
"""


@pytest.fixture(scope="module")
def started() -> Iterator[Path]:
    """Return the folder of hpcfed and python that start at once."""
    with warm.programs() as folder:
        yield folder


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of hpcfed and python themselves, and of a cluster's commands."""
    folder = tmp_path_factory.mktemp("bin")
    warm.program(folder / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    warm.program(folder / "hpcfed", f'#!/bin/sh\nexec {sys.executable} -m hpcfed "$@"\n')
    warm.program(folder / "sbatch", _SBATCH)
    for name in ("squeue", "sacct", "sacctmgr"):
        warm.program(folder / name, "#!/bin/sh\n")
    return folder


@pytest.mark.mpi
@pytest.mark.parametrize("task", TASKS, ids=lambda path: path.name)
def test_a_task_is_done(task: Path, started: Path, programs: Path, tmp_path: Path) -> None:
    shutil.copy(task, tmp_path)
    (tmp_path / "slurm").symlink_to(REPOSITORY / "slurm")
    first = [] if task.name in _ITSELF else [started]
    path = os.pathsep.join(map(str, [*first, programs, "/usr/bin", "/bin"]))
    more = {"PATH": path, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    shell = ["bash", "-euo", "pipefail"] if task.suffix == ".sh" else ["python"]
    ended = subprocess.run(
        [*shell, task.name], cwd=tmp_path, env={**os.environ, **more}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=_TIMEOUT_S,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize("task", TASKS, ids=lambda path: path.name)
def test_a_task_uses_only_what_is_documented(task: Path) -> None:
    for name, text in files(task):
        assert undocumented(name, text) == [], name


def test_every_task_is_short_and_says_what_is_wanted() -> None:
    for task in TASKS:
        text = task.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 65, task.name
        assert text.startswith(('# "', '"""I ', '"""My ')), task.name


def test_what_no_document_knows_is_noticed() -> None:
    python = "import hpcfed\nfrom hpcfed.records import log\nrun = hpcfed.load('x')\n"
    python += "run.secret\nhpcfed.nothing\nhpcfed.run('x', overrides={'server.round': 3})\n"
    found = undocumented("a.py", python)
    assert sorted(found) == ["hpcfed.nothing", "hpcfed.records", "run.secret", "server.round"]
    shell = (
        "hpcfed run quickstart --rank 2 \\\n  --set server.round=2 | tee log\nhpcfed sweep worker"
    )
    assert undocumented("a.sh", shell) == ["--rank", "server.round", "worker"]
    assert undocumented("a.toml", 'base = "x"\n[grid]\nseeds = [1]') == ["seeds"]
    assert undocumented("b.toml", 'base = "x"\n[resources]\nminutes = 1') == ["minutes"]
    assert undocumented("b.sh", "cat hpcfed/cli/main.py") == ["hpcfed/"]
    assert {"seed", "data.num_bins", "rule.stdp.excitatory.tau"} <= documented_keys()
