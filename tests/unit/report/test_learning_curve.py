"""The picture of a run, and what is said where it cannot be drawn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from run_files import record

from hpcfed.errors import InputError
from hpcfed.records.runfile import RUN_FILE, write_record
from hpcfed.report.drawing import told_apart
from hpcfed.report.figures.learning_curve import draw
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


def test_long_labels_are_cut_where_they_are_alike() -> None:
    head = "model.hidden = [" + ", ".join(["128"] * 20)
    texts = [f"{head}, 64], neuron = lif", f"{head}, 64], neuron = alif", f"{head}, 32]", "short"]
    shown = told_apart(texts)
    assert len(set(shown)) == 4
    assert all(len(text) <= 60 for text in shown)
    assert [text.rpartition(" ")[2] for text in shown] == ["lif", "alif", "32]", "short"]
    assert told_apart(["same", "same"]) == ["same", "same"]
