"""The picture of a run, and what is said where it cannot be drawn."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from run_files import record

from hpcfed.errors import InputError
from hpcfed.records.runfile import write_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.report.curves import ended_early, group
from hpcfed.report.drawing import told_apart
from hpcfed.report.figures.learning_curve import draw, figure
from hpcfed.report.runs import find
from tests.places import REPOSITORY

SCRIPT = REPOSITORY / "analysis" / "learning_curve.py"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "results" / RUN_FILE
    path.parent.mkdir()
    write_record(path, record())
    return path


@pytest.mark.parametrize(
    ("name", "begin"), [("a.png", b"\x89PNG"), ("b.PNG", b"\x89PNG"), ("c.pdf", b"%PDF")]
)
def test_the_picture_is_of_the_kind_its_name_says(
    run: Path, tmp_path: Path, name: str, begin: bytes
) -> None:
    draw(run, tmp_path / "new" / name)
    assert (tmp_path / "new" / name).read_bytes().startswith(begin)


@pytest.mark.parametrize("name", ["y.xyz", "y"])
def test_an_unknown_format_names_the_known_ones(run: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"{name}: .* is no picture format; expected .*\.png"):
        draw(run, tmp_path / "new" / name)
    assert not (tmp_path / "new").exists()


def test_a_picture_that_cannot_be_written_is_bad_input(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder.png"
    folder.mkdir()
    for out in (run / "y.png", folder):
        with pytest.raises(InputError, match=rf"{out}: the picture cannot be written \(.*give"):
            draw(run, out)


def test_a_run_without_a_round_is_not_drawn(tmp_path: Path) -> None:
    write_record(tmp_path / RUN_FILE, record(num_rounds=0))
    with pytest.raises(InputError, match="has no round yet"):
        draw(tmp_path / RUN_FILE, tmp_path / "y.png")


def test_the_script_ends_with_two_and_one_message_for_bad_input(run: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(run.parent), "--out", str(run / "y.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_no_two_settings_have_one_label() -> None:
    texts = [
        f"participation.drop_probability = {q}, uplink.mask_probability = {p}, client.epochs = {e}"
        for q in (0, 0.5) for p in (0, 0.5) for e in (1, 2)
    ]  # fmt: skip
    shown = told_apart(texts)
    assert len(set(shown)) == 8
    assert [" ".join(label.split()) for label in shown] == texts  # nothing is left out
    assert max(len(line) for label in shown for line in label.split("\n")) <= 60


def test_labels_too_long_for_a_legend_are_numbered() -> None:
    head = "0.125, " * 60
    shown = told_apart([head + "a", head + "b", head + "a"])
    assert shown[0].startswith("1: 0.125")
    assert shown[1].startswith("2: 0.125")
    assert shown[2] == shown[0]
    assert max(map(len, shown)) <= 60
    assert len(set(told_apart(["_" * 30 + c for c in "ab"], 10))) == 2
    assert told_apart([]) == []


def test_runs_that_ended_early_are_said_beside_their_setting(tmp_path: Path) -> None:
    done = record(3)
    for number, verdict in enumerate(["silent", "", "silent"]):
        folder = tmp_path / str(number)
        folder.mkdir()
        config = done.attributes["config_toml"].replace("\nseed = 0\n", f"\nseed = {number}\n")
        attributes = done.attributes | {"verdict": verdict, "status": "finished"}
        attributes["config_toml"] = config
        write_record(folder / RUN_FILE, replace(done, attributes=attributes))
    found = find(tmp_path)
    assert ended_early(found.runs) == ["2 ended silent"]
    titles = {axes.get_title() for axes in figure(group(found)).axes}
    assert any("(2 ended silent)" in title for title in titles)
