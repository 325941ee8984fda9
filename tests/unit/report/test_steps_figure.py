"""Accuracy of converted ANNs over time steps, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report_files import World, write_run

from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from hpcfed.report.drawing import our_style
from hpcfed.report.figures import steps
from hpcfed.report.pictures import sweep_pictures
from hpcfed.report.runs import find
from hpcfed.report.summary import summary
from scripts import run_script, table

NAN = np.full(2, np.nan)


def write(folder: Path, accuracy: float, seed: int, num_bins: int) -> Path:
    """Write a run whose network is right in 0.1 less after one step, its ANN in 0.05 more."""
    last = accuracy + 0.02 * seed
    columns = {
        "steps": np.array([1, num_bins]),
        "validation_accuracy": NAN,
        "validation_loss": NAN,
        "test_accuracy": np.array([last - 0.1, last]),
        "test_loss": np.array([1.0, 0.5]),
        "ann_validation_accuracy": np.float64(np.nan),
        "ann_test_accuracy": np.float64(last + 0.05),
        "activation": np.array([3.5]),
    }
    changes = {"curves": {"steps": columns}, "attributes": {"converted_from": "ann/run.h5"}}
    sets = (f"data.num_bins={num_bins}", "model.neuron=leaky", "model.readout=current")
    return write_run(folder, World(test=(last,), seed=seed, sets=sets, changes=changes))


def several(folder: Path) -> Path:
    for seed in range(3):
        write(folder / f"a{seed}", 0.6, seed, 8)
        write(folder / f"b{seed}", 0.8, seed, 64)
    write_run(folder / "trained", World())  # of which there is nothing to draw
    return folder


def test_means_over_seeds_and_the_ann_by_hand(tmp_path: Path) -> None:
    rows = list(steps.rows(find(several(tmp_path))))
    assert [row["steps"] for row in rows] == [1, 8, None, 1, 64, None]
    expected = [0.52, 0.62, 0.67, 0.72, 0.82, 0.87]
    assert [row["mean"] for row in rows] == pytest.approx(expected)
    half = 4.302653 * 0.02 / np.sqrt(3)  # Student's t of two degrees of freedom
    ends = [rows[1]["low"], rows[1]["high"]]
    assert ends == pytest.approx([0.62 - half, 0.62 + half], abs=1e-6)
    assert {row["seeds"] for row in rows} == {3}
    assert {row["metric"] for row in rows} == {"test_accuracy"}


def test_a_line_for_each_setting_and_a_dashed_one_for_its_ann(tmp_path: Path) -> None:
    with our_style():
        drawn = steps.draw(find(several(tmp_path)))
    (axes,) = drawn.axes
    curves = [line for line in axes.lines if line.get_marker() in "os^D"]
    heights = [list(line.get_ydata()) for line in curves]
    assert heights == [pytest.approx([52.0, 62.0]), pytest.approx([72.0, 82.0])]
    dashed = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert dashed == pytest.approx([67.0, 87.0])
    assert axes.get_xscale() == "log"
    assert [picture.caption for picture in sweep_pictures(find(tmp_path))] == [
        "Accuracy of converted ANNs over time steps"
    ]


def test_without_a_converted_run_there_is_nothing_to_draw(tmp_path: Path) -> None:
    write_run(tmp_path / "a", World())
    with pytest.raises(InputError, match="hpcfed convert"):
        steps.draw(find(tmp_path))
    assert not steps.has_data(find(tmp_path))


def test_the_script_writes_the_picture_and_its_table(tmp_path: Path) -> None:
    run_script("steps", several(tmp_path), "--out", tmp_path / "s.svg")
    assert (tmp_path / "s.svg").exists()
    assert len(table(tmp_path / "s.csv")) == 6


def test_the_steps_survive_the_run_file_and_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a", 0.6, 0, 8)
    record = read_record(path)
    assert record.curves["steps"]["steps"].tolist() == [1, 8]
    assert float(record.curves["steps"]["ann_test_accuracy"]) == 0.65
    said = dict(summary(path))["converted from"]
    assert said == "ann/run.h5, an ANN of - validation, 65.0 % test; below: after 8 time steps"
