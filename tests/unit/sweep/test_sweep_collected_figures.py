"""Collected sweeps of rules that measure different things, read back run by run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray
from sweep_files import planned

from hpcfed.config.file import to_toml
from hpcfed.records.columns import read_columns
from hpcfed.records.log import Log
from hpcfed.records.runfile import write_record
from hpcfed.report.runs import find
from hpcfed.sweep.collecting import cube
from hpcfed.sweep.collecting.collect import collect
from tests.run_files import record

AGE = {"age": ("f8", "s", "age of the clients")}


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """Return the folder of a sweep of two runs, of which the second measures more."""
    manifest, paths = planned(tmp_path, "[grid]\nseed = [0, 1]")
    for run, figures in zip(manifest.current, ({}, AGE), strict=True):
        base, log = record(2, 3), Log(figures)
        for index in range(2):
            values = {name: column[index] for name, column in base.log.rounds.items()}
            rows = {name: parts[index][:-1] for name, parts in base.log.participations.items()}
            log.append(values | {"age": 7.0 + index}, rows | {"age": np.array([1.5, 2.5])})
        attributes = base.attributes | {
            "config_toml": to_toml(run.experiment), "config_digest": run.config_digest,
        }  # fmt: skip
        paths.run(run.digest).mkdir(parents=True)
        whole = replace(base, log=log, attributes=attributes)
        write_record(paths.run_file(run.digest), whole)
    list(collect(manifest, paths))
    return paths.out


def test_a_figure_is_a_column_with_gaps(swept: Path) -> None:
    with xarray.open_dataset(swept / "sweep.nc", engine="h5netcdf") as root:
        assert root["age"].sel(seed=1).values.tolist() == [7, 8]
        assert np.isnan(root["age"].sel(seed=0)).all()
        assert root["age"].attrs == {"units": "s", "description": "age of the clients"}
    with xarray.open_dataset(swept / "sweep.nc", engine="h5netcdf", group="clients") as clients:
        ages = clients["age"].sel(seed=1).values
        np.testing.assert_array_equal(ages, [[1.5, 2.5, np.nan]] * 2)
        assert clients["participated"].sel(seed=0).values.tolist() == [[1, 1, 0]] * 2


def test_what_was_collected_is_what_the_run_files_have(swept: Path) -> None:
    earlier = cube.read_earlier(swept / "sweep.nc").columns
    assert len(earlier) == 2
    for digest, found in earlier.items():
        expected = read_columns(swept / "runs" / digest / "run.h5", with_clients=True)
        assert found.figures == expected.figures
        for ours, theirs in (
            (found.rounds, expected.rounds), (found.participations, expected.participations),
        ):  # fmt: skip
            assert ours.keys() == theirs.keys()
            for name, values in theirs.items():
                np.testing.assert_array_equal(ours[name], values, err_msg=name)
    assert len(find(swept / "sweep.nc").runs) == 2
