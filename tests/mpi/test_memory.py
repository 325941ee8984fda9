"""A thousand clients on two ranks: aggregation needs little beyond the model and the data."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from hpcfed.records.runfile import read_record
from tests.mpi.launch import mpirun

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize(
    "uplink",
    [
        ["uplink.transport=gather"],
        ["uplink.transport=reduce"],
        ["uplink.transport=gather", "uplink.mask=top-k", "uplink.mask_probability=0.5",
         "server.average=received"],
    ],
    ids=["gather", "reduce", "gather top-k"],
)  # fmt: skip
def test_a_thousand_clients_need_at_most_200_mb(tmp_path: Path, uplink: list[str]) -> None:
    ended = mpirun(2, "-m", "tests.mpi.memory_run", str(tmp_path / "a"), *uplink, limit_s=120)
    assert ended.rc == 0, ended.stderr
    needed = [int(figure) for figure in re.findall(r"needed (-?\d+) MiB", ended.stdout)]
    assert len(needed) == 2
    assert sum(needed) * 2**20 <= 200e6  # over both ranks together
    record = read_record(tmp_path / "a")
    assert record.log.rounds["num_participants"] == [1000]
    assert record.params.size == 110_000
    if "uplink.mask=top-k" not in uplink:
        mean = np.mean(np.arange(1000) % 7)
        moved = record.params - mean
        assert np.abs(moved).max() <= 1  # initial weights lie within 1 / sqrt(5)
