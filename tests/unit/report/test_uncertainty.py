"""Pictures of a run's uncertainty: the numbers behind them, and that each is drawn."""

from __future__ import annotations

import io
import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from hpcfed.errors import InputError
from hpcfed.records.runfile import write_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.report.drawing import our_style
from hpcfed.report.figures.of_a_run import applicable
from hpcfed.report.figures.uncertainty import band, posterior, rejection, reliability, unknown
from hpcfed.report.figures.uncertainty import map as plane_map
from hpcfed.report.figures.uncertainty.every import FIGURES
from hpcfed.report.figures.view import View
from hpcfed.report.page import write_page
from scripts import run_script, table
from tests.unit.report.answered_runs import answers, kinds, plane, run, two_class, view

KINDS = kinds()


# ---- rejection


def test_the_most_uncertain_go_first() -> None:
    uncertainty = np.array([0.0, 3.0, 1.0, 2.0])
    correct = np.array([True, False, False, True])
    found = rejection.accuracy_left(uncertainty, correct)
    assert found.tolist() == pytest.approx([1 / 2, 2 / 3, 1 / 2, 1.0])


def test_equally_uncertain_ones_go_in_any_order() -> None:
    uncertainty = np.array([2.0, 1.0, 1.0, 1.0, 0.0])
    correct = np.array([False, True, False, False, True])
    orders = [[0, *middle, 4] for middle in itertools.permutations([1, 2, 3])]
    left = [[correct[order[count:]].mean() for count in range(5)] for order in orders]
    found = rejection.accuracy_left(uncertainty, correct)
    assert found.tolist() == pytest.approx(np.mean(left, axis=0))


def test_rejection_by_hand() -> None:
    shown = view({"known": answers([[0.5, 0.5], [0.1, 0.9], [0.3, 0.7], [0.0, 1.0]],
                                   [1, 1, 0, 1], expected_entropy=[0, 0, 0.6, 0])})  # fmt: skip
    rows = list(rejection.rows(shown))
    assert [row["rejected"] for row in rows] == [0.0, 0.25, 0.5, 0.75]
    assert [row["left"] for row in rows] == [4, 3, 2, 1]
    assert [row["by_entropy"] for row in rows] == pytest.approx([1 / 2, 2 / 3, 1.0, 1.0])
    # mutual information 0.69, 0.33, 0.01 and 0: the wrong third one goes last but one
    assert [row["by_mutual_information"] for row in rows] == pytest.approx([0.5, 2 / 3, 0.5, 1.0])
    assert [row["ideal"] for row in rows] == pytest.approx([0.5, 2 / 3, 1.0, 1.0])


# ---- the unknown


def test_auroc_is_that_of_all_pairs_equal_ones_half() -> None:
    rng = np.random.default_rng(0)
    known, other = rng.integers(0, 6, 40) / 8, rng.integers(2, 9, 30) / 8
    pairs = [1.0 if u > k else 0.5 if u == k else 0.0 for u in other for k in known]
    assert unknown.auroc(known, other) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert unknown.auroc(np.zeros(3), np.ones(2)) == 1.0
    assert unknown.auroc(np.ones(3), np.zeros(2)) == 0.0
    assert unknown.auroc(np.zeros(3), np.zeros(2)) == 0.5


def test_known_and_unknown_by_hand() -> None:
    known = answers([[1.0, 0.0]] * 3, [0, 0, 0], expected_entropy=[0.0] * 3)
    other = answers([[0.5, 0.5], [1.0, 0.0]], [-1, -1], expected_entropy=[0.25, 0.0])
    shown = view({"known": known, "unknown": other})
    entropy, information = unknown.score_rows(shown)
    # one of two unknown samples lies above all known ones, the other level with them
    assert (entropy["auroc"], information["auroc"]) == (0.75, 0.75)
    assert (entropy["known"], entropy["unknown"], entropy["mean_known"]) == (3, 2, 0.0)
    assert information["mean_unknown"] == pytest.approx((np.log(2) - 0.25) / 2)
    rows = [row for row in unknown.rows(shown) if row["uncertainty"] == "entropy"]
    assert (rows[0]["known"], rows[0]["unknown"], rows[-1]["unknown"]) == (3, 1, 1)
    assert rows[-1]["high"] == pytest.approx(np.log(2))


def test_members_that_agree_have_no_negative_information() -> None:
    known = answers([[0.5, 0.5]], [0], expected_entropy=[np.log(2) + 1e-15])
    assert view({"known": known}).answers().uncertainty["mutual_information"].tolist() == [0.0]


# ---- maps


def test_points_in_any_order_become_rows_and_columns() -> None:
    points = np.array([[1, 0], [0, 0.5], [1, 0.5], [0, 0], [0.5, 0], [0.5, 0.5]])
    values = np.array([12.0, 20, 22, 10, 11, 21])
    assert plane_map.on_grid(points, values).tolist() == [[10, 11, 12], [20, 21, 22]]


@pytest.mark.parametrize(
    "points",
    [[[0, 0], [1, 0], [0, 1]], [[0, 0], [0, 0]], [[0, 0], [1, 1], [0, 0], [1, 1]]],
)
def test_points_that_are_no_grid_are_bad_input(points: list[list[float]]) -> None:
    with pytest.raises(InputError, match="no regular grid"):
        plane_map.on_grid(np.array(points), np.zeros(len(points)))


def test_a_map_shows_points_of_every_class_however_labels_are_ordered() -> None:
    label, at = np.arange(1000) % 2, np.random.default_rng(0).random((1000, 2))
    shown = view({"known": two_class(1000, label=label, coordinate=at),
                  "probe": two_class(25, coordinate=plane(5))})  # fmt: skip
    with our_style():
        drawn = plane_map.draw(shown)
    for axes in drawn.axes[:3]:
        assert [len(line.get_xdata()) for line in axes.lines] == [125, 125]
        assert len({line.get_marker() for line in axes.lines}) == 2
        assert axes.images[0].get_array().shape == (5, 5)


def test_the_map_by_hand() -> None:
    probe = answers([[0.25, 0.75], [1, 0], [0, 1], [0.5, 0.5]], [-1] * 4, coordinate=plane(2))
    rows = list(plane_map.rows(view({"probe": probe})))
    assert [(row["x"], row["y"]) for row in rows] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert [row["probability"] for row in rows] == [0.75, 0.0, 1.0, 0.5]
    assert rows[3]["entropy"] == pytest.approx(np.log(2))
    assert "mutual_information" not in rows[0]


# ---- the band


def test_the_band_by_hand() -> None:
    chances = np.array([0.75, 0.25, 0.5])
    stored = answers(np.stack([1 - chances, chances], 1), [1, 0, 1],
                     expected_entropy=[0.0] * 3, coordinate=[[1.0], [0.0], [0.5]],
                     deviation=np.outer([0.125, 0.0625, 0.0], [1, 1]),
                     target=[1.0, 0.0, 0.5])  # fmt: skip
    shown = view({"known": stored})
    found = band.band(shown)
    assert found.x.tolist() == [0.0, 0.5, 1.0]
    assert found.error == pytest.approx(np.sqrt(2 * 0.0625 / 3))
    assert found.width == pytest.approx(4 * 0.0625)
    assert found.share_within == pytest.approx(2 / 3)  # at 0 it is 0.25 away, and 2 s.d. 0.125
    first = next(band.rows(shown))
    assert first == {"x": 0.0, "target": 0.0, "estimate": 0.25, "deviation": 0.0625,
                     "low": 0.125, "high": 0.375}  # fmt: skip
    with our_style():
        title = band.draw(shown).axes[0].get_title()
    assert title == "root mean squared error 0.204\nmean width 0.250, 66.7 % of targets within"


def test_a_target_is_no_class() -> None:
    for kind in ("a line", "a line without answers"):
        shown = View(KINDS[kind][0])
        with pytest.raises(InputError, match="samples have targets"):
            reliability.draw(shown)
        with pytest.raises(InputError, match="samples have targets"):
            list(rejection.rows(shown))
    with pytest.raises(InputError, match="points of a line that have targets"):
        band.band(view({"known": two_class(5)}))


# ---- the posterior


def test_the_posterior_by_hand() -> None:
    odds = np.array([0.0, 0.0, 0.5 * np.log(3), -0.5 * np.log(3), 9.0, 9.0, 20.0, -20.0])
    layout = (("hidden0.input", "scale", "readout"), ((2, 2), (2,), (1, 2)))
    shown = view({}, 'rule.kind="bayes"', params=odds.astype(np.float32), layout=layout)
    found = posterior.posteriors(shown)
    assert list(found) == ["hidden0.input", "readout"]  # a vector is not binary
    assert found["hidden0.input"] == pytest.approx([0.5, 0.5, 0.75, 0.25], abs=1e-7)
    hidden, readout = posterior.part_rows(shown)
    quarter = 2 - 0.75 * np.log2(3)
    assert hidden["entropy"] == pytest.approx((2 + 2 * quarter) / 4, abs=1e-6)
    assert (readout["weights"], readout["mean_probability"]) == (2, pytest.approx(0.5))
    assert readout["entropy"] == pytest.approx(0, abs=1e-6)
    rows = list(posterior.rows(shown))
    filled = [(row["part"], row["low"], row["weights"]) for row in rows if row["weights"]]
    assert filled[-2:] == [("readout", 0.0, 1), ("readout", 0.975, 1)]
    assert sum(row["weights"] for row in rows) == 6


def test_certain_signs_have_no_entropy() -> None:
    assert posterior.mean_bits(np.array([0.0, 1.0, 0.5, 0.5])) == 0.5


def test_other_rules_have_no_posterior() -> None:
    with pytest.raises(InputError, match=r'posterior is of rule\.kind = "bayes"'):
        posterior.draw(view({}, 'rule.kind="straight-through"'))


# ---- all of them


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_of_a_run_that_has_data_is_drawn(kind: str) -> None:
    record, expected = KINDS[kind]
    shown = View(record)
    assert set(applicable(shown, FIGURES)) == expected
    for name, figure in applicable(shown, FIGURES).items():
        with our_style():
            drawn = figure.draw(shown)
            for kind_of_file in ("png", "svg"):
                stream = io.BytesIO()
                drawn.savefig(stream, format=kind_of_file)
                assert len(stream.getvalue()) > 1000
        for numbers in figure.tables:
            rows = list(numbers.rows(shown))
            assert rows, name
            assert all(set(row) <= set(numbers.columns) for row in rows), name


def test_what_is_not_stored_is_an_error_that_says_which_table_to_set() -> None:
    hints = {"rejection": r"\[evaluation\] answers = true", "band": "answers = true",
             "unknown": "answers = true", "map": "points of a plane"}  # fmt: skip
    for name, hint in hints.items():
        with pytest.raises(InputError, match=hint):
            FIGURES[name].draw(view({}))
    with pytest.raises(InputError, match=r"\[evaluation\] unknown = true"):
        unknown.draw(view({"known": two_class(5)}))


def test_answers_that_are_no_numbers_are_bad_input() -> None:
    stored = two_class(5)
    stored["probability"][1] = np.nan
    with pytest.raises(InputError, match="1 of 5 answers are no numbers"):
        rejection.draw(view({"known": stored}))


def test_the_script_writes_a_table_beside_each_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path / RUN_FILE, KINDS["unknown classes"][0])
    run_script("calibration", tmp_path, "--out", tmp_path / "c.svg", "--bins", "5")
    pictures = {path.name for path in tmp_path.glob("*.svg")}
    assert pictures == {"c_reliability.svg", "c_rejection.svg", "c_unknown.svg"}
    for name in pictures:
        assert table((tmp_path / name).with_suffix(".csv"))
    assert len(table(tmp_path / "c_reliability.csv")) == 5
    assert table(tmp_path / "c_unknown_scores.csv")[0]["known"] == "60"
    assert capsys.readouterr().err == ""  # pictures without data are not even tried


def test_a_single_picture_is_drawn_where_it_is_asked_for(tmp_path: Path) -> None:
    write_record(tmp_path / RUN_FILE, KINDS["bayes"][0])
    run_script("calibration", tmp_path / RUN_FILE, "--only", "posterior")
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {RUN_FILE, "calibration_posterior.png", "calibration_posterior.csv",
                     "calibration_posterior_parts.csv"}  # fmt: skip


def test_a_run_without_answers_has_its_histograms_and_is_told_what_to_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path / RUN_FILE, run({}))
    run_script("calibration", tmp_path)
    assert "set `[evaluation] answers = true`" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("*.png")] == ["calibration_reliability.png"]
    with pytest.raises(SystemExit) as stop:
        run_script("calibration", tmp_path, "--only", "rejection")
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: example: no answers are stored; set `[evaluation] answers")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [(["--bins", "0"], "give at least 1"), (["--only", "bytes"], "is of several runs"),
     (["--bins", "5"], "answers = true")],
)  # fmt: skip
def test_odd_questions_are_one_clear_error(
    arguments: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path / RUN_FILE, run({}))
    with pytest.raises(SystemExit) as stop:
        run_script("calibration", tmp_path, "--only", "reliability", *arguments)
    assert stop.value.code == 2
    assert text in capsys.readouterr().err


def test_the_page_of_a_run_shows_the_pictures_that_it_has_data_for(tmp_path: Path) -> None:
    write_record(tmp_path / RUN_FILE, KINDS["a plane"][0])
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert text.count("<svg") == 3 + 3
    for name in ("reliability", "rejection", "map"):
        assert FIGURES[name].caption in text
    assert FIGURES["unknown"].caption not in text
    assert "<summary>Uncertainty over the plane</summary>" in text
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text)
