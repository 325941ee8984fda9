"""S-VGG9 at a quarter of its width learns a part of CIFAR-10 within an epoch, as elsewhere.

An independent count had 25 % after one epoch of 2000 images (chance: 10 %), rates of 0.18 to 0.26
(docs/studies.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcfed.records.runfile import read_record
from tests.mpi.launch import mpirun

pytestmark = [pytest.mark.mpi, pytest.mark.slow, pytest.mark.timeout(630)]

NARROW = '["16c3","16c3","p2","32c3","32c3","p2","64c3","64c3","64c3","p2",256]'


def test_a_narrow_svgg9_learns_two_thousand_images(tmp_path: Path, test_data: Path) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (folder / name).symlink_to(test_data / "cifar10_subset" / name)
    sets = [
        f"data.dataset=images:{folder}", "data.num_bins=8", f"model.hidden={NARROW}",
        "partition.num_clients=1", "participation.clients_per_round=1", "client.epochs=1",
        "server.rounds=1",
    ]  # fmt: skip
    options = [part for item in sets for part in ("--set", item)]
    out = str(tmp_path / "a")
    ended = mpirun(1, "-m", "hpcfed", "run", "fedsnn", "--quiet", "--out", out, *options,
                   limit_s=600)  # fmt: skip
    assert ended.rc == 0, ended.stderr
    found = read_record(tmp_path / "a")
    assert found.log.rounds["test_accuracy"][0] > 0.18
    rates = np.asarray(found.evaluation["layer_rates"])
    assert 0.1 < rates.mean() < 0.3
