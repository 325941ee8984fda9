"""Pictures of searches: their numbers, and that each is drawn of any search that it is for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcfed.config.search import Search
from hpcfed.errors import InputError
from hpcfed.records.results import Result
from hpcfed.records.searched import Seen
from hpcfed.report.drawing import our_style
from hpcfed.report.figures.search import front, history, importance, lineage, slices, timeline
from hpcfed.report.figures.search.every import FIGURES, applicable
from hpcfed.report.figures.search.view import FEASIBLE, INFEASIBLE, STOPPED, Dot, View, point_rows
from hpcfed.report.plots import search as plot
from hpcfed.report.plots.asked import Asked
from hpcfed.sweep.search.propose import Proposer
from tests.places import REPOSITORY
from tests.search_world import KEYS, box, item_of, limits, run_of, search_of, searched

A, B = KEYS[:2]


def view_of(search: Search, seen: Seen) -> View:
    dots = []
    for item in seen.items:
        result = seen.results[item.number]
        good = result.figures.get("hidden_rate", -1.0) <= 0
        kind = STOPPED if result.verdict else FEASIBLE if good else INFEASIBLE
        dots.append(Dot(item, result, kind))
    return View(search, seen, tuple(dots))


def view(
    count: int = 30, space: Mapping[str, Any] | None = None, **settings: Any
) -> tuple[View, list[Result]]:
    """Return a search in which half of the points are stopped, and its results."""
    search = search_of(space or box(2), method="random", constraints=limits(1), **settings)

    def figures(point: Mapping[str, Any]) -> dict[str, float]:
        return {"train_loss": point[A] ** 2, "uplink_bytes": 9 - point[A],
                "hidden_rate": point[B] - 0.8}  # fmt: skip

    seen = searched(search, figures, count)
    results = {}
    for number, result in seen.results.items():
        stopped = seen.items[number].point[A] > 0.5
        results[number] = replace(
            result, verdict="silent" if stopped else "", num_rounds=1 if stopped else 9,
            seconds=2.0 if stopped else 9.0, ended=100.0 + 10 * number,
        )  # fmt: skip
    seen = Seen(seen.items, results)
    return view_of(search, seen), list(results.values())


def test_the_best_so_far_is_of_feasible_points_alone() -> None:
    shown, _ = view()
    best = np.inf
    for row, dot in zip(history.rows(shown), shown.dots, strict=True):
        if dot.kind == FEASIBLE:
            best = min(best, dot.result.figures["train_loss"])
        assert row["best"] == best or (np.isnan(row["best"]) and best == np.inf)
        assert row["kind"] == dot.kind
    stopped = [dot.kind == STOPPED for dot in shown.dots]
    assert row["share_stopped"] == np.mean(stopped[-20:])


def test_what_stopping_has_saved_is_told_at_both_paces() -> None:
    shown, results = view(8)
    rows = list(timeline.rows(shown))
    for row, result in zip(rows, results, strict=True):
        left = 8 if result.verdict else 0
        assert row["saved_at_own_pace"] == left * 2.0
        assert row["saved_at_median_pace"] == left * 1.0
        assert row["end"] - row["begin"] == result.seconds
    count = sum(bool(result.verdict) for result in results)
    spent = sum(result.seconds for result in results)
    text = timeline.saved_text(shown)
    assert f"saved {16 * count:.3g} s at the stopped runs' own pace" in text
    assert f"({(spent + 8 * count) / spent:.2f})" in text


def test_the_shade_is_the_part_stopped_of_the_nearest_points() -> None:
    points = np.array([[0.0], [0.1], [0.2], [0.8], [0.9], [1.0], [0.95], [0.85], [0.15], [0.05]])
    flags = points[:, 0] > 0.5
    found = slices.share_near(points, flags, np.array([[0.0], [1.0]]))
    assert found.tolist() == [pytest.approx(2 / 7), pytest.approx(5 / 7)]
    shown, _ = view(40)
    rows = [row for row in slices.rows(shown) if row["key"] == A]
    assert rows[0]["share_stopped"] == 0
    assert rows[-1]["share_stopped"] == 1


def test_the_key_that_decides_is_the_important_one() -> None:
    shown, _ = view(60)
    found = {(row["target"], row["key"]): row["importance"] for row in importance.rows(shown)}
    assert found["train_loss", A] > 5 * abs(found["train_loss", B])
    few, _ = view(6)
    with pytest.raises(InputError, match="fewer than 10 feasible points"):
        list(importance.rows(few))


def test_points_of_the_front_that_were_confirmed_have_their_interval() -> None:
    shown, _ = view(12, minimise=["train_loss", "uplink_bytes"])
    first = next(front.rows(shown))
    item = shown.seen.items[first["number"]]
    again = [replace(item, number=12 + k, kind="confirm", of=item.number, digest=f"{k}" * 16)
             for k in range(2)]  # fmt: skip
    values = [shown.seen.results[item.number].figures["train_loss"], 3.0, 5.0]
    more = {12 + k: Result({"train_loss": values[1 + k], "uplink_bytes": 1.0}) for k in range(2)}
    seen = Seen((*shown.seen.items, *again), {**shown.seen.results, **more})
    row = next(front.rows(View(shown.search, seen, shown.dots)))
    assert row["seeds"] == 3
    assert row["mean"] == pytest.approx(np.mean(values))
    half = 4.302653 * np.std(values, ddof=1) / np.sqrt(3)  # t of two degrees of freedom
    assert row["high"] - row["mean"] == pytest.approx(half, rel=1e-5)


CASES: dict[str, Callable[[], View]] = {
    "one figure": lambda: view(30)[0],
    "two figures": lambda: view(30, minimise=["train_loss", "uplink_bytes"])[0],
    "one result": lambda: view(1)[0],
    "choices": lambda: view(
        20,
        {A: {"log": [0.1, 1.0]}, B: [0.2, 0.4, 0.9],
         "model.tau_adapt": {"float": [0.0, 1.0], "when": {B: 0.4}}},
    )[0],
    "one key": lambda: view(
        12, {A: {"float": [0.0, 1.0]}, B: {"choices": [0.1]}}
    )[0],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_every_picture_is_drawn_or_says_why_not(case: str) -> None:
    shown = CASES[case]()
    for name, figure in applicable(shown).items():
        with our_style():
            try:
                drawn = figure.draw(shown)
            except InputError as error:
                assert name == "importance", name
                assert "tell nothing" in str(error)
                continue
            drawn.canvas.draw()
        rows = list(figure.rows(shown))
        assert all(set(row) <= set(figure.columns(shown)) for row in rows), name


def test_a_search_without_results_is_one_clear_error() -> None:
    shown = View(search_of(box(2), method="random"), Seen((), {}), ())
    for name, figure in FIGURES.items():
        with pytest.raises(InputError, match="no proposal has a result yet"):
            figure.draw(shown)
        assert name


def test_the_lineage_marks_the_way_to_the_winner() -> None:
    settings = {"method": "population", "population": {"members": 2, "interval": 3}}
    search = search_of({A: {"float": [0.0, 1.0]}}, evaluations=None, **settings)
    proposer, items, results = Proposer(search, run_of), [], {}
    while (draft := proposer.next(Seen(tuple(items), results), True)) is not None:
        items.append(item_of(draft, len(items), (), draft.step, draft.member))
        loss = items[-1].point[A]
        results[len(items) - 1] = Result({"train_loss": loss}, num_rounds=draft.rounds)
    shown = view_of(search, Seen(tuple(items), results))
    rows = list(lineage.rows(shown))
    assert [row["until_round"] for row in rows] == [3, 3, 6, 6, 9, 9]
    path = [row for row in rows if row["on_winners_path"]]
    assert [row["step"] for row in path] == [0, 1, 2]
    assert [row["parent"] for row in path[1:]] == [row["number"] for row in path[:-1]]
    with our_style():
        lineage.draw(shown).canvas.draw()


def test_rows_of_points_hold_their_keys_and_constraints() -> None:
    shown, _ = view(5)
    for row, item in zip(point_rows(shown), shown.seen.items, strict=True):
        assert row[A] == item.point[A]
        assert row["c_hidden_rate"] == pytest.approx(item.point[B] - 0.8)
        assert row["feasible"] == int(item.point[B] <= 0.8)


def test_the_script_says_what_is_no_search(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, REPOSITORY / "analysis" / "search.py", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (told.returncode, told.stderr) == (2, f"error: {tmp_path}: holds no search\n")


def test_the_command_writes_each_picture_with_its_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plot, "read_view", lambda folder: view(5)[0])
    asked = Asked((tmp_path,), out=tmp_path / "s.svg")
    written = list(plot.write(asked, ["history", "importance", "pairs"]))
    assert capsys.readouterr().err.startswith("importance: not drawn, fewer than 10 feasible")
    names = ("s.csv", "s_history.svg", "s_history.csv", "s_pairs.svg")
    assert written == [tmp_path / name for name in names]
    assert {path.name for path in tmp_path.iterdir()} == set(names)
