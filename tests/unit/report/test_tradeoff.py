"""The trade-off's numbers, its pairs of equal budget and its picture."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from report_files import NAN, SIZE, VALUE_BYTES, World, accuracy, grid, write_run, write_sweep

from hpcfed.errors import InputError
from hpcfed.report.drawing import our_style
from hpcfed.report.figures.tradeoff import budget_levels, budget_line, tradeoff
from hpcfed.report.figures.tradeoff_figure import draw
from hpcfed.report.grid import cells, group_keys
from hpcfed.report.runs import find
from hpcfed.report.statistics import mean_over_seeds
from scripts import run_script, table

P, Q = (0.0, 0.5, 0.9), (0.0, 0.5)


def write_runs(folder: Path, worlds: list[World]) -> None:
    for index, world in enumerate(worlds):
        write_run(folder / f"{index:03}", world)


def texts(svg: Path) -> str:
    return svg.read_text(encoding="utf-8")


def test_every_number_of_a_cell_is_in_the_table_and_in_the_picture(tmp_path: Path) -> None:
    write_runs(tmp_path, grid(P, Q))
    run_script("tradeoff", tmp_path, "--out", tmp_path / "t.svg")
    rows = table(tmp_path / "t.csv")
    assert len(rows) == 6
    picture = texts(tmp_path / "t.svg")
    for row in rows:
        p, q = float(row["mask_probability"]), float(row["drop_probability"])
        values = [accuracy(p, q, s) for s in range(3)]
        expected = mean_over_seeds(values)
        assert float(row["accuracy"]) == pytest.approx(accuracy(p, q, 1))
        assert float(row["sd"]) == pytest.approx(0.01)
        assert [float(row["low"]), float(row["high"])] == pytest.approx(
            [expected.low, expected.high]
        )
        assert float(row["budget_values"]) == pytest.approx(10 * (1 - q) * (1 - p) * SIZE)
        sent = 2 * VALUE_BYTES * 10 * (1 - q) * (1 - p) * SIZE
        assert float(row["uplink_bytes"]) == pytest.approx(sent)
        assert (row["num_runs"], row["num_planned"], row["metric"]) == ("3", "3", "test_accuracy")
        assert f">{100 * accuracy(p, q, 1):.1f}<" in picture
    assert picture.count(">±1.0<") == 6


def test_one_altered_accuracy_changes_its_cell_alone(tmp_path: Path) -> None:
    worlds = grid(P, Q)
    write_runs(tmp_path, worlds)
    run_script("tradeoff", tmp_path, "--out", tmp_path / "a.svg")
    changed = World(test=(0.3, 0.6), p=P[1], q=Q[1], seed=1)
    index = next(i for i, w in enumerate(worlds) if (w.p, w.q, w.seed) == (P[1], Q[1], 1))
    write_run(tmp_path / f"{index:03}", changed)
    run_script("tradeoff", tmp_path, "--out", tmp_path / "b.svg")
    before, after = table(tmp_path / "a.csv"), table(tmp_path / "b.csv")
    differing = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    (pair,) = differing
    old, new = (float(row["accuracy"]) for row in pair)
    assert new - old == pytest.approx((0.6 - accuracy(P[1], Q[1], 1)) / 3)
    assert f">{100 * new:.1f}<" in texts(tmp_path / "b.svg")
    assert f">{100 * old:.1f}<" not in texts(tmp_path / "b.svg")


def test_equal_budgets_are_compared_by_seed(tmp_path: Path) -> None:
    write_runs(tmp_path, grid(P, Q))
    (pair,) = tradeoff(find(tmp_path)).pairs  # p 0, q 0.5 and p 0.5, q 0 send the same
    assert (pair.first.cell.label, pair.second.cell.label) == ("p = 0, q = 0.5", "p = 0.5, q = 0")
    assert (pair.num_pairs, pair.difference) == (3, pytest.approx(0.05))
    assert (pair.low, pair.high) == pytest.approx((0.05, 0.05))
    assert pair.significant


def test_pairs_agree_in_every_seed(tmp_path: Path) -> None:
    # q 0.5 is better by 0.05 in every split; by position, as runs are found, it is not
    first, second = (0.5, 0.6, 0.7, 0.8, 0.9), (0.95, 0.85, 0.75, 0.65, 0.55)
    split = [[f"data.split_seed={s}"] for s in range(5)]
    worlds = [World(test=(first[s],), p=0.5, sets=split[s]) for s in range(4)]
    worlds += [World(test=(second[4 - s],), q=0.5, sets=split[s]) for s in range(1, 5)]
    write_runs(tmp_path, worlds)
    (pair,) = tradeoff(find(tmp_path)).pairs
    assert pair.first.cell.label == "p = 0, q = 0.5"
    assert (pair.num_pairs, pair.difference) == (3, pytest.approx(0.05))


def test_pictures_side_by_side_have_the_same_axes(tmp_path: Path) -> None:
    worlds = [World(test=(0.5 + 0.1 * e,), p=p, seed=s, sets=[f"client.epochs={e}"])
              for e, masks in ((1, (0.0, 0.5)), (2, (0.5, 0.9))) for p in masks
              for s in range(3)]  # fmt: skip
    write_runs(tmp_path, worlds)
    with our_style():
        drawn = draw(tradeoff(find(tmp_path)))
    heat, bytes_left, bytes_right = drawn.axes[:2], drawn.axes[2], drawn.axes[3]
    for axes in heat:
        assert [t.get_text() for t in axes.get_xticklabels()] == ["0", "0.5", "0.9"]
    assert bytes_left.get_xlim() == bytes_right.get_xlim()
    assert bytes_left.get_ylim() == bytes_right.get_ylim()


def test_a_difference_that_seeds_explain_is_not_significant(tmp_path: Path) -> None:
    noise = (0.5, 0.7, 0.6)
    write_runs(tmp_path, [World(test=(noise[s],), p=0.5, seed=s) for s in range(3)]
               + [World(test=(noise[(s + 1) % 3],), q=0.5, seed=s) for s in range(3)])  # fmt: skip
    (pair,) = tradeoff(find(tmp_path)).pairs
    assert not pair.significant


def test_missing_cells_and_runs_are_visible(tmp_path: Path) -> None:
    worlds = grid((0.0, 0.5), (0.0, 0.5))
    write_sweep(tmp_path, worlds[:4], missing=worlds[4:])
    run_script("tradeoff", tmp_path, "--out", tmp_path / "t.svg")
    counts = [(row["num_runs"], row["num_planned"]) for row in table(tmp_path / "t.csv")]
    assert counts == [("3", "3"), ("1", "3"), ("0", "3"), ("0", "3")]
    picture = texts(tmp_path / "t.svg")
    assert picture.count(">no run<") == 2
    assert ">n 1/3<" in picture


def test_without_a_manifest_the_grid_is_the_product_of_what_was_seen(tmp_path: Path) -> None:
    write_runs(tmp_path, [World(p=0.0, q=0.0), World(p=0.5, q=0.5)])
    assert [(c.mask, c.drop, len(c.runs)) for c in cells(find(tmp_path))] == [
        (0.0, 0.0, 1), (0.5, 0.0, 0), (0.0, 0.5, 0), (0.5, 0.5, 1),
    ]  # fmt: skip


def test_other_keys_make_groups_but_not_what_moves_with_the_mask(tmp_path: Path) -> None:
    write_runs(tmp_path, [
        World(p=0.0, sets=['uplink.mask="none"']),
        World(p=0.5),
        World(p=0.5, sets=["client.epochs=3"]),
    ])  # fmt: skip
    found = find(tmp_path)
    assert group_keys(found.runs) == ("client.epochs",)
    assert {c.group[0][1] for c in cells(found)} == {1, 3}


def test_a_seed_counts_once(tmp_path: Path) -> None:
    write_runs(tmp_path, [World(test=(0.5,)), World(test=(0.5,)), World(test=(0.7,), seed=1)])
    (cell,) = cells(find(tmp_path))
    assert [run.seed for run in cell.runs] == [0, 1]


def test_unfinished_runs_count_for_nothing(tmp_path: Path) -> None:
    write_runs(tmp_path, [World(test=(0.5,)), World(test=(0.9,), seed=1, status="running")])
    (points,) = tradeoff(find(tmp_path)).groups.values()
    assert (points[0].accuracy.mean, points[0].cell.num_planned) == (0.5, 2)


def test_without_a_test_validation_is_shown_and_named(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(NAN,), validation=(0.4,)))
    found = tradeoff(find(tmp_path))
    (points,) = found.groups.values()
    assert (found.metric, points[0].accuracy.mean) == ("validation_accuracy", 0.4)


def test_no_accuracy_at_all_is_said_not_drawn(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(NAN, NAN)))
    with our_style(), pytest.raises(InputError, match="no finished run has a validation_accuracy"):
        draw(tradeoff(find(tmp_path)))


def test_one_run_is_a_point_without_an_interval(tmp_path: Path) -> None:
    write_run(tmp_path, World(test=(0.5,)))
    run_script("tradeoff", tmp_path, "--out", tmp_path / "t.svg")
    (row,) = table(tmp_path / "t.csv")
    assert (row["accuracy"], row["sd"], row["low"], row["on_front"]) == ("0.5", "", "", "true")
    assert "±1" not in texts(tmp_path / "t.svg")


def test_extreme_probabilities_are_drawn(tmp_path: Path) -> None:
    write_runs(tmp_path, grid((0.0, 1.0), (0.0, 1.0)))
    run_script("tradeoff", tmp_path, "--out", tmp_path / "t.png")
    rows = {(row["mask_probability"], row["drop_probability"]): row for row in
            table(tmp_path / "t.csv")}  # fmt: skip
    assert rows["1.0", "1.0"]["budget_values"] == "0.0"


def test_drop_probabilities_by_client_are_a_row_of_their_own(tmp_path: Path) -> None:
    by_client = f"participation.drop_probability={[0.0] * 5 + [1.0] * 5}"
    write_runs(tmp_path, [World(q=0.5), World(sets=[by_client])])
    labels = [cell.label for cell in cells(find(tmp_path))]
    assert sorted(labels) == ["p = 0, q = 0.5", "p = 0, q = 0.5 (by client)"]
    run_script("tradeoff", tmp_path, "--out", tmp_path / "t.png")


def test_names_that_a_formula_would_choke_on_are_drawn_as_text(tmp_path: Path) -> None:
    odd = ["_$x_{", "a\\n\\u0007$$<b>&\u6f22"]
    write_runs(tmp_path, [World(sets=[f'model.warm_start="{name}"']) for name in odd])
    run_script("tradeoff", tmp_path, "--out", tmp_path / "t.svg")
    assert "_$x_{" in texts(tmp_path / "t.svg")


def test_too_many_groups_name_what_varies(tmp_path: Path) -> None:
    write_runs(tmp_path, [World(sets=[f"client.epochs={n}"]) for n in range(1, 7)])
    with our_style(), pytest.raises(InputError, match=r"6 settings .* --where .*client\.epochs"):
        draw(tradeoff(find(tmp_path)))


def test_budget_levels_lie_within_the_grid(tmp_path: Path) -> None:
    write_runs(tmp_path, grid((0.0, 0.9), (0.0, 0.5)))
    (points,) = tradeoff(find(tmp_path)).groups.values()
    assert [name for _, name in budget_levels(points)] == ["1/2", "1/5", "1/10", "1/20"]


def test_a_budget_line_by_hand() -> None:
    line = {x: (y, p, q) for x, y, p, q in budget_line(0.25, [0.0, 0.5, 0.75], [0.0, 0.5, 0.75])}
    assert line[0.0] == (2.0, 0.0, 0.75)
    assert line[1.0] == (1.0, 0.5, 0.5)
    assert line[2.0] == (0.0, 0.75, 0.0)


def test_bad_input_is_one_message_and_code_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, World())
    for arguments in (["nowhere"], [tmp_path, "--out", tmp_path / "t.xyz"],
                      [tmp_path, "--where", "seed=7"]):  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            run_script("tradeoff", *arguments)
        assert stop.value.code == 2
        assert capsys.readouterr().err.startswith("error: ")


def test_nan_is_an_empty_field() -> None:
    assert math.isnan(mean_over_seeds([]).mean)
