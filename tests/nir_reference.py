"""A plain simulation of NIR's graphs: Euler steps of the equations of its documentation, float64.

T time bins, B batch. In a step currents move before voltages; what flows in stays for the step (IF
and I take it as it is, R a step, as readers of NIR do). A loop sees the step before. A delay is a
whole number of steps.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import torch
from torch.nn.functional import avg_pool2d, conv2d

Values = np.ndarray[Any, Any]


class Simulation:
    """The state of a graph and of each node in it, for steps of ``dt``."""

    def __init__(self, graph: nir.NIRGraph, dt: float) -> None:
        self.graph, self.dt = graph, dt
        self.sent: dict[str, Values] = {}
        self.state: dict[str, Any] = {}
        self.sources = {n: [a for a, b in graph.edges if b == n] for n in graph.nodes}
        self.order = self._order()

    def run(self, inputs: Values) -> Values:
        """Return the outputs (T, B, ...) for ``inputs`` (T, B, ...), from rest."""
        return np.stack([self.step(one) for one in inputs.astype(np.float64)])

    def step(self, entering: Values) -> Values:
        """Return what the graph sends for what enters it in one step, (B, ...)."""
        for name in self.order:
            node = self.graph.nodes[name]
            if isinstance(node, nir.Input):
                self.sent[name] = entering
                continue
            given = [self.sent[one] for one in self.sources[name] if one in self.sent]
            self.sent[name] = self._sends(name, node, sum(given[1:], given[0]))
            if isinstance(node, nir.Output):
                found = self.sent[name]
        return found

    def _order(self) -> list[str]:
        """Return nodes such that a node comes after what flows into it, loops left out."""
        known = [n for n, node in self.graph.nodes.items() if isinstance(node, nir.Input)]
        while len(known) < len(self.graph.nodes):
            for name in self.graph.nodes.keys() - set(known):
                waits = [s for s in self.sources[name] if s not in known]
                if len(waits) < len(self.sources[name]) and all(
                    source in self._behind(name) for source in waits
                ):
                    known.append(name)
        return known

    def _behind(self, name: str) -> set[str]:
        found: set[str] = set()
        reached = {name}
        while reached:
            reached = {b for a, b in self.graph.edges if a in reached} - found
            found |= reached
        return found

    def _sends(self, name: str, node: Any, x: Values) -> Values:
        kind = type(node).__name__
        if kind == "NIRGraph":
            inner = self.state.setdefault(name, Simulation(node, self.dt))
            return inner.step(x)
        if kind in STILL:
            return STILL[kind](node, x)
        if kind == "Delay":
            steps = round(float(node.delay.flat[0]) / self.dt)
            line = self.state.setdefault(name, [np.zeros_like(x)] * steps)
            self.state[name] = [*line[1:], x]
            return line[0]
        state = self.state.get(name, (np.zeros_like(x), np.zeros_like(x)))
        out, self.state[name] = MOVING[kind](node, x, state, self.dt)
        return out


def _cuba(node: Any, x: Values, state: Any, dt: float) -> tuple[Values, Values]:
    current, voltage = state
    current = current + dt / node.tau_syn * (node.w_in * x - current)
    voltage = voltage + dt / node.tau_mem * (node.v_leak - voltage + node.r * current)
    return current, voltage


def _fires(node: Any, current: Values, voltage: Values) -> tuple[Values, Any]:
    spikes = (voltage > node.v_threshold).astype(np.float64)
    return spikes, (current, np.where(spikes > 0, node.v_reset, voltage))


def _leaks(node: Any, x: Values, state: Any, dt: float) -> Values:
    return state[1] + dt / node.tau * (node.v_leak - state[1] + node.r * x)


def _alone(voltage: Values) -> tuple[Values, Any]:
    return voltage, (voltage, voltage)


MOVING: dict[str, Any] = {
    "CubaLIF": lambda node, x, state, dt: _fires(node, *_cuba(node, x, state, dt)),
    "CubaLI": lambda node, x, state, dt: (
        (found := _cuba(node, x, state, dt))[1],
        found,
    ),
    "LIF": lambda node, x, state, dt: _fires(node, x, _leaks(node, x, state, dt)),
    "LI": lambda node, x, state, dt: _alone(_leaks(node, x, state, dt)),
    "IF": lambda node, x, state, dt: _fires(node, x, state[1] + node.r * x),
    "I": lambda node, x, state, dt: _alone(state[1] + node.r * x),
}


def _convolved(node: Any, x: Values) -> Values:
    weight, bias = (torch.from_numpy(v.astype(np.float64)) for v in (node.weight, node.bias))
    stride, padding = (tuple(int(v) for v in values) for values in (node.stride, node.padding))
    return conv2d(torch.from_numpy(x), weight, bias, stride=stride, padding=padding).numpy()


def _summed(node: Any, x: Values) -> Values:
    size, stride = (tuple(int(v) for v in values) for values in (node.kernel_size, node.stride))
    return avg_pool2d(torch.from_numpy(x), size, stride, divisor_override=1).numpy()


STILL: dict[str, Any] = {
    "Linear": lambda node, x: x @ node.weight.T.astype(np.float64),
    "Affine": lambda node, x: x @ node.weight.T.astype(np.float64) + node.bias,
    "Scale": lambda node, x: node.scale * x,
    "Threshold": lambda node, x: (x > node.threshold).astype(np.float64),
    "Flatten": lambda node, x: x.reshape(len(x), -1),  # of each sample
    "Conv2d": _convolved,
    "SumPool2d": _summed,
    "Output": lambda node, x: x,
}
