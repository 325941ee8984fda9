"""Accuracy against bytes of units that send seldom, or little: lines, points and their names."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from report_files import NAN, World, write_run

from hpcfed.errors import InputError
from hpcfed.report.drawing import our_style
from hpcfed.report.figures.circuits import sending
from hpcfed.report.page import render
from hpcfed.report.pictures import sweep_pictures
from hpcfed.report.runs import find
from scripts import run_script, table
from tests.unit.report.circuit_runs import ONLINE

GLM, ALL = "rule.kind='glm'", 8


def world(accuracy: float, tau: int, groups: int = ALL, seed: int = 0, *sets: str) -> World:
    """Return a world of two rounds in which a client sends ``groups`` of 8 bases."""
    size = 100.0 * groups
    rounds = {f"uplink_bytes_{way}": (size, size) for way in ("seed", "bitmask", "coordinates")}
    chosen = [f"uplink.groups={groups}", "uplink.mask='groups'", "server.average='received'"]
    settings = [*ONLINE, GLM, f"client.steps={tau}", *(chosen if groups < ALL else []), *sets]
    if groups == ALL:
        settings.append("uplink.mask='none'")
    return World(test=(0.1, accuracy), seed=seed, sets=settings, rounds=rounds)


def several(folder: Path, seeds: int = 3) -> Path:
    """Write runs of tau 5 and 20 that send 2 and all bases; accuracy grows 0.02 by seed."""
    for seed in range(seeds):
        for tau, groups, accuracy in ((5, 2, 0.6), (5, 8, 0.9), (20, 2, 0.5), (20, 8, 0.7)):
            place = folder / f"tau{tau}-{groups}-{seed}"
            write_run(place, world(accuracy + 0.02 * seed, tau, groups, seed))
    return folder


def test_points_by_hand(tmp_path: Path) -> None:
    rows = list(sending.rows(find(several(tmp_path))))
    assert [(row["line"], row["tau"], row["groups"]) for row in rows] == [
        ("5 steps a round", 5, 2), ("5 steps a round", 5, 8),
        ("20 steps a round", 20, 2), ("20 steps a round", 20, 8),
    ]  # fmt: skip
    first = rows[0]
    half = 4.302653 * 0.02 / math.sqrt(3)  # t of two degrees of freedom
    assert (first["seeds"], first["uplink_bytes"], first["bases"]) == (3, 400.0, 8)
    assert first["mean"] == pytest.approx(0.62)
    assert [first["low"], first["high"]] == pytest.approx([0.62 - half, 0.62 + half], abs=1e-6)
    assert {row["base_rate"] for row in rows} == {0.5}  # 3 of 6 samples of either class
    assert {row["metric"] for row in rows} == {"test_accuracy"}


def test_two_seeds_have_no_interval(tmp_path: Path) -> None:
    rows = list(sending.rows(find(several(tmp_path, 2))))
    assert {row["seeds"] for row in rows} == {2}
    assert all(math.isnan(row["low"]) for row in rows)


def test_tau_is_bins_or_steps_or_epochs() -> None:
    assert sending.tau_of({"rule.circuit.bins": 16, "client.steps": 5}) == (16, "bins")
    assert sending.tau_of({"client.steps": 5}) == (5, "steps")
    assert sending.tau_of({"client.epochs": 2}) == (2, "epochs")


def test_without_a_number_all_bases_are_sent() -> None:
    assert sending.groups_of({}) == 8
    assert sending.groups_of({"rule.circuit.bases": 5}) == 5
    assert sending.groups_of({"rule.circuit.bases": 5, "uplink.groups": 3}) == 3


def test_keys_that_go_along_with_how_is_sent_are_not_named() -> None:
    little = {"rule.kind": "glm", "client.steps": 5, "uplink.groups": 2, "uplink.mask": "groups"}
    whole = {"rule.kind": "glm", "client.steps": 5, "uplink.mask": "none"}
    seldom = {**whole, "client.steps": 20, "server.rounds": 25}
    assert sending.line_names([little, whole, seldom]) == [
        "5 steps a round", "5 steps a round", "20 steps a round",
    ]  # fmt: skip
    fast, slow = ({**whole, "client.learning_rate": rate} for rate in (0.1, 0.01))
    assert sending.line_names([fast, slow]) == [
        "5 steps a round, client.learning_rate = 0.1",
        "5 steps a round, client.learning_rate = 0.01",
    ]
    other = {**seldom, "rule.kind": "wta"}
    assert sending.line_names([whole, other]) == [
        "5 steps a round, rule.kind = glm", "20 steps a round, rule.kind = wta",
    ]  # fmt: skip
    assert sending.line_names([{**whole, "client.steps": 1}]) == ["1 step a round"]


def test_a_line_for_each_tau_with_its_numbers_and_the_base_rate(tmp_path: Path) -> None:
    with our_style():
        drawn = sending.draw(find(several(tmp_path)))
    (axes,) = drawn.axes
    means = [list(line.get_ydata()) for line in axes.lines if line.get_marker() in ("o", "s")]
    assert means == [pytest.approx([62.0, 92.0]), pytest.approx([52.0, 72.0])]
    assert [line.get_ydata() for line in axes.lines if line.get_linestyle() == ":"] == [[50, 50]]
    assert [text.get_text() for text in axes.texts] == ["2", "8", "2", "8"]
    assert [text.get_text() for text in drawn.legends[0].texts] == [
        "base rate, 50.0 %", "5 steps a round", "20 steps a round",
    ]  # fmt: skip


def test_other_rules_and_unfinished_runs_are_left_out(tmp_path: Path) -> None:
    several(tmp_path)
    write_run(tmp_path / "plain", World(test=(0.1, 0.99)))
    late = world(0.99, 5, 4)
    write_run(tmp_path / "late", World(**(vars(late) | {"status": "running"})))
    assert len(list(sending.rows(find(tmp_path)))) == 4


def test_without_a_test_validation_stands_in(tmp_path: Path) -> None:
    for tau in (5, 20):
        base = world(0.5, tau)
        changed = {"test": (NAN, NAN), "validation": (0.1, tau / 40)}
        write_run(tmp_path / f"{tau}", World(**(vars(base) | changed)))
    rows = list(sending.rows(find(tmp_path)))
    assert [(row["metric"], row["mean"]) for row in rows] == [
        ("validation_accuracy", 0.125), ("validation_accuracy", 0.5),
    ]  # fmt: skip
    assert all(math.isnan(row["base_rate"]) for row in rows)  # none was evaluated to the end


def test_runs_that_send_alike_have_nothing_to_be_compared(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / f"{seed}", world(0.5, 5, 8, seed))
    found = find(tmp_path)
    with pytest.raises(InputError, match=r"differ in client\.steps, rule\.circuit\.bins or uplink"):
        sending.draw(found)
    assert sweep_pictures(found) == []


def test_the_page_of_runs_that_send_in_several_ways_has_the_picture(tmp_path: Path) -> None:
    found = find(several(tmp_path))
    (picture,) = sweep_pictures(found)
    assert "<svg" in picture.svg
    assert len(picture.tables[0].rows) == 4
    assert "What sending seldom and little costs" in render(found, tmp_path / "page.html")


def test_a_folder_of_runs_has_the_picture_of_sending_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_script("circuits", several(tmp_path), "--out", tmp_path / "c.svg")
    assert [path.name for path in tmp_path.glob("*.svg")] == ["c_sending.svg"]
    assert len(table(tmp_path / "c_sending.csv")) == 4
    with pytest.raises(SystemExit) as stop:
        run_script("circuits", tmp_path, "--only", "kernels")
    assert stop.value.code == 2
    assert "kernels: is of a single run, and there are 12" in capsys.readouterr().err
