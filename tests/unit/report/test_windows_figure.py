"""Accuracy by spikes over windows beside that by rates, and their gap, by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any  # arrays of several dtypes

import numpy as np
import pytest
from report_files import World, write_run

from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from hpcfed.records.schema import WINDOW_FIELDS
from hpcfed.report.drawing import our_style
from hpcfed.report.figures import windows
from hpcfed.report.page import render
from hpcfed.report.pictures import sweep_pictures
from hpcfed.report.runs import find
from scripts import run_script, table

NETWORK = ("model.kind=soft-lif", "data.num_bins=1000", "model.soft_lif.windows=[0.1, 0.2]")


def write(folder: Path, noise: float, accuracy: float, seed: int) -> Path:
    """Write a run whose spikes lose (2 + seed) points in 100 ms and half of that in 200 ms."""
    rates = accuracy + 0.1 * seed
    loss = 0.01 * (2 + seed)
    columns: dict[str, Any] = {
        name: np.full(2, np.nan) for name in WINDOW_FIELDS if name.startswith("validation")
    }
    columns |= {
        "window": np.array([0.1, 0.2]),
        "test_accuracy": np.array([rates - loss, rates - loss / 2]),
        "test_loss": np.array([1.0, 0.5]),
        "test_rate_accuracy": np.array([rates, rates]),
        "test_spikes_per_sample": np.array([100.0, 200.0]),
    }
    sets = (*NETWORK, f"model.soft_lif.noise={noise}")
    world = World(test=(0.1, rates), seed=seed, sets=sets, changes={"curves": {"windows": columns}})
    return write_run(folder, world)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for seed in range(3):
        write(folder / f"a{seed}", 0.0, 0.5, seed)
        write(folder / f"b{seed}", 10.0, 0.6, seed)
        write_run(folder / f"c{seed}", World(test=(0.2, 0.7), seed=seed))  # no windows
    return folder


def test_gaps_are_paired_by_hand(several: Path) -> None:
    rows = list(windows.rows(find(several)))
    assert [row["window"] for row in rows] == [0.1, 0.2] * 2
    assert [row["mean"] for row in rows] == pytest.approx([0.57, 0.585, 0.67, 0.685])
    assert [row["rates"] for row in rows] == pytest.approx([0.6, 0.6, 0.7, 0.7])
    assert [row["gap"] for row in rows] == pytest.approx([0.03, 0.015] * 2)
    half = 4.302653 * 0.01 / math.sqrt(3)  # t of two degrees of freedom, whatever the accuracies do
    ends = [rows[0]["gap_low"], rows[0]["gap_high"]]
    assert ends == pytest.approx([0.03 - half, 0.03 + half], abs=1e-6)
    assert {(row["metric"], row["seeds"]) for row in rows} == {("test_accuracy", 3)}
    assert [row["spikes"] for row in rows] == [100.0, 200.0] * 2


def test_a_line_of_spikes_a_dashed_one_of_rates_and_the_gap_below(several: Path) -> None:
    with our_style():
        drawn = windows.draw(find(several))
    above, below = drawn.axes
    dashed = [list(line.get_ydata()) for line in above.lines if line.get_linestyle() == "--"]
    assert dashed == [pytest.approx([60, 60]), pytest.approx([70, 70])]
    gaps = [list(line.get_ydata()) for line in below.lines if line.get_marker() in "os^D"]
    assert gaps == [pytest.approx([3, 1.5])] * 2
    assert len(drawn.legends[0].texts) == 2
    assert list(above.lines[0].get_xdata()) == [100, 200]


def test_without_windows_there_is_nothing_to_draw(tmp_path: Path) -> None:
    write_run(tmp_path / "a", World())
    with pytest.raises(InputError, match=r"set model\.soft_lif\.windows"):
        windows.draw(find(tmp_path))
    assert sweep_pictures(find(tmp_path)) == []


def test_the_script_writes_the_picture_and_its_table(several: Path, tmp_path: Path) -> None:
    run_script("windows", several, "--out", tmp_path / "w.svg")
    assert (tmp_path / "w.svg").exists()
    assert len(table(tmp_path / "w.csv")) == 4


def test_pages_of_a_run_and_of_several_show_it(several: Path, tmp_path: Path) -> None:
    assert "Accuracy by spikes over the window" in render(find(several), tmp_path / "page.html")
    alone = render(find(several / "a0"), tmp_path / "page.html")
    assert "By window" in alone


def test_windows_survive_the_run_file(tmp_path: Path) -> None:
    record = read_record(write(tmp_path / "a", 0.0, 0.5, 0))
    assert list(record.curves["windows"]) == list(WINDOW_FIELDS)
    assert record.curves["windows"]["test_accuracy"].tolist() == pytest.approx([0.48, 0.49])
    assert "depths" not in record.curves
