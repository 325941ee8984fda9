"""The real command line: help without weight, and one clear message for each bad input."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcfed.records.runfile import write_record
from hpcfed.records.schema import RUN_FILE
from tests.places import REPOSITORY
from tests.run_files import record
from tests.shd_files import write_file

HEAVY = ("torch", "norse", "mpi4py", "numba", "matplotlib", "pydantic", "h5py", "tonic", "scipy",
         "numpy", "xarray", "pandas")  # fmt: skip


def hpcfed(*arguments: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hpcfed", *arguments],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def run_job(folder: Path, *overrides: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a job of two speakers in ``folder`` with the given keys."""
    if not (folder / "train.h5").exists():
        write_file(folder / "train.h5")
    (folder / "job.toml").write_text(text or JOB)
    sets = [part for item in overrides for part in ("--set", item)]
    return hpcfed("run", "job.toml", *sets, "--out", "out", cwd=folder)


JOB = """
name = "tiny"
[data]
dataset = "train.h5"
num_bins = 100
validation_fraction = 0.0
[model]
hidden = [3]
[server]
rounds = 1
"""


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['hpcfed', '--help']\n"
        "import atexit\n"
        f"atexit.register(lambda: print('loaded', [m for m in {HEAVY!r} if m in sys.modules]))\n"
        "from hpcfed.cli.main import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.rstrip().endswith("loaded []")
    for command in ("run", "show", "data", "doctor"):
        assert command in ended.stdout


def test_the_version_is_printed() -> None:
    from hpcfed import __version__

    assert hpcfed("--version").stdout == f"hpcfed {__version__}\n"


@pytest.mark.parametrize("command", [["run"], ["show"], ["doctor"], ["data", "encode"], ["export"]])
def test_every_command_has_help(command: list[str]) -> None:
    ended = hpcfed(*command, "--help")
    assert ended.returncode == 0
    assert "Usage" in ended.stdout


def bad_file(content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / "train.h5").write_bytes(content) and None


def shd(**changes: object) -> Callable[[Path], None]:
    return lambda folder: write_file(folder / "train.h5", **changes) and None


def cut(folder: Path) -> None:
    path = write_file(folder / "train.h5")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_labels(folder: Path) -> None:
    with h5py.File(write_file(folder / "train.h5"), "a") as file:
        del file["labels"]


def nothing(folder: Path) -> None:
    write_file(folder / "train.h5")


BAD_INPUT = {
    "unknown key": (nothing, ["client.learningrate=0.1"], ["client.learning_rate"]),
    "unknown table": (nothing, ["severs.rounds=1"], ["server"]),
    "out of range": (nothing, ["participation.drop_probability=1.5"], ["drop_probability", "1.5"]),
    "not a number": (nothing, ["client.learning_rate=nan"], ["client.learning_rate"]),
    "text for a number": (nothing, ["server.rounds=many"], ["server.rounds", "many"]),
    "no value": (nothing, ["server.rounds"], ["KEY=VALUE"]),
    "missing file": (nothing, ["data.dataset=none.h5"], ["none.h5"]),
    "missing test file": (nothing, ["data.test=none.h5"], ["none.h5"]),
    "missing data set": (nothing, ["data.dataset=shd"], ["shd"]),
    "unknown data set": (nothing, ["data.dataset=mnist"], ["mnist"]),
    "missing module": (nothing, ["data.dataset=nomodule:load"], ["nomodule"]),
    "not HDF5": (bad_file(b"not HDF5 at all"), [], ["train.h5"]),
    "empty file": (bad_file(b""), [], ["train.h5"]),
    "truncated file": (cut, [], ["train.h5"]),
    "no labels": (without_labels, [], ["train.h5", "labels"]),
    "labels beyond the classes": (shd(labels=[0, 1, 7]), [], ["train.h5", "7"]),
    "an empty sample": (
        shd(times=[[0.1], [], [0.2]], units=[[0], [], [1]]), [], ["train.h5", "no spikes"],
    ),
    "a negative time": (
        shd(times=[[0.1], [-0.5], [0.2]], units=[[0], [1], [1]]), [], ["train.h5", "negative"],
    ),
    "a time that is no number": (
        shd(times=[[0.1], [np.nan], [0.2]], units=[[0], [1], [1]]), [], ["train.h5", "finite"],
    ),
    "an infinite time": (
        shd(times=[[0.1], [np.inf], [0.2]], units=[[0], [1], [1]]), [], ["train.h5", "finite"],
    ),
    "classes that are not there": (nothing, ["data.classes=[0, 9]"], ["9"]),
    "more clients than groups": (nothing, ["partition.num_clients=5"], ["num_clients", "5"]),
    "a client without data": (
        nothing, ["partition.kind=iid", "partition.num_clients=4"], ["num_clients"],
    ),
    "too many shards": (
        nothing, ["partition.kind=shards", "partition.num_clients=3"], ["classes_per_client"],
    ),
    "probabilities of other clients": (
        nothing, ["participation.drop_probability=[0.1, 0.2, 0.3]"], ["drop_probability", "3"],
    ),
    "no run to start from": (nothing, ["model.warm_start=none/run.h5"], ["none/run.h5"]),
    "no run to learn from": (nothing, ["client.teacher=none/run.h5"], ["client.teacher = none/"]),
    "an own network that is not there": (nothing, ["model.kind=nomodule:build"], ["nomodule"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_message_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    prepare, overrides, words = BAD_INPUT[case]
    prepare(tmp_path)
    assert_refused(run_job(tmp_path, *overrides), words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job.toml", "train.h5"]


def assert_refused(ended: subprocess.CompletedProcess[str], words: list[str]) -> None:
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("error: ") == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stdout == ""
    for word in words:
        assert word in ended.stderr


def test_a_test_file_with_more_channels_is_refused(tmp_path: Path) -> None:
    write_file(tmp_path / "test.h5", units=[[900], [1], [2]], times=[[0.1], [0.1], [0.1]])
    ended = run_job(tmp_path, "data.test=test.h5")
    assert_refused(ended, ["test.h5", "channel", "network"])
    assert not (tmp_path / "out").exists()


def test_a_missing_and_a_broken_job_file_are_refused(tmp_path: Path) -> None:
    assert_refused(hpcfed("run", "none.toml", cwd=tmp_path), ["none.toml"])
    (tmp_path / "bad.toml").write_text("[server\n")
    assert_refused(hpcfed("run", "bad.toml", cwd=tmp_path), ["bad.toml", "TOML"])
    assert [path.name for path in tmp_path.iterdir()] == ["bad.toml"]


def test_a_folder_that_holds_another_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_record(tmp_path / "out" / RUN_FILE, record())
    before = (tmp_path / "out" / RUN_FILE).read_bytes()
    assert_refused(run_job(tmp_path), ["out", "--resume"])
    assert (tmp_path / "out" / RUN_FILE).read_bytes() == before


@pytest.mark.parametrize("out", ["job.toml", "job.toml/below"])
def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path, out: str) -> None:
    write_file(tmp_path / "train.h5")
    (tmp_path / "job.toml").write_text(JOB)
    assert_refused(hpcfed("run", "job.toml", "--out", out, cwd=tmp_path), ["job.toml"])
    assert (tmp_path / "job.toml").read_text() == JOB


def test_a_broken_run_file_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / RUN_FILE).write_bytes(b"broken")
    write_file(tmp_path / "train.h5")
    (tmp_path / "job.toml").write_text(JOB)
    ended = hpcfed("run", "job.toml", "--out", "out", "--resume", cwd=tmp_path)
    assert_refused(ended, ["run.h5"])
    assert (tmp_path / "out" / RUN_FILE).read_bytes() == b"broken"


def test_bad_input_is_told_before_mpirun_starts(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(JOB)
    ended = hpcfed("run", "job.toml", "--ranks", "2", "--set", "server.rounds=0", cwd=tmp_path)
    assert_refused(ended, ["server.rounds"])
    assert [path.name for path in tmp_path.iterdir()] == ["job.toml"]


@pytest.mark.parametrize("arguments", [["run"], ["run", "a", "b"], ["fly"], ["show"]])
def test_wrong_usage_leaves_with_2_and_no_traceback(tmp_path: Path, arguments: list[str]) -> None:
    ended = hpcfed(*arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_show_prints_a_run_and_a_folder_of_runs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_record(tmp_path / name / RUN_FILE, record())
    single = hpcfed("show", "a", cwd=tmp_path)
    assert single.returncode == 0, single.stderr
    assert "example" in single.stdout
    table = hpcfed("show", ".", cwd=tmp_path)
    assert [line.split()[0] for line in table.stdout.splitlines()[1:]] == ["a", "b"]
    assert_refused(hpcfed("show", "none", cwd=tmp_path), ["none"])


def test_a_run_leaves_one_file_and_says_where(tmp_path: Path) -> None:
    ended = run_job(tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [RUN_FILE]
    assert "out/run.h5" in ended.stdout


def test_quiet_says_nothing_and_the_default_folder_is_results_and_the_name(tmp_path: Path) -> None:
    write_file(tmp_path / "train.h5")
    (tmp_path / "job.toml").write_text(JOB)
    ended = hpcfed("run", "job.toml", "--quiet", cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (tmp_path / "results" / "tiny" / RUN_FILE).exists()
