"""The learning rate over rounds."""

from __future__ import annotations

import pytest

from hpcfed.config import ClientConfig
from hpcfed.learning.schedule import learning_rate


def client(schedule: str) -> ClientConfig:
    return ClientConfig.model_validate(
        {
            "learning_rate": 0.1,
            "schedule": schedule,
            "schedule_rounds": 10,
            "schedule_factor": 0.01,
        }
    )


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "exponential"])
def test_schedule_starts_at_the_learning_rate(schedule: str) -> None:
    assert learning_rate(client(schedule), 0) == pytest.approx(0.1, rel=1e-15)


@pytest.mark.parametrize(
    ("schedule", "halfway"),
    [("constant", 0.1), ("linear", 0.0505), ("cosine", 0.0505), ("exponential", 0.01)],
)
def test_schedule_halfway_is_its_formula(schedule: str, halfway: float) -> None:
    assert learning_rate(client(schedule), 5) == pytest.approx(halfway, rel=1e-12)


def test_cosine_is_above_linear_early_and_below_it_late() -> None:
    assert learning_rate(client("cosine"), 2) > learning_rate(client("linear"), 2)
    assert learning_rate(client("cosine"), 8) < learning_rate(client("linear"), 8)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "exponential"])
@pytest.mark.parametrize("round_index", [10, 11, 1000])
def test_schedule_stays_at_its_end(schedule: str, round_index: int) -> None:
    assert learning_rate(client(schedule), round_index) == pytest.approx(0.001, rel=1e-12)


def test_milestones_take_the_rate_down_after_their_round_has_run() -> None:
    steps = ClientConfig(
        learning_rate=0.1, schedule="milestones", schedule_milestones=(2, 4), schedule_factor=0.2
    )
    found = [learning_rate(steps, index) for index in range(6)]
    assert found == pytest.approx([0.1, 0.1, 0.02, 0.02, 0.004, 0.004])
