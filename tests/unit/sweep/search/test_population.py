"""Populations: who copies whom, what is changed, and the toy of the paper's second figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hpcfed.config.search import PopulationConfig, Search
from hpcfed.records.ranking import best_items, lineage
from hpcfed.records.results import Result
from hpcfed.records.searched import MEMBER, Item, Seen
from hpcfed.sweep.planning.planned_run import PlannedRun
from hpcfed.sweep.search.lineage import schedule
from hpcfed.sweep.search.population import explored, next_member
from hpcfed.sweep.search.propose import Proposer
from tests.search_world import KEYS, item_of, run_of, search_of

A, B = KEYS[:2]
SPACE = {A: {"float": [0.0, 1.0]}, B: {"float": [0.0, 1.0]}}


def population(space: Mapping[str, Any] = SPACE, seed: int = 0, **settings: Any) -> Search:
    given = {"members": 4, "interval": 2, **settings}
    found = search_of(space, method="population", evaluations=None, seed=seed, population=given)
    return replace(found, base={"server": {"rounds": 6}})


Trained = Callable[[Item, Item | None], Result]


def trained(
    search: Search,
    train: Trained,
    order: Callable[[list[int]], int] = min,
    proposer: Proposer | None = None,
) -> Seen:
    """Run a population; ``order`` says which of the open numbers ends next."""
    proposer = proposer or Proposer(search, run_of)
    items, results = list[Item](), dict[int, Result]()
    while True:
        while True:
            seen = Seen(tuple(items), dict(results))
            draft = proposer.next(seen, may_add=True)
            if draft is None:
                break
            items.append(item_of(draft, len(items), seen.pending, draft.step, draft.member))
        waiting = [item.number for item in items if item.number not in results]
        if not waiting:
            return Seen(tuple(items), results)
        item = items[order(waiting)]
        results[item.number] = train(item, None if item.of is None else items[item.of])


def by_rate(item: Item, parent: Item | None) -> Result:
    return Result({"train_loss": abs(item.point[A] - 0.4)}, num_rounds=item.rounds)


def test_generations_do_not_depend_on_who_ends_when() -> None:
    lineages = []
    for order in (min, max, lambda waiting: sorted(waiting)[len(waiting) // 2]):
        seen = trained(population(), by_rate, order)
        lineages.append({(i.step, i.member): (i.digest, i.rounds) for i in seen.items})
        assert len(seen.items) == 4 * 3
    assert lineages[0] == lineages[1] == lineages[2]


def test_the_worst_part_copies_the_best_part_and_changes_what_it_copies() -> None:
    seen = trained(population(quantile=0.25), by_rate)
    first = [seen.items[number] for number in range(4)]
    ranked = sorted(first, key=lambda item: abs(item.point[A] - 0.4))
    following = {item.member: item for item in seen.items if item.step == 1}
    copied = following[ranked[-1].member]
    assert copied.of == ranked[0].number
    assert copied.why == f"copied {ranked[0].member}"
    assert copied.point != ranked[0].point
    for item in ranked[:-1]:
        assert following[item.member].point == item.point
        assert following[item.member].of == item.number


def test_a_child_is_named_by_its_parent_the_round_and_its_configuration() -> None:
    seen = trained(population(), by_rate)
    digests = [item.digest for item in seen.items]
    assert len(set(digests)) == len(digests)  # also of those that go on as they are
    # the same configuration from another parent, or at another round, is another run
    on = [item for item in seen.items if item.why == "goes on"]
    assert all(item.digest != seen.items[item.of or 0].digest for item in on)


def test_a_silent_member_is_always_replaced_and_never_copied() -> None:
    def train(item: Item, parent: Item | None) -> Result:
        silent = item.point[A] > 0.3
        loss = -9.0 if silent else item.point[A]  # as if silence had the best loss
        return Result({"train_loss": loss}, "diverged" if silent else "", num_rounds=item.rounds)

    for exploit in ("truncation", "tournament", "t-test"):
        seen = trained(population(exploit=exploit, members=6), train)
        silent = {i.number for i in seen.items if i.point[A] > 0.3}
        assert silent
        for item in seen.items:
            if item.of is not None and item.of in silent:
                raise AssertionError(f"{exploit}: a silent member lives on")


def test_where_all_members_are_silent_they_begin_anew_from_round_nought() -> None:
    seen = trained(population(), lambda i, p: Result({"train_loss": 1.0}, "diverged", num_rounds=1))
    second = [item for item in seen.items if item.step == 1]
    assert [(item.of, item.why, item.rounds) for item in second] == [(None, "anew", 4)] * 4
    points = [tuple(item.point.values()) for item in seen.items]
    assert len(set(points)) == len(points)


def test_members_are_never_where_points_are_excluded() -> None:
    space = {A: {"float": [0.0, 1.0]}, "client.epochs": [1, 2]}
    search = replace(population(space, resample=1.0), exclude=({"client.epochs": 2},))

    def with_epochs(point: Mapping[str, Any]) -> PlannedRun:
        found = run_of(point)
        client = found.experiment.client.model_copy(update={"epochs": point["client.epochs"]})
        found.__dict__["experiment"] = found.experiment.model_copy(update={"client": client})
        return found

    seen = trained(search, by_rate, proposer=Proposer(search, with_epochs))
    assert {item.point["client.epochs"] for item in seen.items} == {1}


def test_a_member_that_was_given_up_is_replaced() -> None:
    search, proposer = population(), Proposer(population(), run_of)
    items: list[Item] = []
    for number in range(4):
        draft = proposer.next(Seen(tuple(items), {}), may_add=True)
        assert draft is not None
        items.append(item_of(draft, number, (), draft.step, draft.member))
    results = {n: by_rate(items[n], None) for n in (0, 1, 2)}
    assert next_member(search, Seen(tuple(items), results), run_of) is None  # waits for it
    child = next_member(search, Seen(tuple(items), results, frozenset({3})), run_of)
    assert child is not None
    found = list[Item](items)
    while (draft := proposer.next(Seen(tuple(found), results, frozenset({3})), True)) is not None:
        found.append(item_of(draft, len(found), (), draft.step, draft.member))
    (replaced,) = [item for item in found if (item.step, item.member) == (1, 3)]
    assert replaced.of in {0, 1, 2}


def test_a_tournament_copies_a_better_one_and_the_t_test_only_a_clearly_better_one() -> None:
    def train(noise: float) -> Trained:
        def one(item: Item, parent: Item | None) -> Result:
            level = item.point[A]
            scores = tuple(level + noise * (-1) ** k for k in range(10))
            return Result({"train_loss": level}, num_rounds=item.rounds,
                          scores={"train_loss": scores})  # fmt: skip

        return one

    def copies(exploit: str, noise: float) -> int:
        found = 0
        for seed in range(6):
            seen = trained(population(exploit=exploit, seed=seed), train(noise))
            for item in seen.items:
                if item.why.startswith("copied"):
                    found += 1
                    (rival,) = [i for i in seen.items
                                if (i.step, i.member) == (item.step - 1, item.member)]  # fmt: skip
                    assert seen.items[item.of or 0].point[A] < rival.point[A]
        return found

    assert copies("tournament", 0.0) > 10
    assert copies("t-test", 0.001) > 10
    assert copies("t-test", 100.0) == 0


def test_copied_numbers_are_multiplied_and_clipped_and_choices_move_by_one() -> None:
    space = search_of(
        {A: {"log": [0.01, 1.0]}, "client.epochs": {"int": [1, 8]}, "model.neuron": ["a", "b", "c"]}
    ).space
    config = PopulationConfig(resample=0.0)

    def changed(point: dict[str, Any], word: float) -> dict[str, Any]:
        return explored(space, config, point, iter([0.5, word] * 3))

    point = {A: 0.1, "client.epochs": 5, "model.neuron": "b"}
    assert changed(point, 0.1) == {A: 0.08, "client.epochs": 4, "model.neuron": "c"}
    assert changed(point, 0.9) == {A: 0.12, "client.epochs": 6, "model.neuron": "a"}
    edge = {A: 1.0, "client.epochs": 8, "model.neuron": "a"}
    assert changed(edge, 0.9) == {A: 1.0, "client.epochs": 8, "model.neuron": "a"}
    anew = explored(space, PopulationConfig(resample=1.0), point, iter([0.5, 0.0] * 3))
    assert anew == {A: 0.01, "client.epochs": 1, "model.neuron": "a"}


def toy(copies_weights: bool) -> float:
    """Maximise 1.2 - (0.75 a^2 + b^2) by two members that each see a part of it (figure 2)."""
    search = population({A: [1.0, 0.0]}, members=2, quantile=0.5, interval=1, resample=0.0)
    points = ({A: 1.0}, {A: 0.0})
    search = replace(search, base={"server": {"rounds": 20}}, points=points)
    states: dict[int, np.ndarray[Any, Any]] = {}

    def train(item: Item, parent: Item | None) -> Result:
        mine = [i for i, s in states.items() if i % 2 == item.member]
        if parent is None:
            theta = np.array([0.9, 0.9])
        else:
            theta = states[parent.number if copies_weights else max(mine)].copy()
        seen_part = np.array([1.0, 0.0]) if item.member == 0 else np.array([0.0, 1.0])
        for _ in range(10):
            theta = theta - 0.02 * 2 * seen_part * theta
        states[item.number] = theta
        value = 1.2 - (0.75 * theta[0] ** 2 + theta[1] ** 2)
        return Result({"train_loss": -value}, num_rounds=item.rounds)

    proposer = Proposer(search, run_of)
    items, results = list[Item](), dict[int, Result]()
    while (draft := proposer.next(Seen(tuple(items), results), True)) is not None:
        items.append(item_of(draft, len(items), (), draft.step, draft.member))
        of = None if draft.of is None else items[draft.of]
        results[len(items) - 1] = train(items[-1], of)
        for item in items:
            assert item.number in results
    return max(-result.figures["train_loss"] for result in results.values())


def test_copying_weights_brings_what_neither_member_finds_alone() -> None:
    # alone, b is left at 0.9^2 or a at 0.75 * 0.9^2, and the other all but vanishes
    assert toy(copies_weights=False) == pytest.approx(0.5925, abs=1e-4)
    # with copies each interval goes on from the better of both
    kept = (1 - 2 * 0.02) ** 10
    a = b = 0.9
    for _ in range(20):
        one, other = (a * kept, b), (a, b * kept)
        a, b = min(one, other, key=lambda state: 0.75 * state[0] ** 2 + state[1] ** 2)
    best = 1.2 - 0.75 * a**2 - b**2
    assert toy(copies_weights=True) == pytest.approx(best, abs=1e-12)


def test_the_schedule_of_the_winner_joins_stages_that_are_alike() -> None:
    search = population()
    seen = trained(search, by_rate)
    winner = best_items(search, seen)[0]
    path = lineage(seen.items, winner)
    assert path[0].of is None
    assert path[-1] is winner
    stages = schedule(list(seen.items), winner)
    assert [until for until, _ in stages][-1] == winner.rounds
    assert all(a[1] != b[1] for a, b in pairwise(stages))
    for item in path:
        stage = next(point for until, point in stages if item.rounds <= until)
        assert stage == item.point


def test_as_they_come_takes_the_newest_scores_and_says_which() -> None:
    search = population(mode="as-they-come")
    proposer, items = Proposer(search, run_of), list[Item]()
    results: dict[int, Result] = {}
    for number in range(4):
        draft = proposer.next(Seen(tuple(items), results), may_add=True)
        assert draft is not None
        items.append(item_of(draft, number, (), draft.step, draft.member))
    results[2] = by_rate(items[2], None)
    seen = Seen(tuple(items), results)
    draft = proposer.next(seen, may_add=True)
    assert draft is not None
    assert (draft.kind, draft.member, draft.step, draft.of) == (MEMBER, 2, 1, 2)
    assert seen.pending == (0, 1, 3)
