"""What a real Slurm seldom shows, by programs that stand in for it: limits, errors, old answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcfed.config import Experiment
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.planning.manifest import Manifest, plan, write_manifest
from hpcfed.sweep.planning.sweepfile import read_sweep
from hpcfed.sweep.slurm import arrays
from hpcfed.sweep.slurm import commands as slurm
from hpcfed.sweep.states import look
from hpcfed.sweep.submission import Room, room, submit


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of programs that come before those of the machine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for name in ("squeue", "sacct", "sacctmgr", "sbatch", "scontrol", "scancel"):
        fake(folder, name, "echo no such cluster >&2; exit 1")
    return folder


def fake(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def planned(folder: Path, resources: str = "") -> tuple[Manifest, Paths]:
    """Plan ten runs."""
    (folder / "base.toml").write_text("")
    (folder / "s.toml").write_text(
        f'base = "base.toml"\n[grid]\nseed = {list(range(10))}\n[resources]\n{resources}\n'
    )
    paths = Paths(folder / "out")

    def norse(experiment: Experiment) -> str:
        return "norse"

    manifest = plan(read_sweep(folder / "s.toml"), paths, norse).manifest
    write_manifest(paths, manifest, "")
    return manifest, paths


ACCEPTING = (
    'n=$(cat count 2>/dev/null || echo 0); echo $((n + 1)) > count; cat > script$n; echo "10$n;dev"'
)


def test_an_array_never_exceeds_what_the_cluster_takes(
    fakes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fake(fakes, "sbatch", ACCEPTING)
    manifest, paths = planned(tmp_path, "runs_per_task = 2")
    said: list[str] = []
    assert submit(manifest, paths, manifest.runs, Room(3, None), said.append) == 0
    assert said == ["array job 100: 3 tasks, 6 runs", "array job 101: 2 tasks, 4 runs"]
    assert "--array=0-2\n" in (tmp_path / "script0").read_text()
    assert "--array=0-1\n" in (tmp_path / "script1").read_text()
    made = {a.job: a.tasks for a in arrays.read_all(paths)}
    assert [digest for job in ("100", "101") for task in made[job] for digest in task] == [
        run.digest for run in manifest.runs
    ]


def test_what_does_not_fit_into_the_queue_is_told_and_submitted_later(
    fakes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refusal = (
        "cat > script; grep -q -e '--array=0-[3-9]' script && "
        "{ echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; "
        "echo 'sbatch: error: Batch job submission failed: Job violates accounting/QOS policy' >&2;"
        " exit 1; }; [ -e full ] && { echo 'error: queue full' >&2; exit 1; }; touch full; echo 7"
    )
    fake(fakes, "sbatch", refusal)
    manifest, paths = planned(tmp_path)
    said: list[str] = []
    left = submit(manifest, paths, manifest.runs, Room(1000, None), said.append)
    assert said[0] == "array job 7: 2 tasks, 2 runs"  # 10 and 5 were refused
    assert "the queue takes no more" in said[1]
    assert left == 8
    assert [len(a.tasks) for a in arrays.read_all(paths)] == [2]


def test_room_is_what_the_limits_leave(fakes: Path, tmp_path: Path) -> None:
    manifest, paths = planned(tmp_path)
    fake(fakes, "scontrol", "echo 'MaxArraySize            = 401'; echo 'MaxJobCount = 10000'")
    fake(fakes, "sacctmgr", "echo; echo 5")
    assert slurm.limits() == slurm.Limits(401, 5)
    assert room(manifest, look(manifest, paths)) == Room(401, 5)
    with pytest.raises(slurm.SlurmError, match="scontrol: no such cluster"):
        fake(fakes, "scontrol", "echo no such cluster >&2; exit 1")
        room(manifest, look(manifest, paths))


def test_any_other_refusal_is_an_error_and_leaves_no_array(
    fakes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest, paths = planned(tmp_path)
    for script, message in (
        ("echo 'error: invalid partition specified: x' >&2; exit 1", "invalid partition"),
        ("echo hello", "expected the number of a job, found 'hello"),
    ):
        fake(fakes, "sbatch", script)
        with pytest.raises(slurm.SlurmError, match=message):
            submit(manifest, paths, manifest.runs, Room(1000, None), print)
        assert arrays.read_all(paths) == []


def test_a_queue_is_read_however_wide_its_columns(fakes: Path) -> None:
    fake(fakes, "squeue", 'echo "12   3  RUNNING 1 study-1  "; echo "13 N/A PENDING 0 a b c"; echo')
    assert slurm.queue() == [
        slurm.Queued("12", "3", "RUNNING", 1, "study-1"),
        slurm.Queued("13", "-", "PENDING", 0, "a b c"),
    ]
    assert [job.works for job in slurm.queue()] == [True, False]
    queue = slurm.SlurmQueue()
    assert queue.incarnation("12", "3", refresh=False) == 1
    assert queue.incarnation("13", "-", refresh=False) == -1
    fake(fakes, "squeue", "exit 1")
    assert queue.incarnation("12", "3", refresh=False) == 1
    assert queue.incarnation("12", "3", refresh=True) is None


def test_accounting_is_used_where_there_is_some(fakes: Path) -> None:
    assert slurm.ends(["study-1"]) == {}
    fake(
        fakes,
        "sacct",
        'printf "12_3|OUT_OF_MEMORY\\n12_4|CANCELLED by 0\\n9|COMPLETED\\n12_[5-9]|PENDING\\n"',
    )
    assert slurm.ends(["study-1"]) == {
        ("12", "3"): "OUT_OF_MEMORY", ("12", "4"): "CANCELLED", ("9", "-"): "COMPLETED",
        ("12", "[5-9]"): "PENDING",
    }  # fmt: skip


def test_without_an_answer_the_state_says_so(fakes: Path, tmp_path: Path) -> None:
    manifest, paths = planned(tmp_path)
    assert look(manifest, paths).asked
    arrays.write(paths, arrays.Submitted("s-1", "9", (tuple(r.digest for r in manifest.runs),)))
    assert not look(manifest, paths).asked
    fake(fakes, "squeue", "echo 9 0 PENDING 0 s-1")
    state = look(manifest, paths)
    assert state.asked
    assert len(state.of("queued")) == 10
