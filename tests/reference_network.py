"""A plain twin of the networks: loops over time in float64, gradients by hand, no torch.

T time bins, B batch, C channels, H hidden neurons, K classes. Written from the equations alone, one
time step after the other and slow, so that every engine can be compared with it. ``run`` gives the
logits and spikes, ``gradients`` the derivative of the mean cross-entropy plus rate penalties.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hpcfed.config import Experiment

F64 = np.ndarray


@dataclass(frozen=True)
class Layer:
    """What one hidden layer did: arrays of (T, B, H); ``inputs`` (T, B, C)."""

    inputs: F64
    spikes: F64
    voltages: F64  # before the reset
    distances: F64  # voltage minus threshold, where the surrogate is taken
    thresholds: F64


@dataclass(frozen=True)
class Trace:
    """A whole forward pass: the layers, the readout's values (T, B, K) and the logits (B, K)."""

    layers: list[Layer] = field(default_factory=list)
    outputs: F64 = field(default_factory=lambda: np.empty(0))
    logits: F64 = field(default_factory=lambda: np.empty(0))


def run(experiment: Experiment, weights: dict[str, F64], events: F64) -> Trace:
    """Return the forward pass of ``events`` (T, B, C)."""
    layers, signal = [], events.astype(np.float64)
    for index in range(len(experiment.model.hidden)):
        matrix = weights[f"hidden{index}.input"]
        recurrent = weights.get(f"hidden{index}.recurrent", np.zeros((len(matrix),) * 2))
        forward = _ann_layer if experiment.model.kind == "ann" else _spiking_layer
        layers.append(forward(experiment, matrix, recurrent, signal))
        signal = layers[-1].spikes
    outputs = signal @ weights["readout"].T
    if experiment.model.kind != "ann":
        outputs = _integrate(experiment, outputs)
    reduced = {"mean": outputs.mean(0), "last": outputs[-1], "max": outputs.max(0)}
    return Trace(layers, outputs, reduced[experiment.model.readout])


def loss(experiment: Experiment, trace: Trace, labels: F64) -> float:
    """Return the mean cross-entropy plus the rate penalties."""
    client = experiment.client
    shifted = trace.logits - trace.logits.max(1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(1))
    value = np.mean(log_sum - shifted[np.arange(len(labels)), labels])
    for layer in trace.layers if experiment.model.kind != "ann" else []:
        rates = layer.spikes.mean((0, 1))
        outside = np.maximum(client.rate_lower - rates, 0) ** 2
        outside += np.maximum(rates - client.rate_upper, 0) ** 2
        value += client.rate_strength * outside.mean()
    return float(value)


def gradients(
    experiment: Experiment, weights: dict[str, F64], trace: Trace, labels: F64
) -> dict[str, F64]:
    """Return the derivative of ``loss`` by each matrix, backwards through time by hand."""
    result = {}
    g_current = _readout_backward(experiment, trace, labels)
    spikes = trace.layers[-1].spikes
    result["readout"] = np.einsum("tbk,tbh->kh", g_current, spikes)
    g_spikes = g_current @ weights["readout"]
    for index in reversed(range(len(trace.layers))):
        layer, matrix = trace.layers[index], weights[f"hidden{index}.input"]
        recurrent = weights.get(f"hidden{index}.recurrent", np.zeros((len(matrix),) * 2))
        if experiment.model.kind == "ann":
            g_drive = _ann_backward(layer, recurrent, g_spikes)
        else:
            g_spikes = g_spikes + _penalty_backward(experiment, layer)
            g_drive = _spiking_backward(experiment, layer, recurrent, g_spikes)
        result[f"hidden{index}.input"] = np.einsum("tbh,tbc->hc", g_drive, layer.inputs)
        result[f"hidden{index}.recurrent"] = np.einsum(
            "tbh,tbj->hj", g_drive[1:], layer.spikes[:-1]
        )
        g_spikes = g_drive @ matrix
    return {name: result[name] for name in weights}


def surrogate(name: str, slope: float, distance: F64) -> F64:
    """Return the surrogate derivative at ``distance``, voltage minus threshold."""
    scaled = slope * distance
    return {
        "superspike": 1 / (1 + np.abs(scaled)) ** 2,
        "triangle": np.maximum(0, 1 - np.abs(scaled)),
        "tanh": 1 - np.tanh(scaled) ** 2,
        "circ": (1 + scaled**2) ** -1.5,
        "heavi_erfc": 2 / np.sqrt(np.pi) * np.exp(-(scaled**2)),
    }[name]


def _spiking_layer(experiment: Experiment, matrix: F64, recurrent: F64, inputs: F64) -> Layer:
    model, dt = experiment.model, experiment.dt
    shape = (inputs.shape[1], len(matrix))
    v, d, z, b = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.full(shape, model.threshold)
    steps = []
    for x in inputs:
        current = x @ matrix.T + z @ recurrent.T
        if model.neuron == "if":
            u = v + current
        else:
            i = d + current
            u = v + dt / model.tau_mem * (0.0 - v + i)
            d = i * (1 - dt / model.tau_syn)
        if model.neuron == "alif":
            b = b + dt / model.tau_adapt * (model.threshold - b)
        z = (u > b).astype(np.float64)
        v = (1 - z) * u + z * 0.0
        steps.append((z, u, u - b, b))
        if model.neuron == "alif":
            b = b + model.beta * z
    return Layer(inputs, *(np.array(part) for part in zip(*steps, strict=True)))


def _spiking_backward(experiment: Experiment, layer: Layer, recurrent: F64, g_spikes: F64) -> F64:
    """Return the derivative by the layer's drive W x + V z_prev, (T, B, H)."""
    model, dt = experiment.model, experiment.dt
    full = model.reset_gradient == "full"
    slopes = surrogate(model.surrogate, model.surrogate_slope, layer.distances)
    g_drive = np.zeros_like(layer.spikes)
    g_v = g_d = g_b = g_next = np.zeros_like(layer.spikes[0])
    for t in reversed(range(len(layer.spikes))):
        z, u = layer.spikes[t], layer.voltages[t]
        g_z = g_spikes[t] + g_next @ recurrent
        if full:
            g_z = g_z - g_v * u
            g_z = g_z + model.beta * g_b * (model.neuron == "alif")
        g_u = g_v * (1 - z) + g_z * slopes[t]
        if full and model.neuron == "alif":
            g_b = (g_b - g_z * slopes[t]) * (1 - dt / model.tau_adapt)
        if model.neuron == "if":
            g_drive[t], g_v = g_u, g_u
        else:
            g_drive[t] = dt / model.tau_mem * g_u + (1 - dt / model.tau_syn) * g_d
            g_v, g_d = g_u * (1 - dt / model.tau_mem), g_drive[t]
        g_next = g_drive[t]
    return g_drive


def _penalty_backward(experiment: Experiment, layer: Layer) -> F64:
    client = experiment.client
    num_bins, batch, width = layer.spikes.shape
    rates = layer.spikes.mean((0, 1))
    slope = np.maximum(rates - client.rate_upper, 0) - np.maximum(client.rate_lower - rates, 0)
    return 2 * client.rate_strength / width * slope / (num_bins * batch)


def _integrate(experiment: Experiment, currents: F64) -> F64:
    model, dt = experiment.model, experiment.dt
    v, d, outputs = np.zeros_like(currents[0]), np.zeros_like(currents[0]), []
    for current in currents:
        i = d + current
        v = v + dt / model.tau_mem * (i - v)
        d = i * (1 - dt / model.tau_syn)
        outputs.append(v)
    return np.array(outputs)


def _readout_backward(experiment: Experiment, trace: Trace, labels: F64) -> F64:
    """Return the derivative by the readout's input currents, (T, B, K)."""
    model, dt, outputs = experiment.model, experiment.dt, trace.outputs
    g_logits = _softmax(trace.logits)
    g_logits[np.arange(len(labels)), labels] -= 1
    g_logits /= len(labels)
    g_out = np.zeros_like(outputs)
    if model.readout == "mean":
        g_out[:] = g_logits / len(outputs)
    elif model.readout == "last":
        g_out[-1] = g_logits
    else:
        np.put_along_axis(g_out, outputs.argmax(0)[None], g_logits[None], 0)
    if model.kind == "ann":
        return g_out
    g_currents = np.zeros_like(g_out)
    g_v = g_d = np.zeros_like(g_logits)
    for t in reversed(range(len(g_out))):
        g_v = g_v + g_out[t]
        g_d = dt / model.tau_mem * g_v + (1 - dt / model.tau_syn) * g_d
        g_currents[t] = g_d
        g_v = g_v * (1 - dt / model.tau_mem)
    return g_currents


def _ann_layer(experiment: Experiment, matrix: F64, recurrent: F64, inputs: F64) -> Layer:
    activation, steps = np.zeros((inputs.shape[1], len(matrix))), []
    for x in inputs:
        summed = x @ matrix.T + activation @ recurrent.T
        activation = np.where(summed > 0, summed, 0.01 * summed)
        steps.append((activation, summed, summed, summed))
    return Layer(inputs, *(np.array(part) for part in zip(*steps, strict=True)))


def _ann_backward(layer: Layer, recurrent: F64, g_activations: F64) -> F64:
    g_drive, g_next = np.zeros_like(layer.spikes), np.zeros_like(layer.spikes[0])
    for t in reversed(range(len(g_drive))):
        g_activation = g_activations[t] + g_next @ recurrent
        g_drive[t] = g_next = g_activation * np.where(layer.voltages[t] > 0, 1.0, 0.01)
    return g_drive


def _softmax(logits: F64) -> F64:
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)
