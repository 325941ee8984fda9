"""norse and snnTorch read the file by their own importers, and come to hpcfed's logits.

They compute in float32, in another order: a potential within 1e-6 of the threshold may fall on the
other side of it, and then one spike is another. A sample whose logits are further away than
TOLERANCE has such a spike; there are few.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nir
import nirtorch
import numpy as np
import pytest
import torch

import hpcfed
from hpcfed.config.file import parse_experiment
from hpcfed.datasets import load
from hpcfed.export.run import Export, export
from hpcfed.learning.model import model_of
from hpcfed.records.runfile import read_record
from tests.nir_runs import experiment, own_logits, random_input, write_run

Values = np.ndarray[Any, Any]
TOLERANCE, FEW = 1e-4, 0.02
SNNTORCH_STEP = 1e-4  # what its importer takes every file's step for


def by_norse(graph: nir.NIRGraph, inputs: Values) -> Values:
    """Return the logits (B, K) by norse of ``inputs`` (T, B, ...)."""
    from norse.torch.utils.import_nir import from_nir

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of nirtorch, which norse calls
        module = from_nir(graph, dt=float(graph.metadata["time_step"]))
    return in_steps(graph, module, inputs)


def by_snntorch(graph: nir.NIRGraph, inputs: Values) -> Values:
    """Return the logits (B, K) by snnTorch of ``inputs`` (T, B, ...)."""
    pytest.importorskip("snntorch")
    from snntorch.import_nir import import_from_nir

    assert graph.metadata["time_step"] == SNNTORCH_STEP
    return in_steps(graph, import_from_nir(graph), inputs)


def in_steps(graph: nir.NIRGraph, module: torch.nn.Module, inputs: Values) -> Values:
    state, outputs = None, []
    with torch.no_grad():
        for entering in torch.from_numpy(inputs):
            sent, state = module(entering, state)
            outputs.append(sent.numpy())
    return np.tensordot(graph.metadata["readout_weights"], np.stack(outputs), 1)


def check(found: Values, expected: Values) -> None:
    away = np.abs(found - expected).max(1) > TOLERANCE
    assert away.mean() <= FEW, np.abs(found - expected).max(1)
    assert np.abs(expected).max() > 10 * TOLERANCE


READERS = pytest.mark.parametrize(
    ("read", "step"), [(by_norse, None), (by_snntorch, SNNTORCH_STEP)], ids=["norse", "snntorch"]
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run on spoken digits."""
    folder = tmp_path_factory.mktemp("nir") / "run"
    settings = [
        "data.duration=0.7", "data.num_bins=30", "data.classes=[0, 1, 2, 3, 4]",
        "model.hidden=[12]", "model.tau_syn=0.025", "model.tau_mem=0.025", "model.init_scale=4.0",
        "client.learning_rate=0.01", "client.engine=norse", "server.rounds=1",
    ]  # fmt: skip
    hpcfed.run(parse_experiment("", settings), out=folder)
    return folder


@READERS
def test_readers_have_the_test_sets_logits(
    trained: Path, tmp_path: Path, read: Any, step: float | None
) -> None:
    model = model_of(read_record(trained), "", trust=False)
    data = load(model.experiment.data)
    assert data.test is not None
    graph = nir.read(export(Export(trained, tmp_path / "net.nir", time_step=step)))
    found = read(graph, data.test.dense(data.test_ids))
    check(found, model.logits(data.test, data.test_ids))


@READERS
@pytest.mark.parametrize(
    "model",
    [
        {"hidden": [6, 5], "recurrent": True, "threshold": 0.3},
        {"hidden": [6, 5], "norm": "batch", "norm_shift": True, "readout": "last"},
        {"hidden": [6, 5], "neuron": "leaky", "reset": "zero", "readout": "current"},
        {"hidden": [6, 5], "neuron": "leaky", "reset": "zero", "recurrent": True},
    ],
)
def test_readers_have_the_logits_of_other_networks(
    tmp_path: Path, read: Any, step: float | None, model: dict[str, Any]
) -> None:
    run = write_run(tmp_path / "run", experiment(model), (7,))
    spikes = random_input((7,), samples=20)
    graph = nir.read(export(Export(run, tmp_path / "net.nir", time_step=step)))
    check(read(graph, spikes), own_logits(run, spikes))


def test_norse_has_the_logits_of_neurons_that_integrate(tmp_path: Path) -> None:
    model = {"hidden": [6, 5], "neuron": "if", "recurrent": True}
    run = write_run(tmp_path / "run", experiment(model), (7,))
    spikes = random_input((7,), samples=20)
    graph = nir.read(export(Export(run, tmp_path / "net.nir")))
    check(by_norse(graph, spikes), own_logits(run, spikes))


@READERS
def test_readers_have_the_logits_of_pictures_one_by_one(
    tmp_path: Path, read: Any, step: float | None
) -> None:
    """One by one: Flatten counts axes without a batch, and both count that of a batch as one."""
    model = {"hidden": ["4c3", "p2", "d0.3", "6c3s2g2", 6], "norm": "batch", "threshold": 0.3}
    run = write_run(tmp_path / "run", experiment(model), (2, 8, 6))
    spikes = random_input((2, 8, 6))
    path = export(Export(run, tmp_path / "net.nir", time_step=step))
    found = [read(nir.read(path), spikes[:, one])[None] for one in range(spikes.shape[1])]
    check(np.concatenate(found), own_logits(run, spikes))


def affine(node: nir.Affine) -> torch.nn.Linear:
    """Return what nirtorch's own does not: a layer with the node's bias."""
    layer = torch.nn.Linear(node.weight.shape[1], node.weight.shape[0])
    layer.weight.data, layer.bias.data = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
    return layer


class Leaky(torch.nn.Module):
    """The membrane of neurons that subtract, as nirtorch may have it."""

    def __init__(self, node: Any, step: float) -> None:
        super().__init__()
        part = torch.from_numpy(step / node.tau).float() if hasattr(node, "tau") else None
        self.keep, self.drive = (1.0, 1.0) if part is None else (1 - part, part)

    def forward(self, x: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the voltage twice: to send, and to keep."""
        voltage = self.drive * x if state is None else self.keep * state + self.drive * x
        return voltage, voltage


class Stateless(torch.nn.Module):
    """A function of what flows in, and of a node's values."""

    def __init__(self, values: Values, function: Any) -> None:
        super().__init__()
        self.values, self.function = torch.from_numpy(values).float(), function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the function's value."""
        return self.function(x, self.values)


@pytest.mark.parametrize(
    ("inputs", "model"),
    [
        ((7,), {"hidden": [6, [6, 6], 5], "recurrent": True}),
        ((7,), {"hidden": [6], "leak": 1.0, "reset": "none"}),
        ((2, 8, 6), {"hidden": ["4c3", "p2", ["4c3", "4c3"], "p", 5], "norm": "batch"}),
    ],
)
def test_nirtorch_has_the_logits_of_neurons_that_subtract(
    tmp_path: Path, inputs: tuple[int, ...], model: dict[str, Any]
) -> None:
    leaky = {"neuron": "leaky", "surrogate": "tanh"}  # without compiled code
    run = write_run(tmp_path / "run", experiment(model | leaky), inputs)
    spikes = random_input(inputs)
    graph = nir.read(export(Export(run, tmp_path / "net.nir")))
    step = float(graph.metadata["time_step"])
    modules = {
        nir.Affine: affine,
        nir.LI: lambda node: Leaky(node, step),
        nir.I: lambda node: Leaky(node, step),
        nir.Threshold: lambda node: Stateless(node.threshold, lambda x, above: (x > above).float()),
        nir.Scale: lambda node: Stateless(node.scale, torch.mul),
    }
    found = [
        in_steps(graph, nirtorch.nir_to_torch(graph, modules), spikes[:, one])[None]
        for one in range(spikes.shape[1])
    ]
    check(np.concatenate(found), own_logits(run, spikes))
