"""Points that a changed sweep file has dropped: their files stay, and count nowhere."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
import xarray
from sweep_files import finish, given, planned

from hpcfed.records.sweepfolder import Paths
from hpcfed.report.figures.tradeoff import tradeoff
from hpcfed.report.page import render, state_lines
from hpcfed.report.runs import find
from hpcfed.report.summary import print_summary
from hpcfed.report.tables import skipped_lines
from hpcfed.sweep.collecting.collect import collect
from hpcfed.sweep.planning.manifest import Manifest
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.slurm import arrays
from hpcfed.sweep.states import look
from hpcfed.sweep.status import lines
from hpcfed.sweep.working import local
from hpcfed.sweep.working.supervisor import Endings, Supervisor

SAID = "3 runs are no longer in the sweep file"


GRID = '[grid]\n"uplink.mask_probability" = [0.0, 0.2, 0.4, 0.6, 0.8, {}]\nseed = [0, 1, 2]'


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a sweep of 18 finished runs, collected."""
    folder = tmp_path_factory.mktemp("whole")
    manifest, paths = planned(folder, GRID.format("0.9"))
    finish(paths, manifest.current)
    list(collect(manifest, paths))
    return folder


@pytest.fixture
def shrunk(whole: Path, tmp_path: Path) -> tuple[Manifest, Paths]:
    """Return a copy of it, of which 15 runs are left in the file."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    manifest, paths = planned(tmp_path, GRID.format(""))
    assert (len(manifest.current), len(manifest.runs)) == (15, 18)
    return manifest, paths


def dropped(manifest: Manifest) -> set[str]:
    return {run.digest for run in manifest.runs if not run.current}


def test_what_is_collected_holds_the_runs_of_the_file_alone(
    shrunk: tuple[Manifest, Paths],
) -> None:
    manifest, paths = shrunk
    told = "\n".join(collect(manifest, paths))
    assert "15 runs in" in told
    assert "0 missing" in told
    assert "left out" not in told
    assert f"{SAID}; what they left stays in {paths.runs}: " in told
    assert all(digest in told for digest in dropped(manifest))
    data = xarray.load_dataset(paths.collected, engine="h5netcdf")
    assert data["uplink.mask_probability"].values.tolist() == [0.0, 0.2, 0.4, 0.6, 0.8]
    assert set(data["digest"].values.flat) == {run.digest for run in manifest.current}
    assert len(pandas.read_parquet(paths.table(".parquet"))) == 15
    assert all(paths.run_file(digest).is_file() for digest in dropped(manifest))


@pytest.mark.parametrize("again", [False, True], ids=["collected before", "collected again"])
def test_figures_and_page_count_the_runs_of_the_file_alone(
    again: bool, shrunk: tuple[Manifest, Paths]
) -> None:
    manifest, paths = shrunk
    if again:
        list(collect(manifest, paths))
    for path in (paths.out, paths.collected):
        found = find(path)
        assert state_lines(found)[0] == "15 planned runs: 15 finished."
        points = next(iter(tradeoff(found).groups.values()))
        assert sum(point.accuracy.count for point in points) == 15
        said = "\n".join([*state_lines(found), *skipped_lines(found)])
        assert (SAID in said) is (path == paths.out or not again)
        page = render(found, paths.out / "report.html")
        assert not [digest for digest in dropped(manifest) if f"runs/{digest}" in page]


def test_a_folder_of_sweeps_counts_the_runs_of_their_files_alone(
    shrunk: tuple[Manifest, Paths],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    manifest, paths = shrunk
    monkeypatch.chdir(paths.runs)
    for folder in (paths.out.parent, paths.runs, Path()):
        assert len(find(folder).runs) == 15
        print_summary(folder)
        shown = capsys.readouterr().out
        assert all(run.digest in shown for run in manifest.current)
        assert SAID in shown


def test_a_dropped_run_that_is_asked_for_is_shown(
    shrunk: tuple[Manifest, Paths], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, paths = shrunk
    for digest in dropped(manifest):
        for path in (paths.run(digest), paths.run_file(digest)):
            assert len(find(path).runs) == 1
            print_summary(path)
            assert "finished" in capsys.readouterr().out


def test_a_stranger_among_the_runs_is_named_and_left_out(
    shrunk: tuple[Manifest, Paths],
) -> None:
    manifest, paths = shrunk
    finish(paths, [replace(manifest.current[0], digest="0123456789abcdef")])
    found = find(paths.out)
    assert len(found.runs) == 15
    (left_out,) = found.skipped
    assert (left_out.label, left_out.reason) == ("runs/0123456789abcdef", "no run of this sweep")


def test_marks_of_dropped_runs_count_no_more(shrunk: tuple[Manifest, Paths]) -> None:
    manifest, paths = shrunk
    for digest in dropped(manifest):
        paths.run_file(digest).unlink()
        paths.failure(digest).write_text('{"error": "no more memory"}')
    assert find(paths.out).failures == {}
    assert SAID not in "\n".join(state_lines(find(paths.out)))  # they have left nothing


def test_status_says_where_dropped_runs_lie(shrunk: tuple[Manifest, Paths]) -> None:
    manifest, paths = shrunk
    told = "\n".join(lines(manifest, paths, look(manifest, paths)))
    assert "study: 15 runs" in told
    assert f"{SAID}; what they left stays in {paths.runs}" in told


def test_a_task_in_the_queue_does_not_work_on_dropped_runs(
    shrunk: tuple[Manifest, Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, paths = shrunk
    begun: list[PlannedRun] = []

    def see_to(self: Supervisor) -> Endings:
        begun.extend(given(self))
        return Endings({run.digest: "finished" for run in begun})

    monkeypatch.setattr(Supervisor, "see_to", see_to)
    arrays.write(paths, arrays.Submitted("s-1", "9", (tuple(r.digest for r in manifest.runs),)))
    assert local.run_task(paths.out, "s-1", 0) == 0
    assert {run.digest for run in begun} == {run.digest for run in manifest.current}


def test_points_that_come_back_are_finished_already(tmp_path: Path) -> None:
    manifest, paths = planned(tmp_path, "[grid]\nseed = [0, 1]")
    finish(paths, manifest.current)
    planned(tmp_path, "[grid]\nseed = [1]")
    manifest, paths = planned(tmp_path, "[grid]\nseed = [0, 1]")
    assert len(look(manifest, paths).of("finished")) == 2
    assert len(find(paths.out).runs) == 2
