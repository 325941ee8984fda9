"""Sweeps without Slurm: whatever interrupts one, retry makes its numbers the undisturbed ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest
import xarray

from hpcfed.errors import InputError
from hpcfed.records.sweepfolder import Paths
from hpcfed.sweep.collecting.collect import collect
from hpcfed.sweep.planning.manifest import read_manifest
from tests.sweep_world import (
    GRID,
    assert_same,
    collected,
    counts,
    start,
    sweep,
    wait_for,
    write_sweep,
)

SLOW = {"HPCFED_TOY_ROUND_S": "0.3"}
HALF = GRID.replace("[0.0, 0.5]", "[0.5]")


def some_rounds(out: Path) -> bool:
    return len(list(out.glob("runs/*/run.h5"))) >= 2


def retried(job: Path, out: Path) -> xarray.Dataset:
    told = sweep("retry", job, "--out", out, "--workers", 1)
    assert told.returncode == 0, told.stdout + told.stderr
    assert counts(out) == {"finished": 4}
    return collected(out)


@pytest.fixture
def done(job: Path, undisturbed: xarray.Dataset, tmp_path: Path) -> Path:
    """Return a copy of the undisturbed sweep's folder, before it was collected."""
    out = tmp_path / "done"
    shutil.copytree(job.parent / "undisturbed", out)
    (out / "sweep.nc").unlink()
    return out


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_ended_by_a_signal_is_completed_by_retry(
    number: int, job: Path, undisturbed: xarray.Dataset, tmp_path: Path
) -> None:
    process = start("run", job, "--out", tmp_path, "--workers", 2, more=SLOW)
    wait_for(lambda: some_rounds(tmp_path))
    if number == signal.SIGKILL:
        assert counts(tmp_path)["running"] == 2
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 75)
    found = counts(tmp_path)
    assert "running" not in found
    assert found["stopped"] == 2
    assert_same(retried(job, tmp_path), undisturbed)


def test_two_sweeps_on_one_folder_do_each_run_once(
    job: Path, undisturbed: xarray.Dataset, tmp_path: Path
) -> None:
    slow = {"HPCFED_TOY_ROUND_S": "0.1"}
    both = [start("run", job, "--out", tmp_path, "--workers", 1, more=slow) for _ in range(2)]
    for process in both:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stdout + stderr
    logs = list((tmp_path / "logs").glob("*.log"))
    assert len(logs) == 4
    assert [log.read_text().count("-- 20") for log in logs] == [1] * 4
    assert_same(collected(tmp_path), undisturbed)


def test_a_run_that_fails_once_is_tried_again_by_itself(
    job: Path, undisturbed: xarray.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "once").write_text("x")
    bad = {"HPCFED_TOY_BAD": f"1 die {tmp_path / 'once'}"}
    told = sweep("run", job, "--out", tmp_path / "out", "--workers", 1, more=bad)
    assert told.returncode == 0, told.stdout + told.stderr
    assert sum(log.read_text().count("-- 20") for log in (tmp_path / "out/logs").iterdir()) == 5
    assert_same(collected(tmp_path / "out"), undisturbed)


@pytest.mark.parametrize(
    ("what", "error"),
    [("die", "its process was killed by SIGKILL"), ("raise", "the toy network broke")],
)
def test_a_run_that_goes_on_failing_is_marked_with_its_last_words(
    what: str, error: str, job: Path, undisturbed: xarray.Dataset, tmp_path: Path
) -> None:
    (tmp_path / "often").write_text("x" * 100)
    bad = {"HPCFED_TOY_BAD": f"1 {what} {tmp_path / 'often'}"}
    out = tmp_path / "out"
    told = sweep("run", job, "--out", out, "--workers", 1, more=bad)
    assert told.returncode == 1
    assert counts(out) == {"finished": 2, "failed": 2}
    assert len((tmp_path / "often").read_text()) == 96  # two runs, one further try each
    shown = sweep("status", job, "--out", out).stdout
    assert shown.count(error) == shown.count(": after 1 rounds; ") == 2
    mark = json.loads(next(out.glob("runs/*/failure.json")).read_text())
    assert mark["error"].endswith(error)
    assert mark["tries"] == 2
    if what == "raise":
        assert mark["log"][-1].endswith("ValueError: the toy network broke")
    assert_same(retried(job, out), undisturbed)


def test_an_unreadable_run_file_is_reported_and_made_anew(
    job: Path, undisturbed: xarray.Dataset, done: Path
) -> None:
    paths = Paths(done)
    manifest = read_manifest(paths)
    broken, foreign = (paths.run_file(manifest.runs[index].digest) for index in (0, 1))
    broken.write_bytes(broken.read_bytes()[:-100])
    foreign.write_bytes(paths.run_file(manifest.runs[2].digest).read_bytes())
    (paths.runs / "notes").mkdir()
    told = "\n".join(collect(manifest, paths))
    assert f"left out: {broken}: cannot be read as a run file" in told
    assert f"left out: {foreign}: is a run of another configuration" in told
    assert "notes: no run of this sweep" in told
    assert "2 runs in" in told
    (paths.runs / "notes").rmdir()
    assert counts(done) == {"finished": 2, "stopped": 1, "failed": 1}
    foreign.unlink()
    assert_same(retried(job, done), undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of one MiB; a run file of the toy world takes 80 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted: {mounted.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_full_disk_costs_no_run(job: Path, undisturbed: xarray.Dataset, small_disk: Path) -> None:
    out = small_disk / "out"
    assert sweep("plan", job, "--out", out).returncode == 0
    free = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(bytes(free.f_bavail * free.f_bsize - 300_000))
    told = sweep("run", job, "--out", out, "--workers", 1)
    assert told.returncode == 1
    assert "No space left on device" in told.stdout + told.stderr
    assert 0 < counts(out).get("finished", 0) < 4
    (small_disk / "ballast").unlink()
    assert_same(retried(job, out), undisturbed)


def test_a_folder_that_cannot_be_written_stops_the_sweep_and_marks_no_run(
    job: Path, undisturbed: xarray.Dataset, small_disk: Path
) -> None:
    out = small_disk / "out"
    process = start("run", job, "--out", out, "--workers", 2, more=SLOW)
    wait_for(lambda: some_rounds(out))
    process.terminate()
    process.communicate(timeout=60)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for command in ("run", "retry"):
        told = sweep(command, job, "--out", out)
        assert told.returncode == 1
        assert "Read-only file system" in told.stderr
        assert "Traceback" not in told.stderr
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    assert_same(retried(job, out), undisturbed)


def test_names_of_any_characters_arrive_intact(undisturbed: xarray.Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "a b'c\"d\n$(touch pwned)"
    job = write_sweep(folder, "[resources]\nranks_per_run = 2", grid=HALF)
    name = "it's \\\"$(touch pwned)`touch pwned`"
    text = job.read_text().replace('base = "base.toml"', f'name = "{name}"\nbase = "base.toml"')
    job.write_text(text)
    told = sweep("run", job, "--out", folder / "o\n$(touch pwned)", "--workers", 1)
    assert told.returncode == 0, told.stdout + told.stderr
    assert not list(tmp_path.rglob("pwned")) and not Path("pwned").exists()
    found = collected(folder / "o\n$(touch pwned)")
    same = [n for n in undisturbed.data_vars if n not in {"mpi_bytes", "predicted_bytes", "digest"}]
    assert_same(found[same], undisturbed.sel({"uplink.mask_probability": [0.5]})[same])


def test_a_run_whose_ranks_die_is_started_again(
    undisturbed: xarray.Dataset, tmp_path: Path
) -> None:
    job = write_sweep(tmp_path, "[resources]\nranks_per_run = 2\nmax_retries = 0", grid=HALF)
    (tmp_path / "twice").write_text("xx")
    bad = {"HPCFED_TOY_BAD": f"1 die {tmp_path / 'twice'}"}
    told = sweep("run", job, "--out", tmp_path / "out", "--workers", 1, more=bad)
    assert told.returncode == 0, told.stdout + told.stderr
    logs = "".join(path.read_text() for path in (tmp_path / "out" / "logs").glob("*.log"))
    assert logs.count("starting it again, 1 of 3") == 1
    found = collected(tmp_path / "out")
    same = [n for n in undisturbed.data_vars if n not in {"mpi_bytes", "predicted_bytes", "digest"}]
    assert_same(found[same], undisturbed.sel({"uplink.mask_probability": [0.5]})[same])


def test_collecting_nothing_is_said(job: Path, tmp_path: Path) -> None:
    assert sweep("plan", job, "--out", tmp_path).returncode == 0
    paths = Paths(tmp_path)
    with pytest.raises(InputError, match="no run file to collect"):
        list(collect(read_manifest(paths), paths))


def test_only_new_files_are_read_when_collecting_again(done: Path) -> None:
    paths = Paths(done)
    manifest = read_manifest(paths)
    gone = paths.run_file(manifest.runs[3].digest)
    content = gone.read_bytes()
    gone.unlink()
    assert "(3 read, 1 missing)" in list(collect(manifest, paths))[-1]
    gone.write_bytes(content)
    assert "4 runs" in (last := list(collect(manifest, paths))[-1])
    assert "(1 read, 0 missing)" in last
    again = xarray.load_dataset(paths.collected, engine="h5netcdf")
    paths.collected.unlink()
    assert "(4 read, 0 missing)" in list(collect(manifest, paths))[-1]
    assert_same(again, xarray.load_dataset(paths.collected, engine="h5netcdf"))


def test_the_run_file_of_a_sweep_is_an_ordinary_one(done: Path) -> None:
    run = read_manifest(Paths(done)).runs[0]
    with h5py.File(Paths(done).run_file(run.digest)) as file:
        assert file.attrs["status"] == "finished"
        assert file.attrs["config_digest"] == run.config_digest
        assert file.attrs["name"] == "toy"
