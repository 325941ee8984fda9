"""The file that is written says, by NIR's own equations, what hpcfed computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from hpcfed.export.run import Export, export
from tests.nir_reference import Simulation
from tests.nir_runs import BINS, experiment, own_logits, random_input, write_run

EVENTS, PICTURES = (7,), (2, 8, 6)
LOW = {"threshold": 0.3}  # so that LIF neurons of random weights spike
LEAKY = {"neuron": "leaky", "leak": 0.8, "surrogate": "tanh"}  # without compiled code
NORM = {"norm": "batch", "norm_shift": True}
MODELS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "lif": (EVENTS, {"hidden": [6, 5], **LOW}),
    "lif, recurrent": (EVENTS, {"hidden": [6, 5], "recurrent": True, **LOW}),
    "if": (EVENTS, {"hidden": [6], "neuron": "if", "readout": "last"}),
    "if, recurrent": (EVENTS, {"hidden": [6, 5], "neuron": "if", "recurrent": True}),
    "to zero": (EVENTS, {"hidden": [6, 5], **LEAKY, "reset": "zero", "readout": "current"}),
    "to zero, no leak": (EVENTS, {"hidden": [6], **LEAKY, "leak": 1.0, "reset": "zero"}),
    "subtract": (EVENTS, {"hidden": [6, 5], **LEAKY, "recurrent": True}),
    "subtract, no leak": (EVENTS, {"hidden": [6, 5], **LEAKY, "leak": 1.0}),
    "no reset": (EVENTS, {"hidden": [6, 5], **LEAKY, "reset": "none", "threshold": 1.5}),
    "fire first": (EVENTS, {"hidden": [6, 5], **LEAKY, "fire_first": True, "recurrent": True}),
    "fire first, to zero": (EVENTS, {"hidden": [6], **LEAKY, "fire_first": True, "reset": "zero"}),
    "maximum": (EVENTS, {"hidden": [6], "readout": "max"}),
    "norm": (EVENTS, {"hidden": [6, 5], **NORM, "recurrent": True}),
    "pictures": (PICTURES, {"hidden": ["4c3", "p2", "d0.3", "5c3s2p0", 6], **LEAKY, **NORM}),
    "pooled twice": (PICTURES, {"hidden": ["4c3", "p2", "p2", 6], **LOW}),
    "all pixels": (PICTURES, {"hidden": ["p2", "4c3", "p"], **LEAKY, "norm": "batch"}),
    "groups": (PICTURES, {"hidden": ["4c3", "6c3g2"], **LOW}),
    "separable": (PICTURES, {"hidden": ["4c3", "6x3", "4x3s2"], **NORM}),
    "residual": (PICTURES, {"hidden": ["4c3", ["4c3", "4c3"], ["6c3s2", "6c3"], 5], **NORM, **LOW}),
    "residual behind a pool": (PICTURES, {"hidden": ["4c3", "p2", ["4c3", "4c3"]], **LEAKY}),
    "dense residual": (EVENTS, {"hidden": [7, [7, 7], [7, 5]], "residual": "spike-add", **LOW}),
    "added spikes": (
        PICTURES,
        {"hidden": ["4c3", "p2", ["4c3", "4c3"], ["6c3s2", "6c3"], "p"],
         "residual": "spike-add", **LEAKY},
    ),
}  # fmt: skip


def logits(graph: nir.NIRGraph, outputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what the graph's metadata makes of ``outputs`` (T, B, K)."""
    weights = graph.metadata.get("readout_weights")
    return outputs.max(0) if weights is None else np.tensordot(weights, outputs, 1)


def simulated(path: Path, spikes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    graph = nir.read(path)
    return logits(graph, Simulation(graph, graph.metadata["time_step"]).run(spikes))


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_has_the_networks_logits(tmp_path: Path, name: str) -> None:
    inputs, model = MODELS[name]
    run = write_run(tmp_path / "run", experiment(model), inputs)
    spikes = random_input(inputs)
    expected = own_logits(run, spikes)
    path = export(Export(run, tmp_path / "net.nir"))
    np.testing.assert_allclose(simulated(path, spikes), expected, atol=1e-5)


@pytest.mark.parametrize("readout", ["mean", "last"])
def test_a_graph_may_end_in_the_readouts_voltage(tmp_path: Path, readout: str) -> None:
    run = write_run(tmp_path / "run", experiment({"hidden": [6], "readout": readout}), EVENTS)
    spikes = random_input(EVENTS)
    path = export(Export(run, tmp_path / "net.nir", voltage=True))
    assert type(nir.read(path).nodes["4_readout_voltage"]) is nir.CubaLI
    np.testing.assert_allclose(simulated(path, spikes), own_logits(run, spikes), atol=1e-9)


@pytest.mark.parametrize("model", [{"hidden": [6]}, {"hidden": [6], **LEAKY, "fire_first": True}])
def test_time_constants_may_be_those_of_another_step(tmp_path: Path, model: dict[str, Any]) -> None:
    run = write_run(tmp_path / "run", experiment(model), EVENTS)
    spikes = random_input(EVENTS)
    path = export(Export(run, tmp_path / "net.nir", time_step=1e-4, voltage=True))
    assert nir.read(path).metadata["time_step"] == 1e-4
    np.testing.assert_allclose(simulated(path, spikes), own_logits(run, spikes), atol=1e-9)


def test_norms_that_are_alike_in_all_bins_are_written(tmp_path: Path) -> None:
    from hpcfed.records.runfile import read_record, write_record

    made = experiment({"hidden": [6], "norm": "bntt"})
    run = write_run(tmp_path / "run", made, EVENTS)
    record = read_record(run)
    start = 0
    for name, shape in zip(*record.layout, strict=True):
        size = int(np.prod(shape))
        if shape[0] == BINS:
            part = record.params[start : start + size].reshape(shape)
            part[:] = part[0].copy()
            assert name.startswith("hidden0.")
        start += size
    write_record(run / "run.h5", record)
    spikes = random_input(EVENTS)
    path = export(Export(run, tmp_path / "net.nir"))
    np.testing.assert_allclose(simulated(path, spikes), own_logits(run, spikes), atol=1e-5)


def test_weights_that_are_signs_are_written_as_such(tmp_path: Path) -> None:
    made = experiment(
        {"hidden": [6], "threshold": 0.3},
        rule={"kind": "straight-through", "binary": {"scale": 1.5}},
    )
    run = write_run(tmp_path / "run", made, EVENTS)
    graph = nir.read(export(Export(run, tmp_path / "net.nir")))
    weights = graph.nodes["1_hidden0_weights"].weight
    assert sorted(set(weights.ravel().tolist())) == pytest.approx(
        [-1.5 / np.sqrt(7), 1.5 / np.sqrt(7)]
    )
