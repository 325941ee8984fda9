"""What is proposed next: a pure function of what was seen; duplicates, budgets, rungs, replay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpcfed.config.search import Search
from hpcfed.errors import InputError
from hpcfed.records.ranking import best_items
from hpcfed.records.results import Result, is_feasible, order, violations
from hpcfed.records.searched import CONFIRM, POINT, PROMOTION, Item, Seen
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.search import design
from hpcfed.sweep.search.data import data_of
from hpcfed.sweep.search.propose import Proposer
from tests.search_world import KEYS, box, item_of, limits, run_of, search_of, searched

RATE = KEYS[0]


def parabola(point: Mapping[str, Any]) -> dict[str, float]:
    return {"train_loss": sum((value - 0.3) ** 2 for value in point.values())}


def test_the_design_is_a_sobol_sequence_of_the_seed() -> None:
    found = searched(search_of(box(3), method="random", seed=4), parabola, 16)
    points = np.array([[item.point[key] for key in KEYS[:3]] for item in found.items])
    # 2^4 points of a scrambled sequence: one in each sixteenth of every axis
    assert all(sorted((column * 16).astype(int)) == list(range(16)) for column in points.T)
    again = searched(search_of(box(3), method="random", seed=4), parabola, 16)
    other = searched(search_of(box(3), method="random", seed=5), parabola, 16)
    assert [i.point for i in found.items] == [i.point for i in again.items]
    assert [i.point for i in found.items] != [i.point for i in other.items]


def test_given_points_come_first_then_the_design_then_the_model() -> None:
    search = replace(
        search_of(box(1), method="tpe", initial=3), points=({RATE: 0.25}, {RATE: 0.75})
    )
    found = searched(search, parabola, 8)
    assert [item.why for item in found.items] == ["given"] * 2 + ["initial"] * 3 + ["model"] * 3
    assert [item.point[RATE] for item in found.items[:2]] == [0.25, 0.75]


def test_what_is_excluded_or_not_valid_is_never_proposed() -> None:
    search = replace(
        search_of({RATE: {"int": [1, 8]}, "client.epochs": [1, 2]}, method="random"),
        exclude=({"client.optimizer": "adam", "client.epochs": 1},),
    )

    def valid(point: Mapping[str, Any]) -> PlannedRun:
        if point[RATE] % 2:
            raise InputError("odd")
        found = run_of(point)
        client = found.experiment.client.model_copy(update={"epochs": point["client.epochs"]})
        changed = found.experiment.model_copy(update={"client": client})
        found.__dict__["experiment"] = changed
        return found

    proposer, items = Proposer(search, valid), list[Item]()
    for number in range(12):
        draft = proposer.next(Seen(tuple(items), {}), may_add=True)
        assert draft is not None
        items.append(item_of(draft, number))
    assert {item.point["client.epochs"] for item in items} == {2}
    assert {item.point[RATE] for item in items} == {2, 4, 6, 8}  # all that are left, and again
    assert [item.why for item in items].count("again") == 8
    assert all(items[i.of].digest == i.digest for i in items if i.of is not None)


def test_a_space_without_a_valid_point_is_one_clear_error() -> None:
    def never(point: Mapping[str, Any]) -> PlannedRun:
        raise InputError("no")

    with pytest.raises(InputError, match=r"none of 2000 points of \[search.space\] is valid"):
        Proposer(search_of(box(1), method="random"), never).next(Seen((), {}), may_add=True)


@pytest.mark.parametrize("method", ["tpe", "gp", "scbo"])
def test_a_proposal_depends_on_what_was_seen_and_on_nothing_else(method: str) -> None:
    search = search_of(box(3), method=method, initial=24, constraints=limits(1))
    found = searched(search, lambda p: parabola(p) | {"hidden_rate": p[RATE] - 0.6}, 24)
    waiting = (20, 21, 22, 23)
    results = {n: r for n, r in found.results.items() if n not in waiting}
    seen = Seen(found.items, results)

    def proposed(seen: Seen) -> Any:
        draft = Proposer(search, run_of).next(seen, may_add=True)  # without any fit kept
        assert draft is not None
        assert draft.why == "model"
        return draft.run.point

    assert seen.pending == waiting
    first = proposed(seen)
    assert proposed(seen) == first
    # in what order results have arrived does not matter, only which there are
    assert proposed(Seen(seen.items, dict(reversed(list(results.items()))))) == first

    # several in a row, each pending for the next, are different points
    proposer, points = Proposer(search, run_of), []
    for _ in range(4):
        draft = proposer.next(seen, may_add=True)
        assert draft is not None
        points.append(tuple(draft.run.point.values()))
        seen = Seen((*seen.items, item_of(draft, seen.number, seen.pending)), results)
    assert points[0] == tuple(first.values())
    assert len(set(points)) == 4


@pytest.mark.parametrize("method", ["tpe", "gp", "scbo"])
def test_unknown_figures_and_outcomes_that_are_all_alike_are_no_reason_to_fail(
    method: str,
) -> None:
    search = search_of(box(2), method=method, initial=3)
    for value in (math.nan, 1.0):
        found = searched(search, lambda point, value=value: {"train_loss": value}, 5)
        assert [item.why for item in found.items[3:]] == ["model"] * 2


def test_points_that_come_out_the_same_three_times_are_followed_by_the_design() -> None:
    search = search_of({RATE: [0.1, 0.2]}, method="tpe", initial=2)
    found = searched(search, parabola, 9)
    whys = [item.why for item in found.items]
    assert whys[:2] == ["initial"] * 2
    assert set(whys[2:]) == {"again"}


def rung_result(loss: float, rounds: int) -> Result:
    return Result({"train_loss": loss}, num_rounds=rounds)


def halving(count: int = 9) -> tuple[Search, Seen]:
    search = search_of(box(1), method="random", halving={"rungs": [1, 3, 9], "eta": 3})
    found = searched(search_of(box(1), method="random"), parabola, count)
    results = {n: rung_result(float(n), 1) for n in range(count)}
    return search, Seen(tuple(replace(item, rounds=1) for item in found.items), results)


def test_a_third_of_those_at_a_rung_goes_on_the_best_first() -> None:
    search, seen = halving(12)
    proposer = Proposer(search, run_of)
    promoted = []
    for _ in range(5):
        draft = proposer.next(seen, may_add=True)
        assert draft is not None
        if draft.kind == POINT:
            break
        promoted.append((draft.of, draft.rounds))
        number = seen.number
        items = (*seen.items, item_of(draft, number))
        seen = Seen(items, {**seen.results, number: rung_result(float(number), 3)})
    # the highest rung first: with three at 3 rounds, the best of them goes on to 9
    assert promoted == [(0, 3), (1, 3), (2, 3), (12, 9), (3, 3)]


def test_who_violates_a_constraint_or_was_stopped_does_not_go_on() -> None:
    search, seen = halving(6)
    silent = Result({"train_loss": 0.0}, verdict="diverged", num_rounds=1)
    seen = Seen(seen.items, {**seen.results, 0: silent})
    draft = Proposer(search, run_of).next(seen, may_add=True)
    assert draft is not None
    assert (draft.kind, draft.of) == (PROMOTION, 1)


def test_the_best_are_run_again_with_other_seeds_when_all_else_has_ended() -> None:
    search = search_of(box(1), method="random", evaluations=4, confirm={"best": 2, "seeds": [7, 8]})
    found = searched(search, parabola, 4)
    proposer = Proposer(search, run_of)
    waiting = Seen(found.items, {n: r for n, r in found.results.items() if n != 2})
    assert proposer.next(waiting, may_add=False) is None
    items, results = list(found.items), dict(found.results)
    drafts = []
    while (draft := proposer.next(Seen(tuple(items), results), may_add=False)) is not None:
        assert draft.kind == CONFIRM
        drafts.append((draft.of, draft.run.point["seed"]))
        items.append(item_of(draft, len(items)))
    first, second = (item.number for item in best_items(search, found)[:2])
    assert drafts == [(first, 7), (first, 8), (second, 7), (second, 8)]


def test_constraints_are_shares_over_the_limit_figures_over_theirs_and_divergence() -> None:
    search = search_of(box(1), constraints={"spikes_per_sample": 200.0, "hidden_rate": 0.0})
    search = replace(search, base={"stop": {"silent": {"beta": 0.3}}})
    figures = {"silent_samples": 0.5, "saturated_samples": 0.1, "spikes_per_sample": 300.0,
               "hidden_rate": -0.25, "train_loss": 2.0}  # fmt: skip
    found = violations(search, Result(figures))
    assert found == pytest.approx(
        {"silent": 0.2, "saturated": -0.2, "diverged": -1, "spikes_per_sample": 0.5,
         "hidden_rate": -0.25}
    )  # fmt: skip
    assert violations(search, Result({}, "diverged")) == pytest.approx(
        {"silent": -0.3, "saturated": -0.3, "diverged": 1, "spikes_per_sample": 1,
         "hidden_rate": 1}
    )  # fmt: skip


def test_feasible_ones_come_before_all_others_and_these_by_what_they_violate() -> None:
    search = search_of(box(1), constraints=limits(2))

    def result(loss: float, first: float, second: float = -1e9) -> Result:
        return Result({"train_loss": loss, "hidden_rate": first, "silent_samples": second})

    good, bad, worse = result(9.0, -1.0), result(0.0, 0.1), result(0.0, -1e6, 0.5)
    assert is_feasible(search, good)
    assert not is_feasible(search, result(math.nan, -1.0))
    # a very good constraint does not buy off a bad one
    assert order(search, good) < order(search, bad) < order(search, worse)


def test_the_front_holds_what_no_other_beats_in_both_figures() -> None:
    search = search_of(box(1), minimise=["train_loss", "uplink_bytes"], method="random")
    losses = [(1.0, 5.0), (2.0, 3.0), (3.0, 4.0), (4.0, 1.0), (0.5, 9.0)]
    found = searched(search, parabola, 5)
    results = {n: Result({"train_loss": a, "uplink_bytes": b}) for n, (a, b) in enumerate(losses)}
    front = [item.number for item in best_items(search, Seen(found.items, results))]
    assert front == [4, 0, 1, 3]


def test_of_a_run_that_has_climbed_the_highest_rung_is_learned_from() -> None:
    search, seen = halving(3)
    draft = Proposer(search, run_of).next(seen, may_add=True)
    assert draft is not None
    promoted = (*seen.items, item_of(draft, 3))
    waiting = data_of(search, Seen(promoted, seen.results))
    assert (len(waiting.units), len(waiting.pending)) == (3, 0)
    after = data_of(search, Seen(promoted, {**seen.results, 3: rung_result(-5.0, 3)}))
    assert sorted(after.values[:, 0]) == [-5.0, 1.0, 2.0]


def test_words_of_a_proposal_are_its_own() -> None:
    assert len({design.word(0, number) for number in range(200)}) == 200
    assert design.word(0, 1) != design.word(1, 1)
