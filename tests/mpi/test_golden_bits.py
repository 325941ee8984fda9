"""Short runs give the bits that are recorded, and jobs keep their digests and names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import golden_bits

pytestmark = pytest.mark.mpi


def test_jobs_keep_their_digests_and_sweeps_the_names_of_their_runs() -> None:
    assert golden_bits.jobs() == json.loads(golden_bits.JOBS.read_text())


def test_masks_types_averages_and_server_optimisers_keep_their_bits(tmp_path: Path) -> None:
    assert golden_bits.toy_bits(tmp_path) == json.loads(golden_bits.TOY.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("engine", golden_bits.ENGINE_RUNS)
def test_each_engine_keeps_its_bits(tmp_path: Path, engine: str) -> None:
    recorded = json.loads(golden_bits.ENGINES.read_text())
    processor = golden_bits.processor()
    if processor not in recorded:
        pytest.skip(f"no bits are recorded for this kind of processor ({processor})")
    assert golden_bits.engine_bits(engine, tmp_path / "run") == recorded[processor][engine]
