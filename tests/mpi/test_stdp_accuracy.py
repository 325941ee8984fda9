"""Neurons that compete learn digits without labels, alone and federated.

The bounds are wide: docs/studies.md has the figures of five seeds.
"""

from __future__ import annotations

import numpy as np
import pytest

from hpcfed.records.runfile import read_record
from tests.mpi import ways
from tests.mpi.in_turn import Run
from tests.places import REPOSITORY

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

CENTRAL = ("partition.num_clients=1",)
UNION = ("rule.stdp.blocks=4", "uplink.mask=groups", "uplink.groups=1")
WAYS = {
    f"{name} {seed}": (*sets, f"seed={seed}")
    for name, sets in {"central": CENTRAL, "by spikes": (), "union": UNION}.items()
    for seed in range(2)
}


@pytest.fixture(scope="module")
def accuracies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Return the mean over two seeds of what each way reads of unknown writers."""
    job = (REPOSITORY / "jobs" / "stdp.toml").read_text()
    folder = tmp_path_factory.mktemp("stdp")
    ways.train(folder, 2, [Run(job, sets, str(folder / name)) for name, sets in WAYS.items()])
    records = {name: read_record(folder / name) for name in WAYS}
    names = {name.rsplit(" ", 1)[0] for name in WAYS}
    return {
        name: float(
            np.mean([records[f"{name} {s}"].log.rounds["test_accuracy"][-1] for s in range(2)])
        )
        for name in names
    }


def test_three_passes_over_digits_are_enough_to_read_them(accuracies: dict[str, float]) -> None:
    assert accuracies["central"] >= 0.82


@pytest.mark.parametrize("name", ["by spikes", "union"])
def test_four_clients_read_nearly_as_well_as_one(accuracies: dict[str, float], name: str) -> None:
    assert abs(accuracies[name] - accuracies["central"]) <= 0.05
