"""What a rule brings: memories that survive ranks and kills, figures in the run file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray

from hpcfed.records.runfile import Record, read_record
from hpcfed.records.schema import RUN_FILE
from tests.mpi.launch import toy, toy_runs
from tests.toy_world import FAULT_VARIABLE

pytestmark = pytest.mark.mpi

KEEPS = ("rule.kind=tests.toy_world:KEEPS", "server.rounds=6")
FEEDBACK = ("uplink.mask=top-k", "uplink.mask_probability=0.75", "uplink.error_feedback=true")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder = tmp_path_factory.mktemp("whole")
    return toy_runs(1, folder, KEEPS, (*KEEPS, *FEEDBACK), ("server.rounds=6",))


@pytest.mark.parametrize("num_ranks", [2, 3, 5])
def test_memories_give_the_same_bits_on_any_number_of_ranks(
    tmp_path: Path, whole: list[Record], num_ranks: int
) -> None:
    found = toy_runs(num_ranks, tmp_path, KEEPS, (*KEEPS, *FEEDBACK))
    for ours, alone in zip(found, whole, strict=False):
        assert ours.params.tobytes() == alone.params.tobytes()
    assert whole[0].params.tobytes() != whole[2].params.tobytes()  # the memory counts


@pytest.mark.parametrize("index", [0, 1], ids=["its own", "beside error feedback"])
def test_a_killed_run_goes_on_with_its_memories(
    tmp_path: Path, whole: list[Record], index: int
) -> None:
    sets = (KEEPS, (*KEEPS, *FEEDBACK))[index]
    fault = {FAULT_VARIABLE: '{"do": "SIGKILL", "round": 4}'}
    assert toy(2, tmp_path / "a", *sets, environment=fault).rc != 0
    assert read_record(tmp_path / "a").checkpoint["memory"] == "memory-4.npy"
    ended = toy(3, tmp_path / "a", *sets, options=["--resume"])
    assert ended.rc == 0, ended.stderr
    record = read_record(tmp_path / "a")
    assert record.params.tobytes() == whole[index].params.tobytes()
    np.testing.assert_array_equal(record.log.rounds["age"], whole[index].log.rounds["age"])


def test_figures_are_columns_of_rounds_and_participations(
    tmp_path: Path, whole: list[Record]
) -> None:
    record = whole[0]
    took_part = record.log.participated(7)
    before = np.cumsum(took_part, axis=0) - took_part
    ages = np.where(took_part, before, np.nan)
    np.testing.assert_array_equal(record.log.table("age", 7), ages)
    weights = took_part * record.clients["num_samples"]
    mean = (weights * before).sum(axis=1) / weights.sum(axis=1)
    np.testing.assert_allclose(record.log.rounds["age"], mean)
    assert record.log.figures["age"] == ("f8", "1", "rounds trained before")
    assert "age" not in whole[2].log.rounds


def test_a_rule_that_gives_other_figures_than_it_says_is_bad_input(tmp_path: Path) -> None:
    ended = toy(2, tmp_path / "a", "rule.kind=tests.toy_world:SAYS_LESS")
    assert ended.rc == 2
    assert "training gave the figures ['age'], and the rule says []" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_xarray_opens_a_rules_figures(tmp_path: Path) -> None:
    assert toy(2, tmp_path / "a", *KEEPS).rc == 0
    path = tmp_path / "a" / RUN_FILE
    with xarray.open_dataset(path, group="rounds", engine="h5netcdf") as rounds:
        assert rounds["age"].attrs["description"] == "rounds trained before"
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        assert tree["participations"]["age"].dims == ("participation",)
