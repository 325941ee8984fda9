"""Diehl and Cook's network step by step in plain float64, for comparison with the kernels.

T time bins, C inputs, N neurons. Winners among neurons that cross together are handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

DECAY_V, DECAY_INNER = math.exp(-1 / 100), math.exp(-1 / 10)
DECAY_TRACE, DECAY_THETA = math.exp(-1 / 20), math.exp(-1 / 1e7)


@dataclass
class Plain:
    """All that changes, with weights (C, N); ``winner`` picks one of the neurons that cross."""

    weights: F64
    theta: F64
    rates: tuple[float, float] = (1e-4, 1e-2)
    excitation: float = 22.5
    inhibition: float = 120.0
    theta_plus: float = 0.05
    learns: bool = True
    log: list[dict[str, F64]] = field(default_factory=list)

    def __post_init__(self) -> None:
        inputs, neurons = self.weights.shape
        self.v, self.inner = np.full(neurons, -65.0), np.full(neurons, -60.0)
        self.waits, self.inner_waits = np.zeros(neurons), np.zeros(neurons)
        self.x, self.x_in = np.zeros(neurons), np.zeros(inputs)
        self.spikes, self.inner_spikes = np.zeros(neurons), np.zeros(neurons)
        self.seen = np.zeros(inputs)

    def step(self, shown: F64, winner: Callable[[I64], int]) -> None:
        """Go on by a bin in which the inputs ``shown`` (C,) spike."""
        current = self.seen @ self.weights
        current -= self.inhibition * (self.inner_spikes.sum() - self.inner_spikes)
        inner_current = self.excitation * self.spikes
        self.seen = shown
        self.x_in = np.where(shown > 0, 1.0, self.x_in * DECAY_TRACE)
        self._excite(current, winner)
        self._inhibit(inner_current)
        if self.learns:
            change = -self.rates[0] * np.outer(shown, self.x)
            change += self.rates[1] * np.outer(self.x_in, self.spikes)
            self.weights = np.clip(self.weights + change, 0, 1)
        state = {"v_e": self.v, "theta": self.theta, "s_e": self.spikes, "x_e": self.x}
        state |= {"v_i": self.inner, "s_i": self.inner_spikes, "x_in": self.x_in}
        state |= {"refrac_e": self.waits, "w": self.weights}
        self.log.append({name: np.array(value) for name, value in state.items()})

    def _excite(self, current: F64, winner: Callable[[I64], int]) -> None:
        self.v = -65 + DECAY_V * (self.v + 65)
        if self.learns:
            self.theta = self.theta * DECAY_THETA
        self.v = self.v + np.where(self.waits <= 0, current, 0)
        self.waits = self.waits - 1
        crossed = self.v >= -52 + self.theta
        self.waits, self.v = np.where(crossed, 5, self.waits), np.where(crossed, -60, self.v)
        if self.learns:
            self.theta = self.theta + self.theta_plus * crossed
        self.spikes = np.zeros(len(self.v))
        if crossed.any():
            self.spikes[winner(np.flatnonzero(crossed))] = 1
        self.x = np.where(self.spikes > 0, 1.0, self.x * DECAY_TRACE)

    def _inhibit(self, current: F64) -> None:
        self.inner = -60 + DECAY_INNER * (self.inner + 60)
        self.inner = self.inner + np.where(self.inner_waits <= 0, current, 0)
        self.inner_waits = self.inner_waits - 1
        crossed = self.inner >= -40
        self.inner_waits = np.where(crossed, 2, self.inner_waits)
        self.inner = np.where(crossed, -45, self.inner)
        self.inner_spikes = crossed.astype(np.float64)

    def scale(self, norm: float) -> None:
        """Scale the weights onto each neuron to a sum of ``norm``."""
        self.weights = self.weights * norm / np.abs(self.weights).sum(axis=0)
