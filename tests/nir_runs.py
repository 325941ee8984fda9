"""Run files of networks with random weights, and what hpcfed itself says of random input.

T time bins, B batch, K classes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hpcfed.config import Experiment
from hpcfed.config.file import digest, to_toml
from hpcfed.networks.layout import Part
from hpcfed.networks.stack import stack_layout
from hpcfed.records.runfile import read_record, write_record
from hpcfed.samples.samples import Shape
from tests.run_files import record

BINS, NAMES = 12, ("zero", "one", "two")


def experiment(model: dict[str, Any], **tables: dict[str, Any]) -> Experiment:
    """Return an experiment of 12 bins of 10 ms with this ``[model]``."""
    data = {"duration": 0.01 * BINS, "num_bins": BINS} | tables.pop("data", {})
    return Experiment.model_validate({"data": data, "model": model, **tables})


def write_run(
    folder: Path, made: Experiment, inputs: tuple[int, ...], names: tuple[str, ...] = NAMES
) -> Path:
    """Write a run of ``made`` on inputs of a shape, with random weights; return its folder."""
    layout = stack_layout(made.model, Shape(inputs, len(names)), BINS)
    rng = np.random.default_rng(3)
    parts = [_drawn(part, rng) for part in layout.parts]
    found = record(params=np.concatenate(parts), layout=(layout.names, layout.shapes))
    attributes = found.attributes | {"config_toml": to_toml(made), "config_digest": digest(made)}
    axes = (1, *inputs) if len(inputs) > 1 else (1, BINS, *inputs)
    examples = {"input": np.zeros(axes, np.uint8), "label": np.array([1])}
    label = np.array(names, object)
    evaluation = {"split": "test", "round": 3, "label": label, "example_spikes": examples}
    whole = record(
        params=found.params, layout=found.layout, attributes=attributes, evaluation=evaluation
    )
    folder.mkdir(exist_ok=True)
    write_record(folder / "run.h5", whole)
    return folder


def without_evaluation(run: Path) -> None:
    """Leave out what the last evaluation of ``run`` has said, as of a run that had none."""
    write_record(run / "run.h5", replace(read_record(run), evaluation={}))


def _drawn(part: Part, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Return values that make neurons spike, of a norm such that no gain is one."""
    kind = part.name.rpartition(".")[2]
    values = rng.normal(0, 2.5 / np.sqrt(part.fan_in), part.size)
    if kind in ("scale", "variance", "factor"):
        values = rng.uniform(0.5, 1.5, part.size)
    if kind in ("mean", "shift"):
        values = rng.normal(0, 0.2, part.size)
    return values.astype(np.float32)


def random_input(inputs: tuple[int, ...], samples: int = 6) -> np.ndarray[Any, Any]:
    """Return random spikes of either sign (T, B, *inputs), or of one where they are events."""
    rng = np.random.default_rng(4)
    spikes = (rng.random((BINS, samples, *inputs)) < 0.3).astype(np.float32)
    if len(inputs) > 1:
        spikes *= rng.choice(np.float32([-1, 1]), spikes.shape)
    return spikes


def own_logits(folder: Path, spikes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return hpcfed's logits (B, K) of ``spikes`` (T, B, ...), in float64, and check they spike."""
    import torch

    from hpcfed.learning.model import model_of
    from hpcfed.networks.contract import Pass
    from hpcfed.networks.network import build_network

    model = model_of(read_record(folder), "", trust=False)
    network = build_network(model.experiment, Shape(spikes.shape[2:], len(NAMES)))
    weights = {
        name: torch.from_numpy(np.array(part, np.float64)) for name, part in model.weights().items()
    }
    with torch.no_grad():
        found = network.forward(weights, torch.from_numpy(spikes).double(), Pass(learn=False))
    for layer in found.spikes:
        assert 0.02 < layer.double().mean() < 0.9
    return found.logits.numpy()
