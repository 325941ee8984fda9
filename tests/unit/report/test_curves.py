"""Learning curves: what is averaged, what is banded, what a target costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report_files import NAN, SIZE, VALUE_BYTES, World, write_run

from hpcfed.errors import InputError
from hpcfed.report.curves import group, reached
from hpcfed.report.drawing import our_style
from hpcfed.report.figures.learning_curve import figure
from hpcfed.report.runs import find
from scripts import run_script, table

SENT = 10 * SIZE * VALUE_BYTES  # bytes a round at p = q = 0


def write_runs(folder: Path, worlds: list[World]) -> None:
    for index, world in enumerate(worlds):
        write_run(folder / f"{index}", world)


def test_curves_are_means_over_seeds_with_a_band_from_three_on(tmp_path: Path) -> None:
    write_runs(tmp_path, [World(test=(0.1 * (s + 1), 0.5), seed=s) for s in range(3)]
               + [World(test=(0.2, 0.4), seed=s, p=0.5) for s in range(2)])  # fmt: skip
    run_script("learning_curve", tmp_path, "--out", tmp_path / "l.svg")
    rows = [r for r in table(tmp_path / "l.csv") if r["quantity"] == "test_accuracy"]
    assert [(r["round"], r["num_runs"]) for r in rows] == [
        ("1", "3"), ("2", "3"), ("1", "2"), ("2", "2"),
    ]  # fmt: skip
    assert [float(r["mean"]) for r in rows] == pytest.approx([0.2, 0.5, 0.2, 0.4])
    half = 4.302653 * 0.1 / np.sqrt(3)
    assert float(rows[0]["high"]) == pytest.approx(0.2 + half)
    assert (rows[2]["low"], rows[2]["high"]) == ("", "")
    assert [float(r["uplink_bytes"]) for r in rows] == [SENT, 2 * SENT, SENT / 2, SENT]
    picture = (tmp_path / "l.svg").read_text()
    assert "uplink.mask_probability = 0.5 (n 2)" in picture


def test_a_single_run_shows_each_split_and_says_if_it_is_unfinished(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(0.1, 0.5), status="running"))
    with our_style():
        drawn = figure(group(find(tmp_path)))
    accuracy, loss, over_bytes, _ = drawn.axes
    assert accuracy.get_title() == "experiment (running)"
    assert [line.get_label() for line in accuracy.lines] == ["validation", "test"]
    assert accuracy.lines[1].get_ydata().tolist() == [10.0, 50.0]
    assert [line.get_label() for line in loss.lines] == ["validation", "test", "train"]
    assert loss.lines[2].get_ydata().tolist() == [4.0, 2.0]
    assert over_bytes.lines[0].get_xdata().tolist() == [SENT, 2 * SENT]


def test_rounds_without_evaluation_leave_no_point(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(NAN, 0.5, NAN, 0.7)))
    with our_style():
        drawn = figure(group(find(tmp_path)))
    assert drawn.axes[0].lines[1].get_xdata().tolist() == [2, 4]


def test_no_evaluation_at_all_is_said(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(NAN, NAN)))
    with our_style():
        drawn = figure(group(find(tmp_path)))
    assert [text.get_text() for text in drawn.axes[0].texts] == ["not evaluated"]


def test_a_target_is_reached_on_validation_and_test_is_only_reported(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(0.9, 0.1, 0.3), validation=(0.4, 0.6, 0.7)))
    run_script("learning_curve", tmp_path, "--target", "0.5", "--target", "0.8")
    first, second = table(tmp_path / "learning_curve_targets.csv")
    assert (first["round"], float(first["uplink_bytes"])) == ("2", 2 * SENT)
    assert first["test_accuracy"] == "0.1"
    assert (second["round"], second["uplink_bytes"], second["test_accuracy"]) == ("", "", "")
    assert reached(find(tmp_path).runs[0], 0.4) == 1


def test_runs_that_differ_in_more_than_seeds_are_not_averaged(tmp_path: Path) -> None:
    write_runs(tmp_path, [World(p=0.0), World(p=0.5)])
    with pytest.raises(InputError, match=r"differ in uplink\.mask_probability cannot be averaged"):
        group(find(tmp_path), [])


def test_a_diverged_run_does_not_hide_the_others(tmp_path: Path) -> None:
    rounds = {"train_loss": (1.0, float("inf"))}
    write_runs(tmp_path, [World(test=(0.1, 0.2), rounds=rounds), World(test=(0.1, 0.2), seed=1)])
    (curves,) = group(find(tmp_path))
    assert np.isfinite(curves.values("train_loss")).tolist() == [[True, False], [True, True]]


def test_several_paths_are_overlaid_and_told_apart(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_run(tmp_path / name, World(test=(0.5,)))
    run_script("learning_curve", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "l.pdf")
    labels = {row["group"] for row in table(tmp_path / "l.csv")}
    assert labels == {str(tmp_path / "one"), str(tmp_path / "two")}
    assert (tmp_path / "l.pdf").read_bytes().startswith(b"%PDF")


def test_more_settings_than_colours_ask_for_a_choice(tmp_path: Path) -> None:
    write_runs(tmp_path, [World(sets=[f"client.epochs={n}"]) for n in range(1, 17)])
    with our_style(), pytest.raises(InputError, match="16 settings cannot be told apart"):
        figure(group(find(tmp_path)))


def test_a_mistyped_key_to_group_by_is_named(tmp_path: Path) -> None:
    write_run(tmp_path / "a", World())
    with pytest.raises(InputError, match=r"client.epoch: no run .* did you mean client.epochs"):
        group(find(tmp_path), ["client.epoch"])
