"""A run that cannot learn says so after its first rounds."""

from __future__ import annotations

import math

import pytest

from hpcfed.federation.doubts import AFTER_ROUNDS, doubts

NAN, CHANCE = float("nan"), math.log(4)


def said(rates: list[float], losses: list[float]) -> str:
    return "\n".join(doubts({"hidden_rate": rates, "train_loss": losses}, 4))


def test_twenty_silent_rounds_are_said() -> None:
    falling = [CHANCE - 0.01 * k for k in range(AFTER_ROUNDS)]
    assert "no hidden neuron has spiked in 20 rounds" in said([0.0] * 20, falling)
    assert said([0.0] * 19 + [1e-6], falling) == ""


def test_a_loss_that_never_falls_below_chance_is_said() -> None:
    assert "not fallen below chance, 1.386" in said([0.1] * 20, [CHANCE + 0.01] * 20)
    assert "not fallen below chance" in said([NAN] * 20, [CHANCE, NAN] * 10)
    assert said([0.1] * 20, [CHANCE + 0.01] * 19 + [CHANCE - 0.01]) == ""
    rounds = {"hidden_rate": [0.1] * 20, "train_loss": [CHANCE + 0.01] * 20}
    assert list(doubts(rounds, 4, taught=True)) == []  # a divergence has another chance


@pytest.mark.parametrize("losses", [[NAN] * 20, [0.5] * 20])
def test_a_network_without_spikes_is_not_called_silent(losses: list[float]) -> None:
    assert said([NAN] * 20, losses) == ""
