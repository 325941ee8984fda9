"""Clients that repeat a block more often are more work: ranks are balanced by it."""

from __future__ import annotations

from typing import Any  # a trainer of any kind

import numpy as np

from hpcfed.config import Experiment
from hpcfed.federation.job import build_job, costs


class _Counted:
    def operations(self, depth: int) -> int:
        return 10 + 5 * depth


def test_costs_follow_the_operations_in_small_numbers() -> None:
    trainer: Any = _Counted()
    assert costs(trainer, np.array([2, 8, 2, 4])).tolist() == [2, 5, 2, 3]
    nothing: Any = object()
    assert costs(nothing, np.array([2, 8])).tolist() == [1, 1]


def job(**repeat: Any) -> Any:
    return build_job(
        Experiment.model_validate(
            {
                "data": {"dataset": "digits"},
                "model": {
                    "kind": "ann",
                    "hidden": ["4c3", ["repeat", "8c3", "4c3"]],
                    "repeat": repeat,
                },
            }
        ),
        num_ranks=2,
        local_rank=0,
    )


def test_ranks_have_equal_work_not_equal_numbers() -> None:
    made = job(depths=[1, 16])
    cohort, depths = made.cohort(0, 2), made.depths(0)
    assert depths.tolist() == [1, 16] * 5
    work = made.num_samples * costs(made.trainer, depths)
    shares = [work[cohort.of(rank)].sum() / work.sum() for rank in (0, 1)]
    assert max(shares) < 0.65  # five deep clients: three on one rank
    deep = [int((depths[cohort.of(rank)] == 16).sum()) for rank in (0, 1)]
    assert sorted(deep) == [2, 3]
    numbers = [len(cohort.of(rank)) for rank in (0, 1)]
    assert numbers[deep.index(3)] < numbers[deep.index(2)]


def test_drawn_depths_change_from_round_to_round() -> None:
    made = job(depths=[1, 16], drawn=True)
    assert not np.array_equal(made.depths(0), made.depths(1))
    assert set(made.depths(0).tolist()) == {1, 16}
