"""The image quickstart learns the digits of unknown writers, and nothing where there is nothing.

The bounds are wide: docs/studies.md has the figures of three seeds.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcfed.records.runfile import read_record
from tests.mpi.launch import mpirun

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

ANN = ("model.kind=ann", "model.norm=batch", "model.norm_shift=true", "client.learning_rate=0.02")


def accuracy(out: Path, *overrides: str) -> float:
    sets = [part for item in overrides for part in ("--set", item)]
    ended = mpirun(2, "-m", "hpcfed", "run", "digits", "--quiet", "--out", str(out), *sets,
                   limit_s=250)  # fmt: skip
    assert ended.rc == 0, ended.stderr
    return float(read_record(out).log.rounds["test_accuracy"][-1])


def test_a_convolutional_spiking_network_reads_unknown_writers(tmp_path: Path) -> None:
    assert 0.8 < accuracy(tmp_path / "a") < 0.92


def test_its_twin_without_time_reads_more(tmp_path: Path) -> None:
    assert accuracy(tmp_path / "a", *ANN) > 0.92


def test_statistics_that_are_not_averaged_are_what_it_needs(tmp_path: Path) -> None:
    """As public federated code forgets them; docs/studies.md has 15 rounds of three seeds."""
    found = accuracy(tmp_path / "a", "model.norm_federate=affine", "server.rounds=6")
    assert found < 0.45  # averaged, it reads more than half of them after three rounds


def test_with_permuted_labels_it_stays_near_chance(tmp_path: Path) -> None:
    permuted = "data.dataset=tests.permuted_labels:load_images"
    found = accuracy(tmp_path / "a", permuted, "data.encoder=signed-poisson", "server.rounds=5")
    assert abs(found - 0.1) < 0.05
