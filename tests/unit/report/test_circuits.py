"""Pictures of probabilistic units: the numbers behind them, and that each is drawn."""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream
from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record, write_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.report.drawing import our_style
from hpcfed.report.figures.circuits import confusion, kernels, likelihood, sent, traces, units
from hpcfed.report.figures.circuits.basis import raised_cosines
from hpcfed.report.figures.circuits.every import FIGURES
from hpcfed.report.figures.circuits.view import base_rate, parameters, units_of
from hpcfed.report.figures.of_a_run import applicable
from hpcfed.report.figures.view import View
from hpcfed.report.page import write_page
from scripts import run_script, table
from tests.unit.report.answered_runs import run as answered_run
from tests.unit.report.circuit_runs import GLM, SENDS, WTA, Rounds, kinds, run, view
from tests.unit.report.circuit_runs import units as stored_units

KINDS = kinds()


# ---- bases


def test_bases_are_those_of_the_authors_code(test_data: Path) -> None:
    file = test_data.parent / "reference_rules" / "glm_neuron.json"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    reference = json.loads(file.read_text(encoding="utf-8"))
    for name, expected in reference["basis_T10_K8"].items():
        found = raised_cosines(8, 10, float(name.removeprefix("mu=")))
        assert found == pytest.approx(np.array(expected), abs=1e-6)
    for width in (0.5, 1.5):
        expected = np.array(reference[f"basis_T10_K1_mu{width}"])
        assert raised_cosines(1, 10, width) == pytest.approx(expected, abs=1e-6)


def test_two_bases_of_width_one_share_the_past() -> None:
    first, second = raised_cosines(2, 7, 1.0)
    assert first + second == pytest.approx(np.ones(7), abs=1e-12)
    assert (first[0], first[-1]) == (1.0, pytest.approx(0.0, abs=1e-12))
    assert (np.diff(first) < 0).all()


# ---- units


def test_units_are_named_hidden_ones_first() -> None:
    glm, wta = units_of(view()), units_of(view(WTA))
    assert (glm.names, glm.num_outputs, glm.num_values) == (["zero", "one"], 2, 1)
    assert glm.sources == ["input 0", "input 1", "input 2"]
    assert (wta.names, wta.num_hidden, wta.num_values) == (["hidden 0", "zero", "one"], 1, 2)
    assert wta.sources == ["input 0", "input 1", "hidden 0", "zero", "one"]


def test_values_of_a_spike_can_be_given() -> None:
    shapes = (("kernel", "bias"), ((2, 6, 9), (6,)))
    shown = view([WTA[0], "rule.circuit.values=3", *WTA[4:]], np.ones(114), layout=shapes)
    found = units_of(shown)
    assert (found.num_values, found.names, len(found.sources)) == (3, ["zero", "one"], 3)


# ---- the likelihood


def test_a_running_mean_leaves_out_what_is_not_known() -> None:
    values = np.array([4.0, 2.0, np.nan, np.nan, 8.0, -np.inf])
    found = likelihood.running_mean(values, 2)
    assert found == pytest.approx([4.0, 3.0, 2.0, np.nan, 8.0, 8.0], nan_ok=True)
    assert likelihood.running_mean(values, 1)[:3] == pytest.approx([4, 2, np.nan], nan_ok=True)


def test_the_likelihood_by_hand() -> None:
    rounds = Rounds([-float(k) for k in range(40)], [0.5] * 40, (), [2] * 40, [0] * 40)
    rows = list(likelihood.rows(view(rounds=rounds)))
    assert rows[0]["round"] == 1
    assert rows[39]["log_likelihood"] == -39.0
    assert rows[39]["running_mean"] == -38.5  # a twentieth of 40 rounds are 2
    assert (rows[0]["test_accuracy"], rows[0]["validation_accuracy"]) == (0.25, 0.5)
    assert math.isnan(rows[1]["test_accuracy"])


@pytest.mark.parametrize(("kind", "values"), [(GLM, 1), (WTA, 2)])
def test_undecided_outputs_give_all_values_the_same_probability(kind: Any, values: int) -> None:
    with our_style():
        above, below = likelihood.draw(view(kind)).axes
    level = {line.get_label(): line.get_ydata()[0] for line in above.lines}["undecided"]
    assert level == pytest.approx(2 * math.log(1 / (values + 1)))
    assert [line.get_ydata()[0] for line in below.lines][-1] == 50.0  # the base rate


def test_the_base_rate_is_that_of_the_commonest_class() -> None:
    confused = {"confusion": np.array([[2, 3], [1, 0]])}
    assert base_rate(View(run(evaluation=confused))) == pytest.approx(5 / 6)
    assert math.isnan(base_rate(View(run(evaluation={}))))


# ---- units of samples


def hand_made() -> dict[str, Any]:
    """Return units of two samples and two bins: hidden 0, zero, one, of two values."""
    potential = np.arange(2 * 2 * 6).reshape(2, 2, 6)
    probability = np.array([[[0.0, 0.25, 0.5], [1.0, 0.25, 0.0]], [[0, 0.5, 1], [0, 0.5, 0.5]]])
    value = np.array([[[0, 1, 2], [2, 0, 0]], [[0, 0, 1], [0, 1, 1]]])
    return {"potential": potential.astype(np.float32), "label": np.array([1, 0]),
            "probability": probability.astype(np.float32),
            "value": value.astype(np.uint8)}  # fmt: skip


def test_units_of_samples_by_hand() -> None:
    rows = list(traces.rows(view(WTA, units=hand_made())))
    assert len(rows) == 2 * 3 * 2 * 2
    assert rows[0] == {"sample": 0, "label": "one", "unit": "zero", "bin": 0, "probability": 0.25,
                       "spike": 1, "value": 1, "potential": 2.0}  # fmt: skip
    assert [row["unit"] for row in rows[::4]] == ["zero", "one", "hidden 0"] * 2
    last = rows[-1]  # of the hidden unit, which is stored first
    assert (last["bin"], last["value"], last["potential"], last["spike"]) == (1, 2, 19.0, 0)


def test_an_answer_is_the_output_of_the_highest_mean_probability() -> None:
    shown = view(WTA, units=hand_made())
    rows = list(traces.score_rows(shown))
    means = [row["mean_probability"] for row in rows]
    assert means == [0.25, 0.25, 0.5, 0.5, 0.75, 0.0]
    assert [row["spikes"] for row in rows] == [1, 1, 1, 1, 2, 0]
    with our_style():
        panels = units.draw(shown).axes
    titles = [axes.get_title() for axes in panels if axes.get_title()]
    # of equal ones the first: both samples get the other one's answer
    assert titles == ["one\ntaken for zero", "zero\ntaken for one"]


def test_samples_of_different_classes_are_shown_first() -> None:
    assert units.different(np.array([1, 1, 1, 0, 0]), 3) == [0, 1, 3]
    assert units.different(np.array([2, 2, 1, 0]), 2) == [0, 2]
    assert units.different(np.array([4]), 3) == [0]


def test_spikes_are_drawn_in_their_bins() -> None:
    with our_style():
        drawn = units.draw(view(["rule.kind='glm'"], units={
            "potential": np.zeros((1, 4, 2), np.float32),
            "probability": np.full((1, 4, 2), 0.5, np.float32),
            "value": np.array([[[0, 1], [0, 0], [1, 1], [0, 0]]], np.uint8),
            "label": np.array([0]),
        }, layout=(("kernel", "bias"), ((8, 2, 3), (2,))), params=np.ones(50)))  # fmt: skip
    (strokes,) = drawn.axes[2].lines
    assert strokes.get_xdata().tolist() == pytest.approx([0.125, 0.625, 0.625])
    assert strokes.get_ydata().tolist() == [1, 0, 1]


# ---- kernels


def hand_kernels() -> View:
    """Return a run with kernels of 1 from input 0 to zero, of 2 from input 2 to one."""
    kernel = np.zeros((2, 2, 3))
    kernel[:, 0, 0], kernel[:, 1, 2], kernel[:, 1, 0] = 1, -2, (1, 0)
    return view(params=np.concatenate([kernel.ravel(), [0.5, 0.25]]))


def test_kernels_by_hand() -> None:
    found = kernels.kernels(hand_kernels())
    assert found.after.shape == (2, 3, 4)
    assert found.after[0, 0] == pytest.approx(np.ones(4))
    assert found.after[1, 2] == pytest.approx(np.full(4, -2.0))
    assert (found.after[1, 0, 0], found.after[1, 0, 3]) == (1.0, pytest.approx(0.0))
    norms = found.norms(found.after)
    assert (norms[0, 0], norms[1, 2]) == (pytest.approx(2.0), pytest.approx(4.0))
    assert np.isnan(norms).tolist() == [[False, True, True], [False, True, False]]
    assert found.strongest(1) == [(1, 2), (1, 0)]
    rows = list(kernels.rows(hand_kernels()))
    assert [(row["unit"], row["source"]) for row in rows[::4]] == [
        ("zero", "input 0"), ("one", "input 2"), ("one", "input 0"),
    ]  # fmt: skip
    assert [row["lag"] for row in rows[:4]] == [1, 2, 3, 4]


def test_what_was_before_training_follows_from_the_seed() -> None:
    shown = hand_kernels()
    words = Stream(0, Purpose.INITIAL_WEIGHTS).uniforms(14)
    start = (0.1 * words - 0.05)[:12].reshape(2, 2, 3)
    found = kernels.kernels(shown)
    # at the first bin there is the first basis alone, at the last one the second
    assert found.before[0, 0, 0] == pytest.approx(start[0, 0, 0], abs=1e-8)
    assert found.before[1, 2, 3] == pytest.approx(start[1, 1, 2], abs=1e-8)
    assert np.isnan(found.before[0, 1]).all()  # there is no synapse
    rows = list(kernels.unit_rows(shown))
    biases = [(row["bias_before"], row["bias_after"]) for row in rows]
    assert biases[1] == (pytest.approx(0.1 * words[13] - 0.05, abs=1e-8), 0.25)
    assert rows[0]["feedback_after"] is None


def test_the_seed_and_the_start_of_the_run_are_those_of_its_configuration() -> None:
    before, _ = parameters(view([*GLM, "seed=3", "rule.circuit.start=0.5"]))
    words = Stream(3, Purpose.INITIAL_WEIGHTS).uniforms(14)
    assert before["bias"] == pytest.approx(words[12:] - 0.5, abs=1e-7)


def test_norms_are_over_all_values_of_a_pair() -> None:
    kernel = np.zeros((2, 6, 10))
    kernel[:, 2:4, 4:6] = 1.0  # from both values of hidden 0 to both of zero: 4 kernels of 1
    shown = view(WTA, np.concatenate([kernel.ravel(), np.arange(6.0), np.zeros(6)]))
    found = {(row["unit"], row["source"]): row["after"] for row in kernels.norm_rows(shown)}
    assert found["zero", "hidden 0"] == pytest.approx(math.sqrt(4 * 4))
    assert math.isnan(found["zero", "zero"])
    rows = list(kernels.unit_rows(shown))
    assert [(row["unit"], row["value"]) for row in rows[1:3]] == [("hidden 0", 2), ("zero", 1)]
    assert [row["feedback_after"] for row in rows] == [0, 1, 2, 3, 4, 5]


def test_values_of_both_ends_of_a_kernel_are_told() -> None:
    kernel = np.zeros((2, 6, 10))
    kernel[:, 3, 4], kernel[:, 4, 1] = 1.0, 2.0
    shown = view(WTA, np.concatenate([kernel.ravel(), np.zeros(12)]))
    rows = list(kernels.rows(shown))
    ends = [(row["unit"], row["unit_value"], row["source"], row["source_value"])
            for row in rows[::4]]  # fmt: skip
    assert ends == [("zero", 2, "hidden 0", 1), ("one", 1, "input 0", 2)]
    norms = {(row["unit"], row["source"]): row["after"] for row in kernels.norm_rows(shown)}
    assert norms["one", "input 0"] == pytest.approx(4.0)  # of the values that have a synapse
    with our_style():
        drawn = kernels.draw(shown)
    legends = [axes.get_legend() for axes in drawn.axes if axes.get_legend()]
    assert [legend.texts[0].get_text() for legend in legends] == [
        "hidden 0: 1 to 2", "input 0: 2 to 1",
    ]  # fmt: skip


def test_what_cannot_be_drawn_of_kernels_is_bad_input() -> None:
    with pytest.raises(InputError, match="all kernels are 0"):
        kernels.draw(view(params=np.zeros(14)))
    with pytest.raises(InputError, match="the run has diverged"):
        kernels.draw(view(params=np.full(14, np.nan)))
    odd = hand_made()
    odd["potential"][0, 0, 0] = np.inf
    with pytest.raises(InputError, match="some potentials are no numbers"):
        units.draw(view(WTA, units=odd))


# ---- bases that were sent


def test_bases_sent_by_hand() -> None:
    rounds = Rounds(groups=[[2, 0], [1, 2], [0, 0]], participants=[2, 4, 1], rejected=[0, 1, 1])
    shown = view([*GLM, *SENDS], rounds=rounds)
    rows = list(sent.rows(shown))
    assert [row["share"] for row in rows[:4]] == pytest.approx([1.0, 0.0, 1 / 3, 2 / 3])
    assert math.isnan(rows[4]["share"])  # no update counted
    assert [row["sent"] for row in rows] == [2, 0, 1, 2, 0, 0]
    first, second = sent.total_rows(shown)
    assert first == {"basis": 0, "peak_lag": 1, "sent": 3, "share": pytest.approx(3 / 5)}
    assert second == {"basis": 1, "peak_lag": 4, "sent": 2, "share": pytest.approx(2 / 5)}


# ---- confusion


def test_confusion_by_hand() -> None:
    rows = list(confusion.rows(view()))
    assert [(row["label"], row["output"], row["samples"]) for row in rows] == [
        ("zero", "zero", 2), ("zero", "one", 1), ("one", "zero", 0), ("one", "one", 3),
    ]  # fmt: skip
    assert rows[1]["share"] == pytest.approx(1 / 3)
    with our_style():
        axes = confusion.draw(view()).axes[0]
    assert axes.get_title() == "test, round 3: 83.3 % right,\nbase rate 50.0 %"
    assert [text.get_text() for text in axes.texts] == ["2", "1", "0", "3"]


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
            assert all(set(row) == set(numbers.columns) for row in rows), name


def test_what_is_not_there_is_an_error_that_says_why() -> None:
    empty = View(run(rounds=Rounds((), ()), evaluation={}))
    hints = {"likelihood": "no round is done", "units": "has not been evaluated yet",
             "sent": "set `uplink.mask` to `groups`", "confusion": "no evaluation yet"}  # fmt: skip
    for name, hint in hints.items():
        with pytest.raises(InputError, match=hint):
            FIGURES[name].draw(empty)
    for figure in FIGURES.values():
        with pytest.raises(InputError, match=r'rule\.kind = "glm" and "wta"'):
            figure.draw(View(answered_run({})))


def test_the_script_writes_tables_beside_each_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides, rounds = [*GLM, *SENDS], Rounds(groups=[[2, 0], [1, 1], [0, 2]])
    record = run(overrides, rounds=rounds, units=stored_units(2, 30, 2, 1))
    write_record(tmp_path / RUN_FILE, record)
    run_script("circuits", tmp_path, "--out", tmp_path / "c.svg")
    assert {path.name for path in tmp_path.glob("*.svg")} == {f"c_{n}.svg" for n in FIGURES}
    for name, figure in FIGURES.items():
        for numbers in figure.tables:
            rows = table(tmp_path / f"c_{name}{numbers.ending}.csv")
            assert list(rows[0]) == list(numbers.columns)
    assert [row["sent"] for row in table(tmp_path / "c_sent_totals.csv")] == ["3", "3"]
    assert capsys.readouterr().err == ""  # pictures without data are not even tried


def test_the_numbers_survive_the_run_file(tmp_path: Path) -> None:
    rounds = Rounds(groups=[[2, 0], [1, 1], [0, 2]])
    record = run([*GLM, *SENDS], rounds=rounds, units=stored_units(2, 30, 2, 1))
    write_record(tmp_path / RUN_FILE, record)
    stored = View(read_record(tmp_path / RUN_FILE))
    for figure in FIGURES.values():
        for numbers in figure.tables:
            before, after = (list(numbers.rows(shown)) for shown in (View(record), stored))
            assert repr(before) == repr(after)


@pytest.mark.parametrize(
    ("only", "text"),
    [("units", "no units are stored"), ("sent", "clients choose no bases to send"),
     ("sending", "--only sending: is of several runs, and there are 1")],
)  # fmt: skip
def test_odd_questions_are_one_clear_error(
    only: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path / RUN_FILE, run())
    with pytest.raises(SystemExit) as stop:
        run_script("circuits", tmp_path, "--only", only)
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert text in told
    assert told.count("\n") == 1


def test_a_run_of_another_rule_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path / RUN_FILE, answered_run({}))
    with pytest.raises(SystemExit) as stop:
        run_script("circuits", tmp_path)
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("error: example: units with probabilities are of rule.kind")
    assert [path.name for path in tmp_path.iterdir()] == [RUN_FILE]


def test_a_run_with_hidden_units_has_a_page_and_no_energy(tmp_path: Path) -> None:
    write_record(tmp_path / RUN_FILE, run(WTA))
    text = write_page(tmp_path).read_text(encoding="utf-8")
    assert FIGURES["kernels"].caption.replace("'", "&#39;") in text


def test_the_page_of_a_run_shows_the_pictures_that_it_has_data_for(tmp_path: Path) -> None:
    write_record(tmp_path / RUN_FILE, run(units=stored_units(2, 30, 2, 1)))
    text = write_page(tmp_path).read_text(encoding="utf-8")
    for name in ("likelihood", "units", "kernels", "confusion"):
        assert FIGURES[name].caption.replace("'", "&#39;") in text
    assert FIGURES["sent"].caption not in text
    assert "<summary>Norms of all kernels</summary>" in text
    assert "not shown" not in text
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
