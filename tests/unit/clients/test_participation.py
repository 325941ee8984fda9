"""Who takes part, and on which rank, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.base.purposes import Purpose
from hpcfed.base.seeds import Stream, threshold
from hpcfed.clients.participation import (
    arrival_losses,
    drop_probabilities,
    on_time,
    participants,
    sampled,
)
from hpcfed.config import ParticipationConfig
from hpcfed.errors import InputError
from hpcfed.federation.uplink.cohort import assign


def test_one_probability_is_everybodys() -> None:
    assert drop_probabilities(0.25, 3).tolist() == [0.25] * 3
    assert drop_probabilities((0.0, 0.5), 2).tolist() == [0.0, 0.5]
    with pytest.raises(InputError, match="2 values, but there are 3"):
        drop_probabilities((0.0, 0.5), 3)


@pytest.mark.parametrize("round_index", [0, 1, 99])
def test_q_zero_takes_all_and_q_one_takes_none(round_index: int) -> None:
    assert participants(np.zeros(20), 1, round_index).tolist() == list(range(20))
    assert participants(np.ones(20), 1, round_index).tolist() == []


def test_a_client_is_dropped_if_its_word_is_below_its_own_threshold() -> None:
    q = np.array([0.1, 0.9, 0.5, 1.0, 0.0] * 8)
    words = Stream(2, Purpose.PARTICIPATION, 3).words(40)
    expected = [k for k in range(40) if int(words[k]) >= threshold(q[k])]
    assert participants(q, 2, 3).tolist() == expected


def test_rounds_and_seeds_draw_different_cohorts() -> None:
    q = np.full(64, 0.5)
    cohorts = {tuple(participants(q, seed, r).tolist()) for seed in (0, 1) for r in (0, 1)}
    assert len(cohorts) == 4


def test_another_number_of_clients_leaves_the_lower_ones_as_they_are() -> None:
    some, more = participants(np.full(10, 0.5), 0, 0), participants(np.full(20, 0.5), 0, 0)
    assert some.tolist() == [k for k in more.tolist() if k < 10]


def test_the_longest_work_goes_first_to_the_least_loaded_rank() -> None:
    # 7 -> rank 0; 5 -> 1; 4 -> 1 has 5 < 7: rank 1; 3 -> 0; 1: 10 against 9 -> 1
    assert assign(np.array([5, 7, 1, 3, 4]), 2).tolist() == [1, 0, 1, 0, 1]


def test_equal_work_goes_round_the_ranks_in_order() -> None:
    assert assign(np.array([2, 2, 2, 2, 2]), 3).tolist() == [0, 1, 2, 0, 1]


def test_more_ranks_than_items_leave_ranks_empty() -> None:
    assert sorted(assign(np.array([1, 2]), 5).tolist()) == [0, 1]
    assert assign(np.zeros(0, np.int64), 3).tolist() == []


def test_no_rank_has_a_third_more_than_the_ideal() -> None:
    # Graham 1969: at most 4/3 of the optimum, which is at least the mean and the longest item
    work = Stream(0, Purpose.PARTITION).words(50).astype(np.int64) % 100 + 1
    loads = np.bincount(assign(work, 4), weights=work, minlength=4)
    assert loads.max() <= 4 / 3 * max(work.sum() / 4 + work.max() / 4, work.max())


def test_clients_are_sampled_uniformly_without_replacement() -> None:
    rounds = [sampled(3, 8, 1, index) for index in range(4000)]
    assert all(len(set(chosen.tolist())) == 3 for chosen in rounds)
    assert all((np.diff(chosen) > 0).all() for chosen in rounds)
    counts = np.bincount(np.concatenate(rounds), minlength=8)
    deviation = np.sqrt(4000 * 3 / 8 * 5 / 8)
    assert (np.abs(counts - 1500) < 4.5 * deviation).all()
    pairs = sum({0, 1} <= set(chosen.tolist()) for chosen in rounds)
    assert abs(pairs - 4000 * 6 / 56) < 4.5 * np.sqrt(4000 * 6 / 56)
    assert sampled(8, 8, 1, 0).tolist() == list(range(8))


def test_a_straggler_is_told_by_its_own_word() -> None:
    config = ParticipationConfig(straggler_probability=0.4)
    words = Stream(5, Purpose.STRAGGLERS, 2).words(20)
    chosen = np.array([1, 4, 9, 10, 19])
    expected = [k for k in chosen.tolist() if int(words[k]) >= threshold(0.4)]
    assert on_time(chosen, config, 20, 5, 2).tolist() == expected
    assert on_time(chosen[:0], config, 20, 5, 2).tolist() == []
    late = ParticipationConfig(straggler_probability=1.0, first_is_on_time=True)
    assert on_time(chosen, late, 20, 5, 2).tolist() == [1]


def test_the_chance_to_send_nothing_is_of_all_reasons_together() -> None:
    q = np.array([0.0, 0.2, 1.0])
    assert arrival_losses(ParticipationConfig(), q) is q
    late = ParticipationConfig(straggler_probability=0.5)
    assert arrival_losses(late, q) == pytest.approx([0.5, 0.6, 1.0])
    drawn = ParticipationConfig(clients_per_round=2, straggler_probability=0.5)
    assert arrival_losses(drawn, np.zeros(8)) == pytest.approx([1 - 0.25 * 0.5] * 8)
