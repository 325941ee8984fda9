"""Accuracy and loss against bytes: settings, their names, and marks that do not hide each other."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from report_files import NAN, World, write_run

from hpcfed.errors import InputError
from hpcfed.report.drawing import our_style
from hpcfed.report.figures.uncertainty import bytes as sent
from hpcfed.report.page import render
from hpcfed.report.pictures import sweep_pictures
from hpcfed.report.runs import find
from scripts import run_script, table

BAYES = 'rule.kind="bayes"'
BITS = ['rule.binary.sends="bits"', 'uplink.dtype="sign"']
ALONE = {"test_map_accuracy": (NAN, NAN), "test_map_loss": (NAN, NAN)}  # no committee


def world(accuracy: float, seed: int = 0, *sets: str, size: float = 400.0) -> World:
    """Return a world of two rounds that sends ``size`` bytes a round; loss is 1 - accuracy."""
    rounds = {f"uplink_bytes_{way}": (size, size) for way in ("seed", "bitmask", "coordinates")}
    rounds["test_loss"] = (9.0, 1 - accuracy)
    known = {"test_map_accuracy": (0.0, accuracy / 2), "test_map_loss": (9.0, 2.0)}
    rounds |= known if BAYES in sets else ALONE
    settings = ['server.average="received"', *sets]
    return World(test=(0.1, accuracy), seed=seed, sets=settings, rounds=rounds)


def several(folder: Path, seeds: int = 3) -> Path:
    for seed in range(seeds):
        write_run(folder / f"plain{seed}", world(0.8 + 0.02 * seed, seed))
        write_run(folder / f"bayes{seed}", world(0.6 + 0.02 * seed, seed, BAYES))
        write_run(folder / f"bits{seed}", world(0.5, seed, BAYES, *BITS, size=12.5))
    return folder


def test_settings_are_averaged_over_seeds_with_their_interval(tmp_path: Path) -> None:
    rows = list(sent.rows(find(several(tmp_path))))
    found = {(row["setting"], row["who"], row["quantity"]): row for row in rows}
    assert len(found) == 2 + 4 + 4
    plain = found["rule.kind = backprop", "network", "test_accuracy"]
    half = 4.302653 * 0.02 / math.sqrt(3)  # t of two degrees of freedom
    assert (plain["seeds"], plain["uplink_bytes"]) == (3, 800.0)
    assert plain["mean"] == pytest.approx(0.82)
    assert [plain["low"], plain["high"]] == pytest.approx([0.82 - half, 0.82 + half], abs=1e-6)
    bayes = "rule.kind = bayes, rule.binary.sends = latents"
    assert found[bayes, "committee", "test_loss"]["mean"] == pytest.approx(0.38)
    assert found[bayes, "map", "test_accuracy"]["mean"] == pytest.approx(0.31)
    bits = found["rule.kind = bayes, rule.binary.sends = bits", "map", "test_loss"]
    assert (bits["uplink_bytes"], bits["mean"]) == (25.0, 2.0)


def test_two_seeds_have_no_interval(tmp_path: Path) -> None:
    rows = list(sent.rows(find(several(tmp_path, 2))))
    assert {row["seeds"] for row in rows} == {2}
    assert all(math.isnan(row["low"]) for row in rows)


def test_a_setting_is_named_by_the_fewest_keys_the_rule_first() -> None:
    keys = [
        {"client.epochs": 1, "uplink.dtype": "float32", "seed": 1},
        {"client.epochs": 2, "uplink.dtype": "int8", "seed": 2},
        {"client.epochs": 3, "uplink.dtype": "int8", "seed": 3},
    ]
    assert sent.names(keys) == [
        "uplink.dtype = float32, client.epochs = 1", "uplink.dtype = int8, client.epochs = 2",
        "uplink.dtype = int8, client.epochs = 3",
    ]  # fmt: skip
    rules = [{}, {"rule.kind": "bayes"}, {"rule.kind": "bayes", "rule.binary.sends": "bits"}]
    assert sent.names(rules) == [
        "rule.kind = backprop", "rule.kind = bayes, rule.binary.sends = latents",
        "rule.kind = bayes, rule.binary.sends = bits",
    ]  # fmt: skip


def test_the_page_of_runs_that_send_in_several_ways_has_the_picture_and_the_trade_off(
    tmp_path: Path,
) -> None:
    found = find(several(tmp_path))
    (picture,) = sweep_pictures(found)
    assert "<svg" in picture.svg
    assert len(picture.tables[0].rows) == 10
    text = render(found, tmp_path / "page.html")
    assert '<a href="#run">Ways to send</a>' in text
    assert '<section id="tradeoff">' in text
    alike = tmp_path / "alike"
    for seed in range(2):
        write_run(alike / f"plain{seed}", world(0.8, seed))
    assert sweep_pictures(find(alike)) == []
    assert "Ways to send" not in render(find(alike), tmp_path / "page.html")


def test_marks_of_equal_bytes_stand_side_by_side() -> None:
    at = {("a", "network"): 100.0, ("b", "committee"): 1000.0, ("b", "map"): 1000.0,
          ("c", "network"): 1001.0}  # fmt: skip
    places = sent.side_by_side(at)
    assert places["a", "network"] == pytest.approx(100.0)
    steps = np.diff(np.log10([places[key] for key in list(at)[1:]]))
    assert (steps > 0.02).all()
    assert places["b", "map"] == pytest.approx(1000.0)


def test_without_a_test_validation_stands_in(tmp_path: Path) -> None:
    untested = {"test_map_accuracy": (NAN,), "test_loss": (NAN,), "validation_map_accuracy": (NAN,)}
    for epochs in (1, 2):
        sets = [f"client.epochs={epochs}"]
        write_run(tmp_path / f"{epochs}", World(test=(NAN,), validation=(0.25 * epochs,), sets=sets,
                                                rounds=untested))  # fmt: skip
    found = {(row["setting"], row["quantity"]): row["mean"] for row in sent.rows(find(tmp_path))}
    assert found["client.epochs = 2", "validation_accuracy"] == 0.5
    assert found["client.epochs = 1", "validation_loss"] == 2.0


def test_one_setting_has_nothing_to_be_compared_with(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / f"{seed}", world(0.5, seed))
    with pytest.raises(InputError, match="there is one whose finished runs have sent some"):
        sent.draw(find(tmp_path))


def test_a_folder_of_runs_has_the_picture_of_bytes_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_script("calibration", several(tmp_path), "--out", tmp_path / "c.png")
    assert [path.name for path in tmp_path.glob("*.png")] == ["c_bytes.png"]
    assert len(table(tmp_path / "c_bytes.csv")) == 10
    with pytest.raises(SystemExit) as stop:
        run_script("calibration", tmp_path, "--only", "reliability")
    assert stop.value.code == 2
    assert "reliability: is of a single run, and there are 9" in capsys.readouterr().err


def test_open_marks_are_the_most_probable_weights(tmp_path: Path) -> None:
    with our_style():
        drawn = sent.draw(find(several(tmp_path)))
    accuracy, loss = drawn.axes
    for axes in (accuracy, loss):
        marks = [line for line in axes.lines if line.get_marker() in ("o", "s", "^")]
        assert [mark.get_markerfacecolor() == "white" for mark in marks] == [
            False, False, True, False, True,
        ]  # fmt: skip
    assert [text.get_text() for text in drawn.legends[0].texts] == [
        "rule.kind = backprop (n 3)", "rule.kind = bayes, rule.binary.sends = latents (n 3)",
        "rule.kind = bayes, rule.binary.sends = bits (n 3)",
    ]  # fmt: skip
