"""What files of bits share: their JOB in all of its WAYS, on so many ranks."""

from __future__ import annotations

import pytest

from hpcfed.records.runfile import Record
from tests.mpi import ways
from tests.mpi.ways import OnRanks


@pytest.fixture(scope="module")
def on_ranks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OnRanks:
    """Return all ways of the module's job on so many ranks."""
    return ways.on_ranks(tmp_path_factory, request.module.JOB, request.module.WAYS)


@pytest.fixture(scope="module")
def alone(on_ranks: OnRanks) -> dict[str, Record]:
    """Return them on one rank."""
    return on_ranks(1)
