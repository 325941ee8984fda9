"""Operations and energy by hand, and S-VGG9's against an independent count of its activity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_files import record

from hpcfed.config.file import parse_experiment
from hpcfed.datasets.image_files import cifar
from hpcfed.errors import InputError
from hpcfed.learning.feed import Encoded
from hpcfed.networks import norms
from hpcfed.networks.contract import Pass
from hpcfed.networks.layout import initial_params
from hpcfed.networks.network import build_network
from hpcfed.networks.stack import products
from hpcfed.report.figures import energy
from hpcfed.samples.samples import Shape, shape_of

KEYS: dict[str, Any] = {
    "model.kind": "snn",
    "model.neuron": "leaky",
    "model.norm": "bntt",
    "model.readout": "current",
    "data.num_bins": 4,
}
FULL, RATES, VALUES = np.array([100.0, 1000.0, 10.0]), (0.5, 0.5, 0.25), (0.5, 0.125, 0.25)


def measured(**changes: Any) -> Any:
    found = record()
    evaluation = found.evaluation | {
        "weights": np.array(["hidden0.input", "hidden1.input", "readout"], object),
        "operations": FULL.astype(np.int64),
        "entering": np.array(RATES),
        "entering_value": np.array(VALUES),
        "layer_neurons": np.array([7, 3]),
        "layer_rates": np.array([0.1, 0.2]),
        "example_spikes": {"input": np.zeros((1, 3, 2, 2), np.uint8), "label": np.zeros(1)},
    }
    return record(evaluation=evaluation | changes)


def test_operations_follow_what_entered_by_either_counter() -> None:
    counts = {count.part: count for count in energy.operations(measured(), KEYS)}
    pooled = counts["hidden1.input"]
    assert (pooled.accumulates, pooled.by_value, pooled.twin) == (2000, 500, 1000)
    assert counts["neurons' own steps"].multiply_accumulates == 4 * 10 * 2
    total = counts["total"]
    assert (total.accumulates, total.by_value, total.twin) == (2210, 710, 1110)


def test_pixels_that_enter_as_they_are_are_multiplied() -> None:
    counts = energy.operations(measured(), KEYS | {"data.encoder": "direct"})
    assert (counts[0].accumulates, counts[0].multiply_accumulates) == (0, 400)


def test_both_tables_and_both_counters_stand_beside_each_ann() -> None:
    counts = energy.operations(measured(), KEYS)
    rows = list(energy.energy_rows(counts, [("another", 5000.0)]))
    assert len(rows) == 2 * len(energy.CONSTANTS) * len(energy.COUNTERS)
    first = rows[0]
    assert (first["ann"], first["constants"], first["counter"]) == (
        "same shape", "float32", "not zero",
    )  # fmt: skip
    assert first["snn_nj"] == pytest.approx((2210 * 0.9 + 80 * 4.6) / 1000)
    assert first["ann_nj"] == pytest.approx(1110 * 4.6 / 1000)
    assert first["ann_per_snn_of_weights"] == pytest.approx(1110 * 4.6 / (2210 * 0.9))
    last = rows[-1]
    assert (last["ann"], last["constants"], last["counter"]) == ("another", "int32", "by value")
    assert last["ann_per_snn"] == pytest.approx(5000 * 3.2 / (710 * 0.1 + 80 * 3.2))


def test_an_anns_run_says_what_it_multiplies() -> None:
    ann = KEYS | {"model.kind": "ann", "data.encoder": None}
    assert energy.ann_operations(measured(), ann) == 1110
    assert energy.ann_operations(measured(), ann | {"data.encoder": "direct"}) == 4440
    with pytest.raises(InputError, match="no run of an ANN"):
        energy.ann_operations(measured(), KEYS)
    with pytest.raises(InputError, match="no run of an ANN"):
        energy.ann_operations(record(evaluation={}), ann)


# ---- S-VGG9 of arXiv 2106.06579 at the start, T = 20: a quarter of the width, and operations
# of the full width, as in the independent count


def vgg9(width: int) -> list[int | str]:
    layers = [f"{width * k}c3" if k else "p2" for k in (1, 1, 0, 2, 2, 0, 4, 4, 4, 0)]
    return [*layers, 16 * width]


@pytest.fixture(scope="module")
def entering(test_data: Path) -> dict[str, float]:
    """Return the effective passes D of the network over its matrices, by counter."""
    images = cifar([test_data / "cifar10_subset" / "test_batch.bin"])
    experiment = parse_experiment(
        f"[model]\nhidden = {vgg9(16)}\n",
        [
            "data.dataset=cifar10", "data.num_bins=20", "model.neuron=leaky", "model.norm=bntt",
            "model.readout=current", "model.init=xavier", "model.init_scale=2.0",
        ],
    )  # fmt: skip
    network = build_network(experiment, shape_of(images))
    params = torch.tensor(initial_params(experiment.model, network.layout, 0))
    weights = {name: params[place].view(size) for name, place, size in network.layout.slices()}
    pixels = torch.tensor(Encoded(experiment, images, "signed-poisson").batch(np.arange(64)))
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(norms, "NORM_MOMENTUM", 1.0)  # the statistics of this batch
        statistics = network.forward(weights, pixels, Pass(learn=True)).statistics
        found = network.forward(weights | dict(statistics), pixels, Pass(learn=False)).entering
    full = products(parse_experiment(f"[model]\nhidden = {vgg9(64)}\n", []).model,
                    Shape((3, 32, 32), 10), 20)  # fmt: skip
    narrow = products(experiment.model, Shape((3, 32, 32), 10), 20)
    operations = np.array([product.operations for product in full], float)
    assert operations.sum() == 194_717_696
    shares = np.array([(found[one.name] / (64 * one.inputs)).numpy() for one in narrow])
    passes = 20 * operations @ shares / operations.sum()
    return {"not zero": float(passes[0]), "by value": float(passes[1])}


def test_the_activity_of_svgg9_is_that_of_an_independent_count(entering: dict[str, float]) -> None:
    assert entering["not zero"] == pytest.approx(6.25, rel=0.03)
    assert entering["by value"] == pytest.approx(4.95, rel=0.03)


def test_its_energy_beside_the_same_shape_depends_on_the_constants(
    entering: dict[str, float],
) -> None:
    dense = 1000.0
    spikes = {name: passes * dense for name, passes in entering.items()}
    total = energy.Count("total", spikes["not zero"], spikes["by value"], 0.0, dense)
    none = energy.Count("neurons' own steps", 0.0, 0.0, 0.0, 0.0)
    rows = {(row["constants"], row["counter"]): row["ann_per_snn"]
            for row in energy.energy_rows([total, none, total])}  # fmt: skip
    assert rows["float32", "not zero"] == pytest.approx(0.81, rel=0.03)
    assert rows["int32", "not zero"] == pytest.approx(5.12, rel=0.03)
    assert rows["float32", "by value"] == pytest.approx(1.03, rel=0.03)
    assert rows["int32", "by value"] == pytest.approx(6.5, rel=0.03)
