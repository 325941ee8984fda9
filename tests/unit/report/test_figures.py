"""Clients, timing, spikes and comparisons: the numbers behind them, and that they are drawn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from report_files import World, write_run
from run_files import record

from hpcfed.errors import InputError
from hpcfed.records.runfile import read_record, write_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.report.drawing import our_style, told_apart
from hpcfed.report.figures import clients, energy, spikes, timing
from hpcfed.report.figures.compare import compare
from hpcfed.report.figures.compare_text import latex, markdown
from hpcfed.report.figures.spikes_figure import draw as draw_spikes
from hpcfed.report.runs import find
from scripts import run_script, table
from tests.places import REPOSITORY

KEYS = {"model.kind": "snn", "model.neuron": "lif", "data.num_bins": 4, "data.duration": 1.0}


# ---- clients


def test_clients_by_hand(tmp_path: Path) -> None:
    run = record(2, 2)
    run.log.participations["client"] = [np.array([0]), np.array([0])]
    run.log.participations["train_loss"] = [np.array([3.0]), np.array([1.5])]
    run.log.participations["update_norm"] = [np.array([1.0]), np.array([2.0])]
    write_record(tmp_path / RUN_FILE, run)
    run_script("clients", tmp_path, "--out", tmp_path / "c.png")
    first, second = table(tmp_path / "c.csv")
    assert first == {
        "client": "0", "group": "speaker 0", "num_samples": "1", "rounds_participated": "2",
        "first_loss": "3.0", "last_loss": "1.5", "mean_update_norm": "1.5",
    }  # fmt: skip
    assert (second["rounds_participated"], second["last_loss"]) == ("0", "")
    rounds = table(tmp_path / "c_rounds.csv")
    assert [(r["round"], r["client"], r["participated"]) for r in rounds] == [
        ("1", "0", "1"), ("1", "1", "0"), ("2", "0", "1"), ("2", "1", "0"),
    ]  # fmt: skip
    groups = table(tmp_path / "c_groups.csv")
    assert [(g["group"], g["accuracy"]) for g in groups] == [("x", "0.75"), ("y", "")]
    confusion = table(tmp_path / "c_confusion.csv")
    assert [c["samples"] for c in confusion] == ["2", "1", "0", "3"]
    assert (confusion[1]["label"], confusion[1]["prediction"]) == ("zero", "one")
    assert (tmp_path / "c.png").stat().st_size > 10_000


def test_a_run_that_was_not_evaluated_has_clients_and_no_confusion(tmp_path: Path) -> None:
    run = record(2, evaluation={})
    with our_style():
        assert len(clients.draw(run).axes) == 4
    assert list(clients.confusion_rows(run)) == []
    with our_style(), pytest.raises(InputError, match="has no round yet"):
        clients.draw(record(0))


# ---- timing


def test_timing_by_hand(tmp_path: Path) -> None:
    for ranks, seconds in ((1, 4.0), (2, 2.5)):
        world = World(test=(0.5,), num_ranks=ranks, rounds={"seconds_train": (seconds,)})
        write_run(tmp_path / f"ranks {ranks}", world)
    for ranks in (1, 2):
        sets = ['partition.kind="iid"', f"partition.num_clients={5 * ranks}"]
        world = World(num_ranks=ranks, num_clients=5 * ranks, sets=sets)
        write_run(tmp_path / f"weak {ranks}", world)
    runs = find(tmp_path).runs
    assert timing.strong_scaling(runs) == [[(1, 4.375), (2, 2.875)]]
    assert timing.weak_scaling(runs) == [[(1, 0.875), (2, 0.875)]]
    run_script("timing", tmp_path, "--out", tmp_path / "t.png")
    row = table(tmp_path / "t.csv")[0]
    assert (row["seconds_train"], row["seconds_wait"], row["seconds_round"]) == (
        "4.0", "0.125", "4.375",
    )  # fmt: skip
    assert (row["predicted_bytes"], row["mpi_bytes"]) == ("1000.0", "1100.0")


def test_one_rank_moves_nothing_and_is_drawn_all_the_same(tmp_path: Path) -> None:
    nothing = {"predicted_bytes": (0.0, 0.0), "mpi_bytes": (0.0, 0.0)}
    write_run(tmp_path, World(test=(0.1, 0.2), num_ranks=1, rounds=nothing))
    with our_style():
        drawn = timing.draw(find(tmp_path).runs)
    assert drawn.axes[1].texts[0].get_text().startswith("nothing went through MPI")


# ---- spikes


def test_operations_by_hand() -> None:
    # matrices 2 x 2; 4 bins; half an event per channel and bin, an eighth of a spike per neuron
    counts = {c.part: c for c in energy.operations(record(), KEYS)}
    assert counts["hidden0.input"].accumulates == 0.5 * 4 * 4
    assert counts["readout"].accumulates == 0.125 * 4 * 4
    assert counts["neurons' own steps"].multiply_accumulates == 2 * 4 * 2 + 2 * 4 * 2
    total = counts["total"]
    assert (total.accumulates, total.multiply_accumulates, total.twin) == (10, 32, 32)
    table_ = energy.Energy(1.0, 5.0)
    assert energy.snn_energy_nj(total, table_) == pytest.approx(0.170)
    last = list(energy.rows(list(counts.values()), table_))[-1]
    assert last["ann_energy_nj"] == pytest.approx(0.160)


def test_recurrent_weights_carry_the_layers_own_spikes() -> None:
    names = ("hidden0.input", "hidden0.recurrent", "readout")
    run = record(layout=(names, ((2, 2), (2, 2), (2, 2))))
    del run.evaluation["weights"]  # as the event engine leaves it
    counts = {c.part: c.accumulates for c in energy.operations(run, KEYS)}
    assert counts["hidden0.recurrent"] == 0.125 * 4 * 4


def test_an_ann_has_no_spiking_operations() -> None:
    assert energy.operations(record(), KEYS | {"model.kind": "ann"}) == []
    assert energy.operations(record(), KEYS | {"model.kind": "mine:network"}) == []


def test_silent_and_saturated_neurons_are_named(tmp_path: Path) -> None:
    run = record()
    stored = np.zeros((1, 4, 3), np.uint8)
    stored[0, :, 2] = 1
    stored[0, 0, 1] = 1
    run.evaluation["example_spikes"]["hidden0"] = stored
    write_record(tmp_path / RUN_FILE, run)
    run_script("spikes", tmp_path, "--saturated", "1.0", "--accumulate-pj", "2")
    hidden = [r for r in table(tmp_path / "spikes_neurons.csv") if r["layer"] == "hidden0"]
    assert [(r["rate"], r["silent"], r["saturated"]) for r in hidden] == [
        ("0.0", "true", "false"), ("0.25", "false", "false"), ("1.0", "false", "true"),
    ]  # fmt: skip
    with our_style():
        drawn = draw_spikes(read_record(tmp_path), KEYS, energy.CONSTANTS["float32"], 1.0)
    rasters = [axes for axes in drawn.axes if axes.get_ylabel() == "hidden0"]
    assert rasters[0].lines[0].get_ydata().tolist() == [1, 2, 2, 2, 2]


def test_without_an_evaluation_there_are_no_spikes_to_draw() -> None:
    with pytest.raises(InputError, match="no spikes are stored"):
        spikes.layers(record(evaluation={}))


# ---- comparisons


def sides(tmp_path: Path) -> Path:
    for seed in range(3):
        for q, gain in ((0.0, 0.1), (0.5, 0.2)):
            write_run(tmp_path / f"a{seed}{q}", World(test=(0.4 + 0.1 * seed + gain,), p=0.5,
                                                      q=q, seed=seed))  # fmt: skip
            write_run(tmp_path / f"b{seed}{q}", World(test=(0.4 + 0.1 * seed,), q=q, seed=seed))
    return tmp_path


def test_settings_are_paired_by_seed(tmp_path: Path) -> None:
    sides(tmp_path)
    run_script(
        "compare", tmp_path, "--first", "uplink.mask_probability=0.5", "--second",
        "uplink.mask_probability=0",
    )  # fmt: skip
    first, second = table(tmp_path / "compare.csv")
    assert first["setting"] == "participation.drop_probability = 0"
    assert (first["num_pairs"], float(first["first"])) == ("3", pytest.approx(0.6))
    assert [float(r["difference"]) for r in (first, second)] == pytest.approx([0.1, 0.2])
    assert [float(second["low"]), float(second["high"])] == pytest.approx([0.2, 0.2])
    text = (tmp_path / "compare.md").read_text()
    assert "| 3 | 60.0 % | 50.0 % | +10.0 | \\[+10.0, +10.0\\] |" in text
    assert "Student t interval of the mean paired difference" in text
    assert (
        r"3 & 60.0 \% & 50.0 \% & +10.0 & [+10.0, +10.0]" in (tmp_path / "compare.tex").read_text()
    )


def test_several_rows_are_adjusted_together(tmp_path: Path) -> None:
    noise = (0.0, 0.02, 0.05)
    for seed in range(3):
        for q, gain in ((0.0, 0.1), (0.5, 0.2)):
            sides_of = {0.5: 0.4 + gain + noise[seed], 0.0: 0.4}
            for p, test in sides_of.items():
                write_run(tmp_path / f"{p}{seed}{q}", World(test=(test,), p=p, q=q, seed=seed))
    run_script("compare", tmp_path, "--first", "uplink.mask_probability=0.5", "--second",
               "uplink.mask_probability=0")  # fmt: skip
    rows = [(float(r["p_value"]), float(r["p_adjusted"])) for r in table(tmp_path / "compare.csv")]
    (larger, larger_adjusted), (smaller, smaller_adjusted) = sorted(rows, reverse=True)
    assert larger_adjusted == larger
    assert smaller_adjusted == min(2 * smaller, larger)


def test_seeds_that_one_side_lacks_are_counted_as_single(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path / "a" / str(seed), World(test=(0.5,), seed=seed))
    write_run(tmp_path / "b" / "1", World(test=(0.4,), seed=1))
    runs = [find(tmp_path / side).runs for side in "ab"]
    found = compare(runs[0], runs[1], "test_accuracy", ("a", "b"))
    assert (found.lines[0].num_pairs, found.num_single) == (1, 1)
    assert "| 1 | 50.0 % | 40.0 % | +10.0 | - | - | - |" in markdown(found)


def test_nothing_in_common_is_bad_input(tmp_path: Path) -> None:
    write_run(tmp_path / "a", World(seed=0))
    write_run(tmp_path / "b", World(seed=1))
    a, b = (find(tmp_path / side).runs for side in "ab")
    with pytest.raises(InputError, match="nothing can be paired"):
        compare(a, b, "test_accuracy", ("a", "b"))


def test_odd_names_do_not_break_the_tables(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / f"{seed}", World(seed=seed))
    runs = find(tmp_path).runs
    found = compare(runs, runs, "test_accuracy", ("a|b_$<i>\n%", "c&{}~"))
    assert "a\\|b\\_\\$\\<i\\> %" in markdown(found)
    assert latex(found).splitlines()[0].startswith("% ")


# ---- the scripts


@pytest.mark.parametrize(
    ("script", "column"),
    [("tradeoff", "budget_values"), ("learning_curve", "num_runs"), ("timing", "mpi_bytes"),
     ("clients", "rounds_participated"), ("spikes", "snn_accumulates"),
     ("compare", "effect_size"), ("calibration", "gap")],
)  # fmt: skip
def test_help_documents_the_columns(
    script: str, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_script(script, "--help")
    assert f"  {column}: " in capsys.readouterr().out


@pytest.mark.parametrize("script", ["clients", "spikes", "timing", "learning_curve", "calibration"])
def test_a_missing_run_is_bad_input(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_script(script, "nowhere")
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: nowhere")


def test_a_reader_that_leaves_costs_no_table(tmp_path: Path) -> None:
    sides(tmp_path)
    script = REPOSITORY / "analysis" / "compare.py"
    command = [sys.executable, script, tmp_path, "--first", "uplink.mask_probability=0.5",
               "--second", "uplink.mask_probability=0"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")
    assert (tmp_path / "compare.csv").exists()


def test_panels_over_rounds_have_one_axis(tmp_path: Path) -> None:
    run = read_record(write_run(tmp_path, World(test=(0.3, 0.5, 0.6))))
    for rows in run.log.participations.values():
        rows[0] = rows[0][:0]  # as where nobody trained in the first round
    with our_style():
        drawn = clients.draw(run)
    assert len({axes.get_xlim() for axes in drawn.axes[:3]}) == 1


def test_alike_names_of_classes_stay_apart() -> None:
    names = told_apart(["background noise 1", "background noise 2", "zero"], 10, 1)
    assert len(set(names)) == 3
    assert max(map(len, names)) <= 10
