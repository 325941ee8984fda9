"""Run files of schema 1 are read for ever: shown, reported, collected, warm-started, resumed.

tests/golden/schema1 holds two, of jobs like the quickstart with two classes, 4 clients and 2
rounds: ``plain`` begins with HDF5's own bytes, ``blocked`` with the digest that came later.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from hpcfed.config.file import parse_experiment
from hpcfed.federation.run import Request, run
from hpcfed.records.columns import read_columns
from hpcfed.records.runfile import read_record, write_record
from hpcfed.records.schema import RUN_FILE
from hpcfed.report.runs import find
from hpcfed.report.summary import summary
from scripts import run_script, table
from tests.places import GOLDEN

FOLDER = GOLDEN / "schema1"
BOTH = pytest.mark.parametrize("name", ["plain", "blocked"])


@BOTH
def test_numbers_come_out_of_the_old_tables(name: str) -> None:
    record = read_record(FOLDER / name)
    with h5py.File(FOLDER / name / RUN_FILE) as file:
        assert file.attrs["schema_version"] == 1
        took_part = file["clients/participated"][()] == 1
        losses = file["clients/train_loss"][()]
        accuracy = file["rounds/test_accuracy"][()]
    assert 0 < took_part.sum() < took_part.size
    assert record.log.participated(4).tolist() == took_part.tolist()
    np.testing.assert_array_equal(record.log.table("train_loss", 4), losses)
    assert record.log.rounds["test_accuracy"] == accuracy.tolist()
    assert np.isnan(record.log.rounds["test_brier_score"]).all()
    assert record.layout[1] == ((2, 700), (2, 2), (2, 2))
    columns = read_columns(FOLDER / name / RUN_FILE, with_clients=True)
    np.testing.assert_array_equal(columns.participations["train_loss"], losses[took_part])
    assert columns.rounds["test_accuracy"].tolist() == accuracy.tolist()


@BOTH
def test_they_are_shown_and_reported(name: str, tmp_path: Path) -> None:
    assert ("rounds", "2") in summary(FOLDER / name / RUN_FILE)
    assert [found.columns.attributes["status"] for found in find(FOLDER / name).runs] == [
        "finished"
    ]
    run_script("clients", FOLDER / name, "--out", tmp_path / "c.png")
    rows = table(tmp_path / "c.csv")
    assert sum(int(row["rounds_participated"]) for row in rows) == 6


@BOTH
def test_written_again_they_are_of_the_schema_of_today(name: str, tmp_path: Path) -> None:
    old = read_record(FOLDER / name)
    write_record(tmp_path / RUN_FILE, old)
    new = read_record(tmp_path)
    assert new.log.num_rounds == 2
    for column, values in old.log.rows().items():
        np.testing.assert_array_equal(new.log.rows()[column], values, err_msg=column)
    assert (new.layout, new.checkpoint["memory"]) == (old.layout, old.checkpoint["memory"])
    with h5py.File(tmp_path / RUN_FILE) as file:
        assert file.attrs["schema_version"] == 2


def test_a_run_with_residuals_goes_on_from_them(tmp_path: Path) -> None:
    shutil.copytree(FOLDER / "blocked", tmp_path / "a")
    old = read_record(tmp_path / "a")
    text = str(old.attributes["config_toml"])
    experiment = parse_experiment(text, ["server.rounds=3"])
    run(Request(lambda: experiment, tmp_path / "a", resume=True))
    new = read_record(tmp_path / "a")
    assert new.log.num_rounds == 3
    for column, values in old.log.rows().items():
        np.testing.assert_array_equal(new.log.rows()[column][: len(values)], values)
    assert not np.isnan(new.log.rounds["test_brier_score"][2])
    assert {p.name for p in (tmp_path / "a").iterdir()} == {RUN_FILE, "memory-3.npy"}
    with (tmp_path / "a" / "memory-3.npy").open("rb") as stream:
        clients, rows = np.load(stream), np.load(stream)
    residuals = np.load(FOLDER / "blocked" / "residuals-2.npy")
    trained = set(new.log.participations["client"][2].tolist())
    assert 0 < len(trained) < 4
    for client, row in zip(clients.tolist(), rows, strict=True):
        assert (row.tobytes() == residuals[client].tobytes()) == (client not in trained)
