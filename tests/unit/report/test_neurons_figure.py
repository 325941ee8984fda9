"""What neurons that compete stand for: labels, shares and pictures by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_files import World, write_run

from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record
from hpcfed.report.drawing import our_style
from hpcfed.report.figures.neurons import draw, has_data, neurons, response_rows, rows
from hpcfed.report.figures.view import View
from hpcfed.report.pictures import pictures
from hpcfed.report.runs import find
from scripts import run_script, table

STDP = ('data.dataset="digits"', "data.num_bins=200", 'rule.kind="stdp"',
        "rule.stdp.neurons=4", 'client.optimizer="sgd"')  # fmt: skip
WEIGHTS = np.arange(24, dtype=np.float32).reshape(4, 6) / 100
THETA = np.array([1, 2, 3, 4], np.float32)
RESPONSES = np.array([[0, 6], [3, 1], [0, 0], [4, 4]], np.float32)
SHOWN = np.array([[2, 4], [8, 0]], np.float32)  # of two blocks


def write(folder: Path) -> Path:
    parts = {"weights": WEIGHTS, "theta": THETA, "responses": RESPONSES, "shown": SHOWN}
    changes = {
        "layout": (tuple(parts), tuple(part.shape for part in parts.values())),
        "params": np.concatenate([part.ravel() for part in parts.values()]),
    }
    return write_run(folder, World(sets=STDP, changes=changes))


def view(folder: Path, input_shape: tuple[int, ...] = (1, 1, 2, 3)) -> View:
    record = read_record(write(folder))
    examples = record.evaluation["example_spikes"] | {"input": np.zeros(input_shape, np.uint8)}
    evaluation = record.evaluation | {"example_spikes": examples, "label": np.array(["a", "b"])}
    return View(replace(record, evaluation=evaluation))


def test_a_label_is_the_class_with_most_spikes_a_sample(tmp_path: Path) -> None:
    found = list(rows(view(tmp_path)))
    assert [row["label"] for row in found] == ["b", "a", None, "a"]
    # 1.5 a sample of one class; 1.5 of a and 0.25 of b; nothing; half of a, nothing shown of b
    assert [row["share"] for row in found] == [1.0, pytest.approx(1.5 / 1.75), None, 1.0]
    assert [row["spikes"] for row in found] == [6, 4, 0, 8]
    assert [row["theta"] for row in found] == [1.0, 2.0, 3.0, 4.0]


def test_responses_are_spikes_a_sample_that_was_shown(tmp_path: Path) -> None:
    found = [(row["samples"], row["spikes"]) for row in response_rows(view(tmp_path))]
    block = [(2, 0.0), (4, 1.5), (2, 1.5), (4, 0.25)]
    assert found == [*block, (8, 0.0), (0, None), (8, 0.5), (0, None)]


def test_neurons_are_drawn_by_label_the_surest_first(tmp_path: Path) -> None:
    assert neurons(view(tmp_path)).order.tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("shape", [(1, 1, 2, 3), (1, 9, 6)])
def test_weights_are_images_of_images_and_rows_of_events(
    tmp_path: Path, shape: tuple[int, ...]
) -> None:
    with our_style():
        figure = draw(view(tmp_path, shape))
    shown = np.asarray(figure.axes[0].images[0].get_array())
    if len(shape) == 4:
        assert shown.shape == (3, 16)
        np.testing.assert_allclose(shown[:2, :3], WEIGHTS[1].reshape(2, 3))
    else:
        np.testing.assert_allclose(shown, WEIGHTS[[1, 3, 0, 2]])


def test_a_script_and_the_page_show_them(tmp_path: Path) -> None:
    run_script("neurons", write(tmp_path), "--out", tmp_path / "n.svg")
    assert len(table(tmp_path / "n_fields.csv")) == 4
    assert len(table(tmp_path / "n_fields_responses.csv")) == 8
    shown = [item for item in pictures(find(tmp_path)) if "come to stand for" in item.caption]
    assert len(shown) == 1
    assert shown[0].svg


def test_other_runs_have_no_such_neurons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = View(read_record(write_run(tmp_path, World())))
    assert not has_data(plain)
    with pytest.raises(InputError, match=r"rule\.kind"):
        neurons(plain)
    with pytest.raises(SystemExit):
        run_script("neurons", tmp_path)
    assert "neurons that compete are of rule.kind" in capsys.readouterr().err
