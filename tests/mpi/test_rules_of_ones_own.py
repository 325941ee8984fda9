"""What a rule brings: memories that survive ranks and kills, figures in the run file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray

from hpcfed.records.runfile import Record, read_record
from hpcfed.records.schema import RUN_FILE
from tests.mpi.in_turn import Run
from tests.mpi.launch import toy
from tests.mpi.ways import TOY, train
from tests.places import PLAIN

pytestmark = pytest.mark.mpi

KEEPS = ("rule.kind=tests.toy_world:KEEPS", "server.rounds=6")
FEEDBACK = ("uplink.mask=top-k", "uplink.mask_probability=0.75", "uplink.error_feedback=true")
WAYS = {"its own": KEEPS, "beside error feedback": (*KEEPS, *FEEDBACK)}
LEFT = "{}, left"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of all runs: two ranks leave some as a kill would, and three go on."""
    folder = tmp_path_factory.mktemp("rules")

    def runs(num_ranks: int) -> list[Run]:
        here = folder / str(num_ranks)
        return [
            Run(TOY, sets, str(here / name), cut=5 if num_ranks == 2 else 0,
                left=str(folder / LEFT.format(name)))
            for name, sets in WAYS.items()
        ]  # fmt: skip

    train(folder / "1", 1, [*runs(1), Run(TOY, ("server.rounds=6",), str(folder / "1" / "none"))])
    train(folder / "2", 2, runs(2), PLAIN)
    for name in WAYS:
        shutil.copytree(folder / LEFT.format(name), folder / name)
    rest = [Run(TOY, sets, str(folder / name), resume=True) for name, sets in WAYS.items()]
    train(folder / "3", 3, [*runs(3), *rest], PLAIN)
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, Record]:
    return {name: read_record(folder / "1" / name) for name in (*WAYS, "none")}


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_memories_give_the_same_bits_on_any_number_of_ranks(
    folder: Path, whole: dict[str, Record], num_ranks: int
) -> None:
    for name in WAYS:
        found = read_record(folder / str(num_ranks) / name)
        assert found.params.tobytes() == whole[name].params.tobytes()
    assert whole["its own"].params.tobytes() != whole["none"].params.tobytes()  # the memory counts


@pytest.mark.parametrize("name", WAYS)
def test_a_killed_run_goes_on_with_its_memories(
    folder: Path, whole: dict[str, Record], name: str
) -> None:
    left = read_record(folder / LEFT.format(name))
    assert left.checkpoint["memory"] == "memory-4.npy"
    record = read_record(folder / name)
    assert [attempt["num_ranks"] for attempt in record.attempts] == [2, 3]
    assert record.params.tobytes() == whole[name].params.tobytes()
    np.testing.assert_array_equal(record.log.rounds["age"], whole[name].log.rounds["age"])


def test_figures_are_columns_of_rounds_and_participations(whole: dict[str, Record]) -> None:
    record = whole["its own"]
    took_part = record.log.participated(7)
    before = np.cumsum(took_part, axis=0) - took_part
    ages = np.where(took_part, before, np.nan)
    np.testing.assert_array_equal(record.log.table("age", 7), ages)
    weights = took_part * record.clients["num_samples"]
    mean = (weights * before).sum(axis=1) / weights.sum(axis=1)
    np.testing.assert_allclose(record.log.rounds["age"], mean)
    assert record.log.figures["age"] == ("f8", "1", "rounds trained before")
    assert "age" not in whole["none"].log.rounds


def test_a_rule_that_gives_other_figures_than_it_says_is_bad_input(tmp_path: Path) -> None:
    ended = toy(2, tmp_path / "a", "rule.kind=tests.toy_world:SAYS_LESS")
    assert ended.rc == 2
    assert "training gave the figures ['age'], and the rule says []" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_xarray_opens_a_rules_figures(folder: Path) -> None:
    path = folder / "2" / "its own" / RUN_FILE
    with xarray.open_dataset(path, group="rounds", engine="h5netcdf") as rounds:
        assert rounds["age"].attrs["description"] == "rounds trained before"
    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        assert tree["participations"]["age"].dims == ("participation",)
