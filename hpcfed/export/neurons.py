"""Neurons and readout as nodes of NIR, which reproduce hpcfed's steps exactly.

H neurons. NIR has differential equations; with an Euler step D of a node's input x (held for D),
currents before voltages, they become those of ``networks.neurons``. With dt the bin, theta the
threshold, and tau' = tau D / dt the constants of the file::

    CubaLIF    tau_syn I' = w_in x - I;  tau_mem v' = R I - v      w_in = tau_syn / dt
               spike above v_threshold, v = v_reset = 0            R = tau_mem / dt
                                                                   v_threshold = R theta
    LIF        tau v' = x - v                                      tau = dt / (1 - leak)
                                                                   v_threshold = (1 - leak) theta
    IF         v = v + x (R = 1 a step, as all readers have it)    v_threshold = theta

Voltages are so scaled that norse and snnTorch read them. All nodes of NIR reset to a value. Leaky
neurons that subtract, or do not reset, are an integrator LI (or I) without spikes, a Threshold, and
what is subtracted comes back a step later: u+ = leak u + x - leak theta z. Neurons that fire first
send their spikes a bin later, by a Delay. Recurrent weights see the spikes of the bin before, as
every loop of a graph does. A population of more than one node is a subgraph.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcfed.config import ModelConfig
from hpcfed.config.model import LEAK

if TYPE_CHECKING:
    import nir

F32 = NDArray[np.float32]


class Time(NamedTuple):
    """The bin that the network was trained with, and the step that the file is written for, s."""

    bin: float
    step: float


def population(
    model: ModelConfig, time: Time, shape: tuple[int, ...], recurrent: F32 | None
) -> nir.NIRNode:
    """Return neurons of ``shape``, one node or a subgraph; ``recurrent`` weights are (H, H)."""
    import nir

    chain = _chain(model, time, shape)
    (first, _), (spiking, _), (last, _) = chain[0], chain[min(1, len(chain) - 1)], chain[-1]
    nodes, edges = dict(chain), list(pairwise(name for name, _ in chain))
    if "membrane" in nodes and model.reset != "none":
        nodes["subtracted"] = nir.Scale(scale=_full(shape, -_leak(model) * model.threshold))
        edges += [(spiking, "subtracted"), ("subtracted", first)]
    if recurrent is not None:
        nodes["recurrent"] = nir.Linear(weight=np.asarray(recurrent, np.float32))
        edges += [(last, "recurrent"), ("recurrent", first)]
    if len(nodes) == 1:
        return chain[0][1]
    ends = {
        "input": nir.Input(input_type={"input": np.array(shape)}),
        "output": nir.Output(output_type={"output": np.array(shape)}),
    }
    return nir.NIRGraph(ends | nodes, [("input", first), *edges, (last, "output")])


def leaky_readout(model: ModelConfig, time: Time, classes: int) -> nir.NIRNode:
    """Return the readout's leaky integrator, whose voltage is hpcfed's: R = 1."""
    import nir

    shape, scale = (classes,), time.step / time.bin
    return nir.CubaLI(
        tau_syn=_full(shape, model.tau_syn * scale),
        tau_mem=_full(shape, model.tau_mem * scale),
        r=_full(shape, 1.0),
        v_leak=_full(shape, 0.0),
        w_in=_full(shape, model.tau_syn / time.bin),
    )


def _chain(model: ModelConfig, time: Time, shape: tuple[int, ...]) -> list[tuple[str, nir.NIRNode]]:
    """Return the nodes that a current goes through until it is sent as spikes, by name."""
    import nir

    if model.neuron == "lif":
        return [("neuron", _cuba_lif(model, time, shape))]
    if model.neuron == "if":
        return [("neuron", _integrate_and_fire(model, shape))]
    found = _leaky(model, time, shape)
    if model.fire_first:
        found.append(("sent", nir.Delay(delay=_full(shape, time.step))))
    return found


def _leaky(model: ModelConfig, time: Time, shape: tuple[int, ...]) -> list[tuple[str, nir.NIRNode]]:
    """Return the nodes of leaky neurons; those that lose nothing have no time constant."""
    import nir

    leak, one, zero = _leak(model), _full(shape, 1.0), _full(shape, 0.0)
    loses = leak < 1
    tau = _full(shape, time.step / (1 - leak) if loses else 0.0)
    threshold = _full(shape, model.threshold * (1 - leak if loses else 1.0))
    if model.reset == "zero":
        if not loses:
            return [("neuron", _integrate_and_fire(model, shape))]
        lif = nir.LIF(tau=tau, r=one, v_leak=zero, v_threshold=threshold, v_reset=zero)
        return [("neuron", lif)]
    membrane = nir.LI(tau=tau, r=one, v_leak=zero) if loses else nir.I(r=one)
    return [("membrane", membrane), ("threshold", nir.Threshold(threshold=threshold))]


def _cuba_lif(model: ModelConfig, time: Time, shape: tuple[int, ...]) -> nir.NIRNode:
    import nir

    scale, resistance = time.step / time.bin, model.tau_mem / time.bin
    return nir.CubaLIF(
        tau_syn=_full(shape, model.tau_syn * scale),
        tau_mem=_full(shape, model.tau_mem * scale),
        r=_full(shape, resistance),
        v_leak=_full(shape, 0.0),
        v_threshold=_full(shape, model.threshold * resistance),
        v_reset=_full(shape, 0.0),
        w_in=_full(shape, model.tau_syn / time.bin),
    )


def _integrate_and_fire(model: ModelConfig, shape: tuple[int, ...]) -> nir.NIRNode:
    import nir

    return nir.IF(
        r=_full(shape, 1.0),
        v_threshold=_full(shape, model.threshold),
        v_reset=_full(shape, 0.0),
    )


def _leak(model: ModelConfig) -> float:
    return LEAK if model.leak is None else model.leak


def _full(shape: tuple[int, ...], value: float) -> NDArray[np.float64]:
    return np.full(shape, value, np.float64)
